"""Many structures: one density at a time, failures kept apart; models by name or path."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest

from charge3net import Density, InputError, Predictor
from charge3net.predict.many import Predictions
from tests.helpers import crystals
from tests.helpers.gaussians import GaussianAtoms
from tests.pretrained.test_shipped_models import shipped  # noqa: F401  (a fixture)

SHAPE = (8, 8, 8)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(GaussianAtoms())


def test_a_path_gives_what_its_structure_gives(predictor: Predictor, tmp_path: Path) -> None:
    silicon = crystals.silicon()
    ase.io.write(tmp_path / "POSCAR", silicon, format="vasp")
    by_path = predictor.predict(tmp_path / "POSCAR", shape=SHAPE)
    assert isinstance(by_path, Density)
    np.testing.assert_allclose(by_path.values, predictor.predict(silicon, shape=SHAPE).values, rtol=1e-5)
    np.testing.assert_allclose(
        predictor.at(str(tmp_path / "POSCAR"), [[0.1, 0.2, 0.3]]), by_path.at([[0.1, 0.2, 0.3]]), 0.5
    )
    with pytest.raises(InputError, match="nobody"):
        predictor.predict("nobody.cif")


def test_one_structure_that_can_be_iterated_over_is_one(predictor: Predictor) -> None:
    from charge3net import Geometry

    geometry = Geometry.of(crystals.silicon())
    for structure in (geometry, geometry.to_structure(), crystals.silicon()):
        assert isinstance(predictor.predict(structure, shape=SHAPE), Density)


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda many: (one for one in many)])
def test_many_structures_come_in_their_order(kind, predictor: Predictor, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "x.cif", crystals.silicon())
    several = [crystals.silicon(), crystals.rock_salt() if hasattr(crystals, "rock_salt") else crystals.silicon()]
    found = predictor.predict(kind([*several, str(tmp_path / "x.cif")]), shape=SHAPE)
    assert isinstance(found, Predictions)
    densities = list(found)
    assert [density.provenance["index"] for density in densities] == [0, 1, 2]
    np.testing.assert_allclose(densities[2].values, densities[0].values, rtol=1e-4)
    assert found.failures == []


def test_failures_are_kept_apart_and_named(predictor: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    found = predictor.predict([crystals.silicon(), "nobody.cif", 3, crystals.silicon()], shape=SHAPE)
    assert [density.provenance["index"] for density in found] == [0, 3]
    first, second = found.failures
    assert (first.index, first.structure, second.index, second.structure) == (1, "nobody.cif", 2, "int")
    assert "nobody.cif" in first.reason
    assert "expected a pymatgen Structure" in second.reason
    assert "structure 1 (nobody.cif) failed" in caplog.text


def test_never_more_than_one_density_is_held(predictor: Predictor) -> None:
    alive: list[weakref.ref] = []

    def structures() -> Iterator[object]:
        for _ in range(4):
            gc.collect()
            assert sum(ref() is not None for ref in alive) == 0, "an earlier density is still there"
            yield crystals.silicon()

    found = predictor.predict(structures(), shape=SHAPE)
    for density in found:
        alive.append(weakref.ref(density))
        del density
    assert len(alive) == 4
    assert not found.failures, found.failures


def test_progress_counts_structures(predictor: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    list(
        predictor.predict(
            [crystals.silicon()] * 3, shape=SHAPE, progress=lambda done, total: seen.append((done, total))
        )
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    list(predictor.predict(iter([crystals.silicon()]), shape=SHAPE, progress=True))
    assert "structures" in capsys.readouterr().err


def test_models_by_name(shipped: Path, tmp_path: Path) -> None:  # noqa: F811
    """A shipped ensemble predicts the mean of its members; its name, its folder, and one member by path."""
    water = ase.build.molecule("H2O")
    ensemble = Predictor("organic")
    found = ensemble.predict(water, shape=SHAPE)
    members = [Predictor(shipped / "organic" / name).predict(water, shape=SHAPE) for name in ("seed0", "seed1")]
    np.testing.assert_allclose(found.values, (members[0].values + members[1].values) / 2, rtol=1e-5, atol=1e-7)
    assert "uncertainty" in found.provenance
    points = np.array([[0.0, 0.0, 0.5]])
    np.testing.assert_allclose(
        ensemble.at(water, points),
        np.mean([Predictor(shipped / "organic" / f"seed{i}").at(water, points) for i in (0, 1)], 0),
        rtol=1e-5,
    )
    assert ensemble.gradient(water, points).shape == (1, 1, 3)
    [other] = ensemble.predict([water], shape=SHAPE)
    np.testing.assert_allclose(other.values, found.values)
    with pytest.raises(InputError, match="no model of that name"):
        Predictor("nobody")
