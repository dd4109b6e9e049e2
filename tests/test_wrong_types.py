"""What a newcomer passes by mistake is refused with one sentence, or taken where it is clear what is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ase.build
import numpy as np
import pytest

from charge3net import Density, Geometry, Grid, InputError, Predictor
from charge3net.predict.many import Predictions
from tests.helpers.gaussians import GaussianAtoms, gaussian_density

SILICON = ase.build.bulk("Si")
SHAPE = (8, 8, 8)


@pytest.fixture(scope="module")
def density() -> Density:
    return gaussian_density(Geometry.of(SILICON), Grid(SILICON.cell.array, SHAPE), 0.5)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(GaussianAtoms())


WRONG: dict[str, tuple[Callable[[Density], object], str]] = {
    "error of a path": (lambda d: d.error("CHGCAR"), "expected a Density, found str; Density.read"),
    "resample to a number": (lambda d: d.resample(8), "three positive integers, found 8"),
    "resample to fractions": (lambda d: d.resample((8, 8, 8.5)), "three positive integers"),
    "levels of a view": (lambda d: d.view(levels="a"), "one or two positive densities in e/Å³, found 'a'"),
    "points as text": (lambda d: d.at("origin"), "finite Cartesian positions"),
    "sphere around an element": (lambda d: d.integrate("O", radius=1.0), "atom's index or a position"),
    "reading a structure": (lambda d: Density.read("POSCAR"), "a structure, not with a density"),
    "reading a cif": (lambda d: Density.read("x.cif.gz"), "`charge3net predict` makes a density"),
    "a structure for a Chgcar": (lambda d: Density.from_pymatgen(d.structure), "found Structure"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_density_refuses_with_one_sentence(name: str, density: Density) -> None:
    call, said = WRONG[name]
    with pytest.raises(InputError) as refused:
        call(density)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shape": 8}, "three positive integers, found 8"),
        ({"shape": (8.5, 8, 8)}, "three positive integers"),
        ({"shape": ("8", "8", "8")}, "three positive integers"),
        ({"spacing": "0.1"}, "a positive length in Å, found '0.1'"),
        ({"encut": "400"}, "a positive energy in eV, found '400'"),
        ({"like": "nobody/CHGCAR"}, "nobody/CHGCAR"),
    ],
)
def test_a_grid_is_refused_with_one_sentence(settings: dict, said: str, predictor: Predictor) -> None:
    with pytest.raises(InputError) as refused:
        predictor.predict(SILICON, **settings)
    assert said in str(refused.value)


@pytest.mark.parametrize("structure", [Geometry.of(SILICON).to_structure().as_dict(), SILICON.positions, 3, None])
def test_what_is_no_structure_is_not_taken_for_many(structure: object, predictor: Predictor) -> None:
    with pytest.raises(InputError, match="expected a pymatgen Structure"):
        predictor.predict(structure, shape=SHAPE)


def test_the_path_of_a_density_names_a_grid(density: Density, predictor: Predictor, tmp_path: Path) -> None:
    density.write(tmp_path / "CHGCAR")
    for like in (tmp_path / "CHGCAR", str(tmp_path / "CHGCAR"), density):
        assert predictor.predict(SILICON, like=like).grid.shape == SHAPE


def test_densities_in_numpy_and_in_sum(density: Density) -> None:
    np.testing.assert_array_equal(np.asarray(density), density.values)
    np.testing.assert_array_equal(sum([density, density]).values, 2 * density.values)
    again = Density(SILICON, density.grid, density.values)
    assert repr(again) == repr(density)
    with pytest.raises(TypeError):
        sum([density], 1)


def test_one_level_of_a_view_needs_no_list(density: Density) -> None:
    pytest.importorskip("skimage")
    level = float(density.total.mean())
    assert density.view(levels=level).page == density.view(levels=[level]).page


def test_predictors_and_runs_say_what_they_are(predictor: Predictor) -> None:
    assert repr(predictor) == f"Predictor({predictor.model.architecture}, cpu)"
    run = predictor.predict([SILICON, "nobody.cif"], shape=SHAPE)
    assert isinstance(run, Predictions)
    assert len(list(run)) == 1
    assert repr(run).startswith("Predictions(2 structures, 1 failed so far")
