"""The rooms of the package stand on floors, and nobody uses a room above (docs/design.md has the picture)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools.rooms import ROOT, arrows, circles, floors, modules_of, room_of, rooms_of, uses

PACKAGE = ROOT / "charge3net"

#: From the ground up. A room uses rooms of lower floors only, so there is no circle either.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "units", "version", "progress", "kernels"),
    ("geometry", "grid", "provenance", "extensions", "nn", "io.numbers", "io.files"),
    ("density", "graph"),
    ("io.qe", "analysis", "atoms", "paw"),
    ("io", "models"),
    ("data", "plot", "testing", "checkpoints.published", "predict.backends"),
    ("checkpoints",),
    ("pretrained",),
    ("predict", "train"),
    ("evaluation",),
    ("report",),
    ("studies",),
    ("cli",),
)

#: Methods that users love; they import io, analysis or plot when called. No other use of a higher room is known.
KNOWN = {("charge3net.grid", "Grid.like")} | {
    ("charge3net.density.density", f"Density.{method}")
    for method in (
        "read", "write", "from_pymatgen", "to_pymatgen",
        "at", "resample", "integrate", "error", "dipole", "electrostatic_potential", "bader", "valence",
        "plot", "view", "_repr_mimebundle_",
    )
}  # fmt: skip

LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def test_every_room_has_its_floor():
    listed = [room for rooms in FLOORS for room in rooms]
    assert sorted(listed) == sorted(rooms_of(ROOT))


def test_nobody_uses_a_room_above_or_beside():
    wrong = [
        f"{use.file}:{use.line} {here} uses {use.module}"
        for (here, there), each in arrows(ROOT, KNOWN).items()
        for use in each
        if LEVEL[there] >= LEVEL[here]
    ]
    assert not wrong, "\n".join(wrong)
    assert not circles(set(arrows(ROOT, KNOWN)))


def test_the_known_exceptions_are_all_there_is_upwards():
    levels = [(module, use, LEVEL.get(room_of(module)), LEVEL[room_of(use.module)]) for module, use in uses(ROOT)]
    upwards = {(module, use.scope) for module, use, here, there in levels if here is not None and there > here}
    assert upwards == KNOWN


def test_a_study_uses_no_other_study_and_what_they_share_uses_none():
    """The list of studies is text without the names of modules."""
    folders = {file.parent.name for file in PACKAGE.glob("studies/*/__init__.py")}
    for module, use in uses(ROOT):
        there = use.module.split(".")[2] if use.module.startswith("charge3net.studies.") else ""
        if there in folders:
            assert module.startswith(f"charge3net.studies.{there}"), f"{use.file}:{use.line}"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package with an arrow of every kind."""
    written = {
        "ground.py": "",
        "above/__init__.py": "",
        "above/deep.py": "X = 1",
        "top.py": "import charge3net.ground",
        "lazy.py": "class A:\n    def f(self):\n        from charge3net.above import deep\n",
        "registry.py": '_PACKERS = {("charge3net.above.deep", "Name"): "charge3net.ground"}',
        "loaded.py": "import_module('charge3net.above.deep')",
        "formatted.py": "import_module(f'charge3net.above.{name}')",
        "process.py": "run([python, '-m', 'charge3net.top', '--help'])",
        "relative.py": "from . import ground\nfrom .above.deep import X",
        "talk.py": '"""See charge3net.above.deep."""\nMESSAGE = "use charge3net.above or wait"',
        "types.py": "if TYPE_CHECKING:\n    from charge3net.above.deep import X\n",
        "entry.py": "TARGET = 'charge3net.above.deep:X'",
    }
    for name, text in written.items():
        path = tmp_path / "charge3net" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "charge3net" / "__init__.py").write_text("HOME = {'X': 'charge3net.above.deep'}")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.yaml").write_text("model:\n  _target_: charge3net.above.deep.X\n# charge3net.talk\n")
    return tmp_path


def test_arrows_of_every_kind_are_found(house):
    found = {here: sorted(there for one, there in arrows(house) if one == here) for here, _ in arrows(house)}
    assert found == {
        "top": ["ground"],
        "lazy": ["above"],
        "registry": ["above", "ground"],
        "loaded": ["above"],
        "formatted": ["above"],
        "process": ["top"],
        "relative": ["above", "ground"],
        "types": ["above"],
        "entry": ["above"],
        "conf": ["above"],
    }
    [use] = arrows(house)["lazy", "above"]
    assert (str(use.file), use.line, use.module, use.scope) == ("charge3net/lazy.py", 3, "charge3net.above.deep", "A.f")
    assert ("lazy", "above") not in arrows(house, {("charge3net.lazy", "A.f")})
    assert ("lazy", "above") in arrows(house, {("charge3net.lazy", "A.g")})


def test_floors_and_circles_of_a_small_house():
    pairs = {("c", "b"), ("b", "a"), ("d", "a"), ("x", "y"), ("y", "z"), ("z", "x"), ("z", "c")}
    assert floors(set("abcdxyz"), pairs) == {"a": 1, "b": 2, "d": 2, "c": 3, "x": 4, "y": 4, "z": 4}
    assert circles(pairs) == [["x", "y", "z"]]
    assert circles(pairs - {("z", "x")}) == []


def third_party(file: Path, *, when_imported: bool = False) -> set[str]:
    """Packages that a file imports: anywhere, or already when it is itself imported (no functions, no types)."""
    found = set()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
            elif when_imported and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            elif not (when_imported and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
                for name in ("body", "orelse", "handlers", "finalbody"):
                    visit(getattr(node, name, []))

    visit(ast.parse(file.read_text()).body)
    return found


def test_only_the_command_line_imports_hydra():
    for module, file in modules_of(ROOT).items():
        assert room_of(module) == "cli" or "hydra" not in third_party(file), file


def test_the_package_imports_nothing_of_its_surroundings():
    for file in modules_of(ROOT).values():
        assert not third_party(file) & {"benchmarks", "data_prep", "tests", "tools"}, file


def test_only_training_imports_lightning():
    for module, file in modules_of(ROOT).items():
        assert room_of(module) in ("train", "cli") or "lightning" not in third_party(file), file


@pytest.mark.parametrize(
    "module", ["charge3net", "charge3net.predict.predictor", "charge3net.cli.main", "charge3net.io"]
)
def test_predicting_does_not_load_what_it_does_not_need(module):
    code = (
        f"import sys, {module}; "
        "print(sorted({'lightning', 'hydra', 'wandb', 'matplotlib', 'tensorboard', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
