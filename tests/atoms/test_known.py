"""Surroundings of atoms: invariance of their features, distances from those of a training set, the file of them."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from charge3net import InputError
from charge3net.atoms.known import KnownSurroundings
from charge3net.atoms.neighbourhood import neighbourhood_features
from charge3net.atoms.splines import table_nodes, table_of
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.models.registry import build_model
from charge3net.predict.trust import TrainingSet

ELEMENTS = {"elements": [11, 17], "valences": [1.0, 7.0], "potentials": ["Na", "Cl"]}


def model(widths=(0.9, 0.6)):
    found = build_model("fitted_atoms", ELEMENTS)
    r = table_nodes(found.cutoff)
    tables = [table_of(np.exp(-(r**2) / (2 * width**2))[:, None])[:, 0] for width in widths]
    found.atoms.fill({11: tables[0], 17: tables[1]})
    return found


def features(geometry: Geometry) -> np.ndarray:
    network = model()
    return neighbourhood_features(network.atoms, build_atom_graph(geometry, network.cutoff)).numpy()


def salt(a: float = 5.6, rattle: float = 0.0, seed: int = 0) -> Geometry:
    atoms = bulk("NaCl", "rocksalt", a=a).repeat((1, 1, 2))
    atoms.rattle(rattle, seed=seed)
    return Geometry.of(atoms)


def test_features_do_not_depend_on_rotation_order_or_the_atom_itself():
    atoms = bulk("NaCl", "rocksalt", a=5.6).repeat((1, 1, 2))
    atoms.rattle(0.1, seed=1)
    plain = features(Geometry.of(atoms))
    turn = Rotation.random(random_state=3).as_matrix()
    atoms.set_cell(atoms.cell @ turn.T, scale_atoms=True)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(features(Geometry.of(atoms[order])), plain[order], atol=2e-4)
    alone = Geometry(np.array([11]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    np.testing.assert_allclose(features(alone)[0, 0], np.log(0.011), atol=2e-3)  # ρ⁺ of nothing is 0.001 e/Å³


@pytest.fixture(scope="module")
def known() -> KnownSurroundings:
    structures = [salt(rattle=0.1, seed=seed) for seed in range(20)] + [salt(4.6, 0.05)]
    formulas = ["NaCl"] * 20 + ["NaCl under pressure"]
    return KnownSurroundings.of([g.numbers for g in structures], [features(g) for g in structures], formulas)


def test_distances_grow_away_from_the_training_set(known):
    def mean(geometry):
        return known.distances(geometry.numbers, features(geometry)).mean()

    first = salt(rattle=0.1, seed=0)
    assert mean(first) <= 0.05  # thinned out to that
    ordered = [mean(salt(rattle=0.1, seed=99)), mean(salt(6.4)), mean(salt(7.5))]
    assert 0.0 < ordered[0] < ordered[1] < ordered[2]


def test_a_distance_is_the_root_mean_square_of_standard_deviations():
    rng = np.random.default_rng(0)
    some = rng.normal(5.0, 2.0, (400, 27))
    known = KnownSurroundings.of([np.full(400, 11)], [some], ["a"])
    np.testing.assert_allclose(known.mean, some.mean(axis=0))
    moved = some[:1] + 3.0 * some.std(axis=0)
    nearest = np.sqrt(np.square((moved - some) / some.std(axis=0)).mean(axis=1)).min()
    assert known.distances(np.array([11]), moved)[0] == pytest.approx(nearest)
    assert known.distances(np.array([17]), moved)[0] == np.inf


def test_a_composition_with_many_structures_counts_once_in_the_scale():
    rng = np.random.default_rng(1)
    rare, common = rng.normal(0.0, 1.0, (50, 27)), rng.normal(4.0, 0.01, (50, 27))
    numbers = [np.full(50, 11)] * 2
    once = KnownSurroundings.of(numbers, [rare, common], ["rare", "common"])
    often = KnownSurroundings.of([*numbers, *[numbers[0]] * 8], [rare, *[common] * 9], ["rare", *["common"] * 9])
    np.testing.assert_array_equal(often.scale, once.scale)


def test_the_file_holds_it_to_half_precision(known, tmp_path):
    path = tmp_path / "surroundings.npz"
    known.save(path)
    again, geometry = KnownSurroundings.load(path), salt(6.0, 0.1, seed=7)
    found = features(geometry)
    expected = known.distances(geometry.numbers, found)
    np.testing.assert_allclose(again.distances(geometry.numbers, found), expected, rtol=0.02, atol=2e-3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged"):
        KnownSurroundings.load(path)


def test_rare_elements_and_far_atoms_are_named(known):
    network = model()
    found = TrainingSet({11: 21, 17: 3}, known, far=0.6).compare(network, salt(7.5))
    assert found["rare_elements"] == {"Cl": 3}
    assert found["farthest"] >= found["distance"] > 0.6
    assert found["far_atoms"] == {"Na": 2, "Cl": 2}
    assert len(found["flags"]) == 2
    assert "2 Na, 2 Cl (of 4 atoms)" in found["flags"][1]
    quiet = TrainingSet({11: 21, 17: 21}, known, far=0.6).compare(network, salt(rattle=0.1, seed=0))
    assert (quiet["rare_elements"], quiet["far_atoms"], quiet["flags"]) == ({}, {}, [])


def test_an_element_that_was_never_trained_on_has_no_distance():
    only_chlorine = KnownSurroundings.of([np.full(5, 17)], [np.random.default_rng(0).normal(size=(5, 27))], ["Cl"])
    found = TrainingSet({17: 5}, only_chlorine, far=2.0).compare(model(), salt())
    assert found["distance"] is None
    assert found["far_atoms"]["Na"] == 2
    assert found["rare_elements"] == {"Na": 0}
