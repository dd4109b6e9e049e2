"""The open DFT generator. What needs GPAW or RDKit runs in the environment of ``make gpaw``, else it is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def printed(script: str) -> Any:
    """What a Python script prints as JSON in the GPAW environment."""
    done = run(PYTHON, "-W", "ignore", "-c", script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_gpaw
@pytest.mark.parametrize("name", ["molecules/g2-H2O", "crystals/hand-Si", "crystals/aflow-Cu-A_cF4_225_a"])
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
def test_new_molecules_have_five_heavy_atoms_and_one_formula_each() -> None:
    script = (
        "import json\nfrom molecules import new_molecules\n"
        "few, many = ([(a.info['tag'], a.numbers.tolist(), a.positions.min(axis=0).tolist(),\n"
        "    (a.cell.lengths() - a.positions.max(axis=0)).tolist()) for a in new_molecules(n, 0)] for n in (4, 24))\n"
        "print(json.dumps([few, many]))\n"
    )
    few, many = printed(script)
    assert many[:4] == few
    assert all(sum(z > 1 for z in numbers) == 5 and {*numbers} <= {1, 6, 7, 8} for _, numbers, *_ in many)
    formulas = [tuple(sorted(numbers)) for _, numbers, *_ in many]
    assert len({*formulas}) == len(formulas) == 24
    index = ROOT / "data_prep" / "benchmark_set" / "bundle" / "index.jsonl"
    known = [json.loads(line).get("numbers") for line in index.read_text(encoding="utf-8").splitlines()[1:]]
    assert not {*formulas} & {tuple(sorted(numbers)) for numbers in known if numbers}
    assert np.array([[low, high] for _, _, low, high in many]) == pytest.approx(3.0)  # Å of vacuum at every face


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
def test_oxygen_molecule_is_a_triplet(tmp_path: Path) -> None:
    settings = {"encut": 500.0, "smearing": 0.01, "kpts_density": 0.0, "tag": "test", "source": "test"}
    structure = {"numbers": [8, 8], "positions": [[2.5, 2.5, 2.4], [2.5, 2.5, 3.63]], "cell": np.diag([5.0, 5.0, 6.0])}
    np.savez(tmp_path / "job.npz", **structure, pbc=[True] * 3, moments=[1.0, 1.0], settings=json.dumps(settings))
    done = run(PYTHON, "scf.py", tmp_path / "job.npz", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as file:
        total, magnetisation = file["density"].astype(np.float64)
        voxel = 150.0 / total.size
    assert total.sum() * voxel == pytest.approx(12.0, abs=1e-4)
    assert magnetisation.sum() * voxel == pytest.approx(2.0, abs=1e-3)  # Hund: two unpaired electrons
    assert np.abs(magnetisation).sum() * voxel < 3.0


@needs_gpaw
def test_crystals_are_strained_rattled_and_sampled_as_said() -> None:
    script = (
        "import json\nfrom crystals import crystals\n"
        "made = crystals(10**6, 0)\n"
        "print(json.dumps([[a.info['tag'], a.numbers.tolist(), a.positions.tolist(), a.cell.tolist(),\n"
        "    a.info['settings'], 'moments' in a.info] for a in made]))\n"
    )
    made = {tag: rest for tag, *rest in printed(script)}
    strains, shifts = [], []
    for tag, (numbers, positions, cell, _, _) in made.items():
        assert 1 <= len(numbers) <= 8
        if tag.endswith("-1") and f"{tag[:-1]}0" in made:
            _, ideal, ideal_cell, _, _ = made[f"{tag[:-1]}0"]
            deformation = np.linalg.solve(ideal_cell, cell)
            assert deformation == pytest.approx(deformation.T, abs=1e-9)
            strains.append((deformation - np.eye(3))[np.triu_indices(3)])
            shifts.append(positions - np.array(ideal) @ deformation)
    assert len(strains) > 300
    assert np.std(strains) == pytest.approx(0.015, rel=0.05)
    assert np.std(np.concatenate(shifts)) == pytest.approx(0.06, rel=0.05)
    assert len({z for numbers, *_ in made.values() for z in numbers}) > 50
    assert made["aflow-Cu-A_cF4_225_a-0"][3:] == [{"kpts_density": 3.0}, False]
    assert made["aflow-NaCl-AB_cF8_225_a_b-0"][3:] == [{"kpts_density": 2.0}, False]
    assert made["oxide-NiO-0"][3:] == [{"kpts_density": 2.0}, True]
    assert abs(np.linalg.det(made["oxide-NiO-0"][2])) == pytest.approx(4.177**3 / 4)


@needs_gpaw
def test_distorted_crystals_begin_with_those_of_the_other_recipe() -> None:
    script = (
        "import json\nfrom crystals import crystals, distorted\n"
        "def plain(made):\n"
        "    return {a.info['tag']: [a.positions.tolist(), a.cell.tolist(), a.info['settings']] for a in made}\n"
        "print(json.dumps([plain(crystals(10**6, 0)), plain(distorted(96, 0)), plain(distorted(40, 0))]))\n"
    )
    crystals, made, fewer = printed(script)
    assert [tag.rpartition("-")[2] for tag in made] == ["0"] * 32 + ["1"] * 32 + ["2"] * 32
    assert all(made[tag] == crystals[tag] for tag in list(made)[:64])
    assert {tag: made[tag] for tag in fewer} == fewer
    first = {tag[:-2]: np.array(made[tag][0]) for tag in made if tag.endswith("-1")}
    second = {tag[:-2]: np.array(made[tag][0]) for tag in made if tag.endswith("-2")}
    assert all(np.abs(first[base] - second[base]).max() > 1e-3 for base in first)


@needs_gpaw
def test_cathodes_are_layered_with_vacancies() -> None:
    script = (
        "import json\nfrom nmc import nmc\n"
        "print(json.dumps([[a.get_chemical_symbols(), a.get_volume(), a.get_all_distances(mic=True).tolist(),\n"
        "    a.info['moments'].tolist()] for a in nmc(20, 0, True)]))\n"
    )
    made = printed(script)
    assert {symbols.count("Li") for symbols, *_ in made} == {1, 2, 3}
    for symbols, volume, distances, moments in made:
        metals, oxygens = ([i for i, s in enumerate(symbols) if s in kind] for kind in (("Ni", "Mn", "Co"), ("O",)))
        assert (len(metals), len(oxygens)) == (3, 6)
        nearest = np.array(distances)[np.ix_(metals, oxygens)]
        assert nearest.min() > 1.5  # an octahedron of about 1.95 Å, rattled
        assert np.median(np.sort(nearest, axis=1)[:, :2]) == pytest.approx(1.9, abs=0.1)
        assert volume == pytest.approx(2.87**2 * 14.2 * np.sqrt(0.75), rel=0.15)
        assert [m > 0 for m in moments] == [s in ("Ni", "Mn", "Co") for s in symbols]


@needs_gpaw
def test_pairs_differ_by_one_lithium_and_share_no_metals_with_the_random_cells() -> None:
    script = (
        "import json\nfrom nmc import nmc, pairs\n"
        "def of(cells):\n"
        "    return [[a.info['tag'], a.get_chemical_symbols(), a.positions.tolist(), a.cell.tolist()] for a in cells]\n"
        "print(json.dumps([of(pairs(12, 0)), of(pairs(5, 0)), of(nmc(40, 0, False)), of(nmc(9, 0, True))]))\n"
    )
    made, fewer, random, first = printed(script)
    assert made[:5] == fewer
    assert random[:9] == first
    taken = set()
    for (tag, symbols, positions, cell), (other, fewer_symbols, kept, same) in zip(made[::2], made[1::2], strict=True):
        assert other == tag.removesuffix("-full") + "-minus_li"
        assert cell == same
        assert symbols.count("Li") == 3
        gone = [i for i, position in enumerate(positions) if position not in kept]
        assert [symbols[i] for i in gone] == ["Li"]
        assert fewer_symbols == [s for i, s in enumerate(symbols) if i not in gone]
        taken |= set(gone)
    assert len(taken) > 1
    metals = [{tuple(sorted(set(s) - {"Li", "O"})) for _, s, *_ in cells} for cells in (made, random)]
    assert ("Co",) in metals[0]
    counts = [{tuple(sorted(s for s in row[1] if s not in ("Li", "O"))) for row in cells} for cells in (made, random)]
    assert not counts[0] & counts[1]


@needs_gpaw
def test_functionals_are_taken_for_test_structures_without_magnetic_elements() -> None:
    script = (
        "import json\nfrom pathlib import Path\nfrom again import held_out\n"
        "def of(count):\n"
        "    return [[a.info['tag'], a.get_chemical_symbols(), list(a.info['settings']['functionals'])]\n"
        "        for a in held_out(Path.cwd().parent, count)]\n"
        "print(json.dumps([of(10**6), of(20)]))\n"
    )
    everything, some = printed(script)
    assert everything[:20] == some
    index = (ROOT / "data_prep" / "benchmark_set" / "bundle" / "index.jsonl").read_text(encoding="utf-8")
    parts = {record["key"]: record["part"] for record in map(json.loads, index.splitlines()[1:])}
    assert {parts[tag] for tag, *_ in everything} == {"test"}
    assert not {s for _, symbols, _ in everything for s in symbols} & {"V", "Cr", "Mn", "Fe", "Co", "Ni"}
    assert all(names == ["PBE", "LDA", "revPBE", "RPBE"] for *_, names in everything)
    assert len({tag for tag, *_ in everything}) == len(everything) > 32
    assert sum(len(symbols) == 40 for _, symbols, _ in some) == 2


@needs_gpaw
def test_hydrogen_with_two_functionals(tmp_path: Path) -> None:
    settings = {"encut": 300.0, "smearing": 0.01, "kpts_density": 0.0, "tag": "test", "source": "test"}
    settings["functionals"] = ["PBE", "LDA"]
    structure = {"numbers": [1, 1], "positions": [[1.5, 1.5, 1.13], [1.5, 1.5, 1.87]], "cell": np.diag([3.0] * 3)}
    np.savez(tmp_path / "job.npz", **structure, pbc=[True] * 3, settings=json.dumps(settings))
    done = run(PYTHON, "scf.py", tmp_path / "job.npz", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as file:
        density, names, meta = file["density"], file["functionals"].tolist(), json.loads(str(file["meta"]))
    assert names == ["PBE", "LDA"]
    voxel = 27.0 / density[0].size
    assert density.sum(axis=(1, 2, 3), dtype=np.float64) * voxel == pytest.approx([2.0, 2.0], abs=1e-5)
    assert 1e-3 < np.abs(density[0] - density[1]).sum() / density[0].sum() < 0.05
    assert len(meta["energy_eV"]) == 2
    middle = density.shape[1] // 2
    bond, hole = density[:, middle, middle, middle], density[:, 0, 0, 0]
    assert (bond > 10 * hole).all()


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


def test_given_and_new_densities_are_compared(tmp_path: Path) -> None:
    density = np.random.default_rng(0).uniform(0.5, 1.0, (4, 5, 6))
    for name, factor, energy in (("given", 1.0, -3.0), ("made", 1.02, -3.5), ("other", 1.0, 0.0)):
        values = density[:3] if name == "other" else factor * density
        meta = json.dumps({"energy_eV": energy})
        np.savez(tmp_path / f"{name}.npz", density=values, density_sad=values, meta=meta)
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom reproduce import compare\n"
        "print(json.dumps(compare(Path(sys.argv[1]), Path(sys.argv[2]))))\n"
    )
    done = run(sys.executable, "-c", script, tmp_path / "given.npz", tmp_path / "made.npz")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["name"], row["grid"], row["energy_difference_eV"]) == ("given", [4, 5, 6], -0.5)
    assert row["epsilon_mae"] == pytest.approx(2.0)
    assert row["epsilon_mae_superposition"] == pytest.approx(2.0)
    done = run(sys.executable, "-c", script, tmp_path / "given.npz", tmp_path / "other.npz")
    assert "the grids differ" in done.stderr


@needs_gpaw
def test_a_density_is_computed_once_more_with_its_own_settings(tmp_path: Path) -> None:
    """Helium in a small box; the second run takes structure and settings from what the first one wrote."""
    settings = {"encut": 500.0, "smearing": 0.01, "kpts_density": 0.0, "tag": "he", "source": "test"}
    structure = {"numbers": [2], "positions": [[1.2, 1.2, 1.2]], "cell": np.diag([2.4, 2.5, 2.6])}
    np.savez(tmp_path / "job.npz", **structure, pbc=[True] * 3, settings=json.dumps(settings))
    done = run(PYTHON, "scf.py", tmp_path / "job.npz", tmp_path / "he.npz")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out.json"
    done = run(PYTHON, "reproduce.py", tmp_path / "he.npz", "-o", tmp_path / "again", "--json", out)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text())["entries"]
    assert row["epsilon_mae"] < 1e-4
    assert abs(row["energy_difference_eV"]) < 1e-6
    with np.load(tmp_path / "he.npz") as file:
        assert file["setups"].tolist() == ["He.PBE.gz"]
        matrices = file["density_matrices"]
    projectors = int((np.sqrt(8 * matrices.shape[1] + 1) - 1) / 2)
    assert matrices.shape == (1, projectors * (projectors + 1) // 2)
    assert matrices[0, 0] == pytest.approx(2.0, abs=0.3)  # electrons in the 1s shell of an atom in a small box


def test_densities_that_do_not_exist_cannot_be_reproduced(tmp_path: Path) -> None:
    done = run(sys.executable, "reproduce.py", "nowhere.npz", "-o", tmp_path / "x")
    assert done.returncode == 2
    assert "nowhere.npz does not exist" in done.stderr


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


@needs_gpaw
def test_simple_structures_have_the_neighbours_of_their_types() -> None:
    script = (
        "import json\nimport structure_types as types\nfrom pymatgen.core import Lattice, Structure\n"
        "builders = {'rocksalt': types.rock_salt, 'cscl': types.caesium_chloride, 'cdi2': types.cadmium_iodide,\n"
        "    'zincblende': types.zincblende, 'fluorite': types.fluorite, 'nias': types.nickel_arsenide,\n"
        "    'rutile': types.rutile, 'perovskite': types.perovskite, 'reo3': types.rhenium_oxide,\n"
        "    'heusler': types.heusler}\n"
        "cells = {name: build(2.5) for name, build in builders.items()} | {'layered': types.layered(2.6, 2.4)}\n"
        "def shells(cell):\n"
        "    sites = Structure(Lattice(cell[0]), ['H'] * len(cell[1]), cell[1])\n"
        "    return [sorted(n.nn_distance for n in sites.get_neighbors(site, 2.7)) for site in sites]\n"
        "print(json.dumps({name: shells(cell) for name, cell in cells.items()}))\n"
    )
    made = printed(script)
    counts = {"rocksalt": (6, 6), "cscl": (8, 8), "cdi2": (6, 3, 3), "zincblende": (4, 4), "fluorite": (8, 4, 4)}
    counts |= {"nias": (6, 6, 6, 6), "perovskite": (0, 6, 2, 2, 2), "reo3": (6, 2, 2, 2), "heusler": (8, 8, 8, 8)}
    for name, expected in counts.items():
        assert tuple(sum(abs(d - 2.5) < 0.01 for d in shell) for shell in made[name]) == expected, name
    assert [len(shell) for shell in made["rutile"][:2]] == [6, 6]
    assert np.array(made["rutile"][:2]) == pytest.approx(2.5, abs=0.02)
    # octahedra of two sizes that share edges; the layers stay flat, so that both distances come out only nearly
    assert made["layered"][0] == pytest.approx([2.6] * 6, abs=0.04)
    assert made["layered"][1] == pytest.approx([2.4] * 6, abs=0.04)


@needs_gpaw
def test_radii_give_measured_lattice_constants() -> None:
    script = (
        "import json\nimport numpy as np\nimport structure_types as types\n"
        "ions = (('Na', 1, 'Cl'), ('Ba', 2, 'O'), ('La', 3, 'N'))\n"
        "cells = [types.rock_salt(types.bond(*pair)) for pair in ions]\n"
        "cells += [types.zincblende(types.covalent_bond(m, x)) for m, x in (('Ga', 'P'), ('Zn', 'Te'))]\n"
        "constants = [(4 * abs(np.linalg.det(cell))) ** (1 / 3) for cell, _ in cells]\n"
        "b2 = [types.scaled(types.simple('b2'), list(pair)).lattice.a for pair in (('Ni', 'Al'), ('Y', 'Ag'))]\n"
        "print(json.dumps([constants, b2]))\n"
    )
    cubic, ordered = printed(script)
    assert cubic == pytest.approx([5.640, 5.539, 5.295, 5.451, 6.101], rel=0.06)  # Å, handbook values
    assert ordered == pytest.approx([2.887, 3.619], rel=0.03)


@needs_gpaw
def test_new_compositions_are_new_and_come_formula_by_formula() -> None:
    script = (
        "import json\nimport candidates, new_compositions as new\nfrom candidates import MAGNETIC_CATIONS as magnetic\n"
        "few = lambda entries: list(entries)[::3]\n"
        "candidates.magnetic = lambda seed: few(candidates._ionic(magnetic))\n"
        "candidates.unmagnetic = lambda seed: [*few(candidates._ionic(candidates.CATIONS)), *candidates._elements()]\n"
        "def plain(made):\n"
        "    return [[a.info['tag'], a.get_chemical_symbols(), a.positions.tolist(), a.cell.tolist(),\n"
        "        a.info['settings'], a.info['moments'].tolist() if 'moments' in a.info else None, a.numbers.tolist()]\n"
        "        for a in made]\n"
        "many = [plain(getattr(new, name)(90, 0)) for name in ('new_compositions', 'magnetic_new')]\n"
        "print(json.dumps([*many, plain(new.new_compositions(40, 0)), plain(new.new_compositions(40, 1))]))\n"
    )
    made, magnetic, fewer, other = printed(script)
    assert made[:40] == fewer
    assert other[0] == fewer[0]
    assert (other[1][0], other[1][2] != fewer[1][2]) == (fewer[1][0], True)  # another seed distorts in another way
    known = set()
    made_of_them = ("new_compositions_set", "new_formulas_set")
    for index in (ROOT / "data_prep").glob("*/bundle/index.jsonl"):
        if index.parents[1].name in made_of_them:
            continue
        for record in map(json.loads, index.read_text(encoding="utf-8").splitlines()[1:]):
            known.add(_formula(record.get("numbers", [])))
    for rows in (made, magnetic):
        tags = [row[0] for row in rows]
        assert [tag.rpartition("-")[2] for tag in tags] == ["0", "1", "2"] * (len(rows) // 3)
        assert [tag[:-2] for tag in tags[::3]] == [tag[:-2] for tag in tags[1::3]] == [tag[:-2] for tag in tags[2::3]]
        formulas = [_formula(row[6]) for row in rows[::3]]
        assert len(set(formulas)) == len(formulas)
        assert not set(formulas) & known
        assert all(np.std(np.array(a[2]) - b[2]) > 0.01 for a, b in zip(rows[1::3], rows[2::3], strict=True))
    assert len({symbol for row in made for symbol in row[1]}) >= 30
    assert all(row[5] is None for row in made)
    meshes = {row[0]: row[4]["kpts_density"] for row in made}
    assert (meshes["bcc-Rh-1"], meshes["fcc-Xe-1"], meshes["rocksalt-ScN-1"]) == (3.0, 2.0, 2.0)
    magnets = {"V", "Cr", "Mn", "Fe", "Co", "Ni"}
    assert all([m > 0 for m in row[5]] == [s in magnets for s in row[1]] and any(row[5]) for row in magnetic)


@needs_gpaw
def test_new_formulas_are_ideal_crystals_and_every_fourth_is_molecular_or_layered() -> None:
    script = (
        "import json\nimport candidates, new_compositions as new\nfrom candidates import MAGNETIC_CATIONS as magnetic\n"
        "candidates.magnetic = lambda seed: list(candidates._ionic(magnetic))[::3]\n"
        "candidates.unmagnetic = lambda seed: list(candidates._ionic(candidates.CATIONS))[::5]\n"
        "def plain(made):\n"
        "    return [[a.info['tag'], a.numbers.tolist(), 'moments' in a.info] for a in made]\n"
        "made = [plain(getattr(new, name)(40, 0)) for name in ('new_formulas', 'magnetic_formulas')]\n"
        "print(json.dumps([*made, plain(new.new_formulas(20, 0))]))\n"
    )
    made, magnetic, fewer = printed(script)
    assert made[:20] == fewer
    light = [row[0].partition("-")[0] in ("molecular", "honeycomb", "ring", "prism") for row in made]
    assert light == [place % 4 == 0 for place in range(len(made))]
    known = set()
    for bundle in ("benchmark_set", "new_compositions_set", "demo_set", "magnetic_set"):
        index = ROOT / "data_prep" / bundle / "bundle" / "index.jsonl"
        for record in map(json.loads, index.read_text(encoding="utf-8").splitlines()[1:]):
            known.add(_formula(record.get("numbers", [])))
    for rows in (made, magnetic):
        formulas = {_formula(row[1]) for row in rows}
        assert len(formulas) == len(rows) >= 20
        assert not formulas & known
        assert all(row[0].endswith("-0") for row in rows)
    assert not any(row[2] for row in made)
    assert all(row[2] for row in magnetic)


@needs_gpaw
def test_layers_and_molecules_have_known_distances() -> None:
    script = (
        "import json\nimport molecular\nimport numpy as np\n"
        "made = {tag: s for tag, s, _ in molecular.light(0)}\n"
        "def shell(tag, site, reach):\n"
        "    return sorted(n.nn_distance for n in made[tag].get_neighbors(made[tag][site], reach))\n"
        "carbon = shell('molecular-CO2', 0, 1.5)\n"
        "print(json.dumps([shell('honeycomb-BN', 0, 2.0), made['honeycomb-BN'].lattice.c / 2,\n"
        "    shell('prism-MoS2', 0, 2.9), shell('ring-BC3', 0, 1.8), shell('ring-BC3', 1, 1.8), carbon,\n"
        "    made['molecular-CO2'].volume]))\n"
    )
    planar, apart, prism, boron, next_to, carbon, volume = printed(script)
    assert planar == pytest.approx([1.446] * 3, abs=0.03)  # Å; hexagonal boron nitride
    assert apart == pytest.approx(3.33, abs=0.15)
    assert prism == pytest.approx([2.41] * 6, abs=0.1)  # MoS₂
    assert len(boron) == len(next_to) == 3
    assert carbon == pytest.approx([1.16] * 2, abs=0.03)
    assert 44.0 < volume < 88.0  # Å³ for a molecule; dry ice, whose molecules are not turned at random, has 44


def _formula(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    """Elements and how many of them, without a common factor."""
    values, counts = np.unique(numbers, return_counts=True)
    divisor = np.gcd.reduce(counts) if len(counts) else 1
    return tuple(zip(values.tolist(), (counts // divisor).tolist(), strict=True))


@needs_gpaw
def test_a_structure_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nimport generate\nfrom ase.build import bulk\n"
        "atoms = bulk('Cu')\n"
        "atoms.info |= {'tag': 'cu', 'source': 'test', 'settings': {'kpts_density': 6.0}}\n"
        "generate.LIMIT = 1\n"
        "print(generate.solve_missing([atoms], generate.CRYSTAL, Path(sys.argv[1]), 1))\n"
    )
    done = run(PYTHON, "-c", script, tmp_path)
    assert "given up after 1 s of CPU time" in done.stdout.splitlines()[-1], done.stderr
    assert list(json.loads((tmp_path / "failures.json").read_text())) == ["cu"]
    assert not list(tmp_path.glob("*.npz"))


@needs_gpaw
def test_runs_share_a_folder_without_computing_anything_twice(tmp_path: Path) -> None:
    """One run is busy with the first structure; another one that starts meanwhile takes the rest."""
    script = (
        "import sys, time\nfrom pathlib import Path\nimport generate\n"
        "slow = sys.argv[2] == 'slow'\n"
        "def solve(atoms, settings, out):\n"
        "    print('SOLVED', atoms.info['tag'], flush=True)\n"
        "    busy = slow and atoms.info['tag'] == first\n"
        "    while busy and not Path(sys.argv[1], 'go').exists():\n        time.sleep(0.05)\n"
        "    if busy:\n        return 'of the first run'\n"
        "    if atoms.info['tag'].endswith('-1'):\n        return 'of the second run'\n"
        "    out.write_bytes(b'')\n"
        "first = generate.structures('molecules', 1, 0)[0].info['tag']\n"
        "generate.solve = solve\n"
        "generate.generate('molecules', Path(sys.argv[1]), 4, 1, 0)\n"
    )
    command = [str(PYTHON), "-c", script, str(tmp_path)]
    with subprocess.Popen([*command, "slow"], cwd=FOLDER, stdout=subprocess.PIPE, text=True) as slow:
        assert slow.stdout is not None
        begun = slow.stdout.readline().split()
        while begun[0] != "SOLVED":
            begun = slow.stdout.readline().split()
        fast = run(*command, "fast")
        assert fast.returncode == 0, fast.stderr
        (tmp_path / "go").touch()
        slow.communicate(timeout=60)
    taken = [line.split()[1] for line in fast.stdout.splitlines() if line.startswith("SOLVED")]
    assert len(taken) == 3
    assert begun[1] not in taken
    reasons = json.loads((tmp_path / "failures.json").read_text())
    assert reasons[begun[1]] == "of the first run"
    assert sorted(reasons.values()).count("of the second run") >= 1
    assert not list(tmp_path.glob(".*.lock")) or {p.name for p in tmp_path.glob(".*.lock")} == {".failures.lock"}


def test_isolated_atoms_hold_their_valence_electrons() -> None:
    with np.load(ROOT / "data_prep" / "isolated_atoms" / "gpaw_pbe.npz") as file:
        numbers, radii, density, valence = (file[key] for key in ("numbers", "radii", "density", "valence"))
        assert file["setups"].shape == numbers.shape
    table = dict(zip(numbers.tolist(), valence.tolist(), strict=True))
    assert [table[z] for z in (1, 8, 11, 26, 29, 79)] == [1, 6, 7, 8, 11, 11]
    shells = 4.0 * np.pi * radii**2 * density
    charge = ((shells[:, 1:] + shells[:, :-1]) * np.diff(radii) / 2.0).sum(axis=1)
    assert charge == pytest.approx(valence, rel=1e-3)
    assert density[:, -1] == pytest.approx(0.0, abs=1e-6)
    # Te, I, Xe and Rn: compensation charges below zero at the nucleus
    assert set(numbers[density.min(axis=1) < -0.1]) == {52, 53, 54, 86}


@needs_gpaw
@pytest.mark.parametrize("name", ["hand-LiF", "hand-GaAs", "aflow-Cu-A_cF4_225_a", "aflow-Sn-A_hP1_191_a"])
def test_isolated_atoms_add_up_to_the_first_density_of_a_crystal(shared: Path, name: str) -> None:
    done = run(PYTHON, "isolated_atoms.py", "--check", shared / "dft" / "crystals" / f"{name}.npz")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if name in line).split("|")
    assert float(row[2].split()[0]) < 0.005
    assert float(row[3].split()[0]) < 1.5


@needs_gpaw
def test_the_table_of_isolated_atoms_is_that_of_the_setups() -> None:
    script = (
        "import json\nimport numpy as np\nfrom gpaw.setup import create_setup\nfrom gpaw.xc import XC\n"
        "from ase.units import Bohr\nfrom isolated_atoms import TABLE, isolated_atom\n"
        "with np.load(TABLE) as file:\n    table = {key: file[key] for key in file.files}\n"
        "worst = []\n"
        "for symbol, z in (('H', 1), ('Ti', 22), ('Yb', 70)):\n"
        "    atom = isolated_atom(create_setup(symbol, XC('PBE')), table['radii'] / Bohr)\n"
        "    i = int(np.flatnonzero(table['numbers'] == z)[0])\n"
        "    worst += [abs(atom[key] / Bohr**3 - table[key][i]).max() for key in ('smooth', 'core')]\n"
        "    worst += [abs(atom[key] - table[key][i]) for key in ('compensation', 'valence')]\n"
        "print(json.dumps([float(w) for w in worst]))\n"
    )
    assert printed(script) == pytest.approx([0.0] * 12, abs=1e-12)


def test_meshes_of_one_crystal_are_compared(tmp_path: Path) -> None:
    density = np.random.default_rng(0).uniform(0.5, 1.0, (4, 5, 6))
    for mesh, factor, energy in (("2", 1.0, -3.0), ("3", 1.25, -3.4)):
        meta = {"energy_eV": energy, "kpts_density": float(mesh), "nk_ibz": 10 * int(mesh), "nmae_sad": 0.05}
        arrays = {"numbers": [6, 6], "density": factor * density, "density_sad": density, "meta": json.dumps(meta)}
        np.savez(tmp_path / f"aflow-C-1-k{mesh}.npz", **arrays)
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom k_points import row\n"
        "print(json.dumps(row(*map(Path, sys.argv[1:]))))\n"
    )
    done = run(sys.executable, "-c", script, tmp_path / "aflow-C-1-k2.npz", tmp_path / "aflow-C-1-k3.npz")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["name"], found["kpts_density"], found["nk_ibz"]) == ("aflow-C-1", [2.0, 3.0], [20, 30])
    assert found["epsilon_mae"] == pytest.approx(20.0)  # of the finer mesh's density
    assert found["superposition_of_atoms"] == pytest.approx(5.0)
    assert found["energy_difference_meV_per_atom"] == pytest.approx(200.0)
    assert "magnetisation" not in found
    for mesh, moment in (("2", 0.1), ("3", 0.3)):  # with spin: errors of the total density, and of m as a share of it
        path = tmp_path / f"aflow-C-1-k{mesh}.npz"
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        arrays["density"] = np.stack([arrays["density"], moment * density])
        np.savez(path, **arrays)
    done = run(sys.executable, "-c", script, tmp_path / "aflow-C-1-k2.npz", tmp_path / "aflow-C-1-k3.npz")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["epsilon_mae"] == pytest.approx(20.0)
    assert found["magnetisation"] == pytest.approx(100.0 * 0.2 / 1.25)


@needs_gpaw
def test_meshes_are_compared_for_crystals_of_every_kind() -> None:
    script = (
        "import json\nfrom k_points import sample\n"
        "print(json.dumps([[a.info['tag'] + str('moments' in a.info), a.info['settings']['kpts_density'],"
        " b.info['settings']['kpts_density']] for a, b in sample()]))\n"
    )
    made = printed(script)
    assert all(finer == pytest.approx(1.5 * usual) for _, usual, finer in made)
    added = made[8:]
    assert [(tag.endswith("True"), usual) for tag, usual, _ in added] == [
        (spin, mesh) for spin in (False, True) for mesh in (2.0, 3.0) for _ in range(3)
    ]
