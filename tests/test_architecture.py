"""The direction of dependencies in docs/design.md, read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charge3net"

#: part of the package → what it may import of ours (its own part is always allowed).
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "units": set(),
    "version": set(),
    "geometry": {"errors"},
    "grid": {"errors", "units", "io"},  # Grid.like reads a file's header
    "nn": {"errors", "kernels"},
}


def ours_imported_by(file: Path) -> set[str]:
    """Parts of charge3net that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "charge3net":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("charge3net.")}
    return found


def top_level_imports(file: Path) -> set[str]:
    """Packages that a file imports when it is itself imported (TYPE_CHECKING blocks and functions left out)."""
    found = set()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Try) or (
                isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test)
            ):
                visit(node.body)

    visit(ast.parse(file.read_text()).body)
    return found


def files(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


@pytest.mark.parametrize("part", ALLOWED)
def test_low_parts_import_only_what_is_below_them(part):
    for file in files(part):
        assert ours_imported_by(file) <= ALLOWED[part] | {part}, file


@pytest.mark.parametrize(
    ("part", "never"),
    [
        ("density", {"models", "nn", "data", "train", "predict", "graph", "cli"}),
        ("io", {"models", "nn", "data", "train", "predict", "graph", "cli"}),
        ("graph", {"models", "nn", "data", "train", "predict", "io", "cli"}),
        ("models", {"data", "train", "predict", "io", "cli", "density", "grid"}),
        ("data", {"models", "nn", "train", "predict", "cli"}),
        ("train", {"predict", "cli", "plot", "report", "evaluation"}),
        ("predict", {"train", "data", "cli", "plot", "report", "evaluation"}),
    ],
)
def test_no_part_reaches_up(part, never):
    for file in files(part):
        assert not ours_imported_by(file) & never, file


def test_only_the_command_line_imports_hydra():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        if "cli" not in file.relative_to(PACKAGE).parts:
            assert "import hydra" not in text, file
            assert "from hydra" not in text, file


def test_nothing_imports_benchmarks_or_data_prep():
    for file in PACKAGE.rglob("*.py"):
        assert not top_level_imports(file) & {"benchmarks", "data_prep", "tests"}, file


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
