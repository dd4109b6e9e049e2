"""The open DFT generator. What needs GPAW or RDKit runs in the environment of ``make gpaw``, else it is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data_prep" / "open_dft"
PYTHON = ROOT / ".cache" / "gpaw-env" / "bin" / "python"

needs_gpaw = pytest.mark.skipif(not PYTHON.exists(), reason="no GPAW environment; `make gpaw` builds it")


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=cwd or FOLDER, env=environment)


@needs_gpaw
@pytest.mark.parametrize("name", ["molecules/g2-H2O", "crystals/hand-Si"])
def test_reproduces_an_entry_of_an_independent_run(shared: Path, tmp_path: Path, name: str) -> None:
    with np.load(shared / "dft" / f"{name}.npz") as file:
        given = {key: file[key] for key in file.files}
    expected = json.loads(str(given["meta"]))
    crystal = name.startswith("crystals")
    settings = {"encut": 500.0, "smearing": 0.1 if crystal else 0.01, "kpts_density": 2.0 if crystal else 0.0}
    settings |= {"tag": "test", "source": "test"}
    structure = {key: given[key] for key in ("numbers", "positions", "cell", "pbc")}
    np.savez(tmp_path / "job.npz", **structure, settings=json.dumps(settings))
    done = run(PYTHON, "scf.py", tmp_path / "job.npz", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as file:
        density, superposition, meta = file["density"], file["density_sad"], json.loads(str(file["meta"]))
        assert float(file["n_electrons"]) == float(given["n_electrons"])
    assert density.shape == given["density"].shape
    assert np.abs(density - given["density"]).sum() < 1e-3 * given["density"].sum()
    assert meta["energy_eV"] == pytest.approx(expected["energy_eV"], abs=1e-3)
    assert meta["nmae_sad"] == pytest.approx(expected["nmae_sad"], rel=1e-3)
    if "density_sad" in given:
        assert np.abs(superposition - given["density_sad"]).sum() < 1e-3 * given["density"].sum()


@needs_gpaw
def test_molecules_are_complete_distinct_and_repeatable() -> None:
    script = (
        "import json\nfrom molecules import molecule_graphs, molecules\n"
        "graphs = molecule_graphs(3, ('C', 'O'))\n"
        "few, many = ([(a.info['tag'], a.positions.tolist()) for a in molecules(n, 5, ('C', 'O'))] for n in (6, 12))\n"
        "print(json.dumps([graphs, few, many]))\n"
    )
    done = run(PYTHON, "-c", script)
    assert done.returncode == 0, done.stderr
    graphs, few, many = json.loads(done.stdout)
    # counted by hand: up to three of C and O, no O–O bond, no double bond in a ring, no atom with two double bonds
    assert {formula: sorted(smiles) for formula, smiles in graphs.items()} == {
        "CH4": ["C"],
        "H2O": ["O"],
        "C2H6": ["CC"],
        "C2H4": ["C=C"],
        "C2H2": ["C#C"],
        "CH4O": ["CO"],
        "CH2O": ["C=O"],
        "C3H8": ["CCC"],
        "C3H6": ["C1CC1", "C=CC"],
        "C3H4": ["C#CC"],
        "C2H6O": ["CCO", "COC"],
        "C2H4O": ["C1CO1", "C=CO", "CC=O"],
        "C2H2O": ["C#CO"],
        "CH4O2": ["OCO"],
        "CH2O2": ["O=CO"],
    }
    assert many[:6] == few
    assert len({tag for tag, _ in many}) == 12


@needs_gpaw
def test_liquid_has_the_density_of_the_melt_and_no_contacts() -> None:
    script = (
        "import numpy as np\nfrom liquids import ethylene_carbonate\n"
        "cell = next(ethylene_carbonate(1, 3))\n"
        "distances = cell.get_all_distances(mic=True)\n"
        "other = np.kron(np.eye(4), np.ones((10, 10))) == 0\n"
        "print(cell.get_chemical_formula(), cell.get_masses().sum() / cell.get_volume(), distances[other].min())\n"
    )
    done = run(PYTHON, "-c", script)
    assert done.returncode == 0, done.stderr
    formula, density, closest = done.stdout.split()
    assert formula == "C12H16O12"
    assert float(density) * 1.66053907 == pytest.approx(1.32, rel=1e-6)  # Da/Å³ → g/cm³
    assert float(closest) > 2.05 - 6 * 0.045


@needs_gpaw
def test_generator_resumes_and_lists_failures(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nimport generate\n"
        "solved = []\n"
        "def solve(atoms, settings, out):\n"
        "    solved.append(atoms.info['tag'])\n"
        "    if atoms.info['tag'].endswith('-1'):\n        return 'did not converge'\n"
        "    out.write_bytes(b'')\n"
        "generate.solve = solve\n"
        "first = generate.generate('molecules', Path(sys.argv[1]), 4, 2, 0)\n"
        "generate.generate('molecules', Path(sys.argv[1]), 4, 1, 0)\n"
        "print('SOLVED', len(solved), len(first))\n"
    )
    done = run(PYTHON, "-c", script, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "SOLVED 6 2" in done.stdout  # four, then the two that failed once more
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert set(failures.values()) == {"did not converge"}
    assert len(list((tmp_path / "out").glob("*.npz"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nonsense", "-o", "x"], "invalid choice"), (["molecules", "-o", "x", "--count", "0"], "at least 1")],
)
def test_wrong_usage_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run(sys.executable, FOLDER / "generate.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()
