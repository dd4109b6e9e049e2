"""What a newcomer passes by mistake is refused with one sentence, or taken where it is clear what is meant.

The calls run in a process of their own: in tests, beartype refuses wrong types before the package sees them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from charge3net import Predictor
from tests.helpers.crystals import silicon
from tests.helpers.gaussians import GaussianAtoms

ROOT = Path(__file__).parents[1]

#: Runs the calls that it reads; writes for each the type and the text of what was returned or raised.
PROGRAM = """
import json, sys
import ase.build, numpy as np
from charge3net import Density, Geometry, Grid, Predictor
from tests.helpers.gaussians import GaussianAtoms, gaussian_density

silicon = ase.build.bulk("Si")
geometry = Geometry.of(silicon)
d = gaussian_density(geometry, Grid(silicon.cell.array, (8, 8, 8)), 0.5)
d.write("CHGCAR")
p = Predictor(GaussianAtoms())
found = {}
for call in json.load(sys.stdin):
    try:
        value = eval(call)
    except Exception as error:
        value = error
    found[call] = [type(value).__name__, str(value)]
json.dump(found, sys.stdout)
"""

#: Call → what the one sentence says.
REFUSED = {
    "d.error('CHGCAR')": "expected a Density, found str; Density.read",
    "d.resample(8)": "three positive integers, found 8",
    "d.resample((8, 8, 8.5))": "three positive integers",
    "d.view(levels='a')": "one or two positive densities in e/Å³, found 'a'",
    "d.at('origin')": "finite Cartesian positions",
    "d.integrate('O', radius=1.0)": "atom's index or a position",
    "Density.read('POSCAR')": "a structure, not with a density",
    "Density.read('x.cif.gz')": "`charge3net predict` makes a density",
    "Density.from_pymatgen(d.structure)": "found Structure",
    "p.predict(silicon, shape=8)": "three positive integers, found 8",
    "p.predict(silicon, shape=('8', '8', '8'))": "three positive integers",
    "p.predict(silicon, spacing='0.1')": "a positive length in Å, found '0.1'",
    "p.predict(silicon, encut='400')": "a positive energy in eV, found '400'",
    "p.predict(silicon, like='nobody/CHGCAR')": "nobody/CHGCAR",
    "p.predict(d.structure.as_dict(), shape=(8, 8, 8))": "expected a pymatgen Structure",
    "p.predict(silicon.positions, shape=(8, 8, 8))": "expected a pymatgen Structure",
    "p.predict(None, shape=(8, 8, 8))": "expected a pymatgen Structure",
}

#: Call → its value as text.
TAKEN = {
    "p.predict(silicon, like='CHGCAR').grid.shape": "(8, 8, 8)",
    "np.asarray(d).shape": "(1, 8, 8, 8)",
    "abs((sum([d, d]).values - 2 * d.values).max())": "0.0",
    "repr(Density(silicon, d.grid, d.values)) == repr(d)": "True",
    "d.view(levels=d.total.mean()).page == d.view(levels=[d.total.mean()]).page": "True",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([*REFUSED, *TAKEN]),
        cwd=tmp_path_factory.mktemp("newcomer"),
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("call", REFUSED)
def test_a_mistake_is_refused_with_one_sentence(call: str, answers: dict[str, list[str]]) -> None:
    kind, said = answers[call]
    assert kind == "InputError", said
    assert REFUSED[call] in said
    assert "\n" not in said


@pytest.mark.parametrize("call", TAKEN)
def test_what_is_clear_is_taken(call: str, answers: dict[str, list[str]]) -> None:
    assert answers[call][1] == TAKEN[call]


def test_predictors_and_runs_say_what_they_are() -> None:
    predictor = Predictor(GaussianAtoms(), device="cpu")
    assert repr(predictor) == f"Predictor({predictor.model.architecture}, cpu)"
    run = predictor.predict([silicon(), "nobody.cif"], shape=(8, 8, 8))
    assert len(list(run)) == 1
    assert repr(run).startswith("Predictions(2 structures, 1 failed so far")
