"""Predictor: against Gaussians summed by hand, against the published outputs, and against itself."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from pymatgen.core import Molecule

from charge3net import Predictor
from charge3net.checkpoints import ModelCard, save_model
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.graph.chunks import chunk_probes
from charge3net.grid import Grid
from charge3net.predict.electrons import check_electrons
from tests.helpers import crystals
from tests.helpers.crystals import triclinic
from tests.helpers.gaussians import GaussianAtoms, superposition
from tests.helpers.golden import golden_cases, golden_state, relative_error
from tests.helpers.networks import SMALL, small_model


@pytest.mark.parametrize("make", [triclinic, crystals.sodium_chloride, crystals.quartz])
@pytest.mark.parametrize("symmetry", [True, False])
def test_every_voxel_of_a_crystal_is_the_sum_over_all_images(make, symmetry):
    predicted = Predictor(GaussianAtoms(dtype=torch.float64)).predict(make(), shape=(12, 10, 12), symmetry=symmetry)
    expected = superposition(predicted.geometry, predicted.grid.points())
    assert predicted.values.dtype == np.float64
    np.testing.assert_allclose(predicted.total.ravel(), expected, rtol=0, atol=1e-12 * expected.max())


def test_electrons_are_those_put_in():
    density = Predictor(GaussianAtoms()).predict(triclinic(), spacing=0.2)
    assert density.electrons() == pytest.approx(14.0, abs=1e-4)
    assert density.values.dtype == np.float32


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("make", [crystals.silicon, crystals.rutile, crystals.quartz])
def test_with_symmetry_as_without(architecture, make):
    """To rounding in float64, and in float32 no farther from it than the full read is."""
    predictor = Predictor(small_model(architecture))
    few = predictor.predict(make(), shape=(8, 8, 6))
    every = predictor.predict(make(), shape=(8, 8, 6), symmetry=False)
    assert "fewer" in few.provenance["symmetry"]
    assert every.provenance["symmetry"] == "not used: switched off"
    predictor.model.double()
    exact = predictor.predict(make(), shape=(8, 8, 6), symmetry=False).values
    largest = np.abs(exact).max()
    assert np.ptp(exact) > 0.1 * largest  # a constant would prove nothing
    again = predictor.predict(make(), shape=(8, 8, 6)).values
    assert np.abs(again - exact).max() <= 1e-12 * largest
    assert np.abs(few.values - exact).max() <= 2 * np.abs(every.values - exact).max() + 1e-7 * largest


@pytest.mark.parametrize("name", ["e3_l2", "schnet", "painn"])
def test_at_gives_what_the_published_code_gave(name, tmp_path):
    torch.save(golden_state(name), tmp_path / "weights.pt")
    predictor = Predictor.from_checkpoint(tmp_path / "weights.pt", device="cpu", edge_budget=50)
    predictor.model.double()
    for case in golden_cases(name):
        density = predictor.at(case.geometry, case.arrays["probes"])
        assert density.shape == (len(case.arrays["probes"]),)
        assert relative_error(density, case.arrays["output"]) < 1e-9


def test_grid_and_points_agree():
    predictor = Predictor(small_model("charge3net"))
    density = predictor.predict(triclinic(), shape=(4, 5, 6))
    np.testing.assert_allclose(predictor.at(triclinic(), density.grid.points()), density.total.ravel(), rtol=1e-5)


@pytest.mark.parametrize("budget", [1, 37, 10_000])
def test_edges_at_a_time_are_bounded_and_every_voxel_read_once(budget):
    model = GaussianAtoms(dtype=torch.float64)
    density = Predictor(model, edge_budget=budget).predict(triclinic(), shape=(6, 6, 6))
    expected = superposition(density.geometry, density.grid.points())
    np.testing.assert_allclose(density.total.ravel(), expected, atol=1e-10)
    assert model.encoded == 1
    assert sum(model.probes_seen) == 216
    one_probe_too_many = [e > budget and p > 1 for e, p in zip(model.edges_seen, model.probes_seen, strict=True)]
    assert not any(one_probe_too_many)
    assert (len(model.probes_seen) == 216) == (budget == 1)


def test_a_clump_in_a_large_box_stays_within_the_budget():
    clump = Atoms("H40", np.random.default_rng(0).normal(scale=1.0, size=(40, 3)) + 20, cell=[40, 40, 40], pbc=True)
    model = GaussianAtoms()
    with pytest.warns(UserWarning, match="only 0"):
        density = Predictor(model, edge_budget=2000).predict(clump, shape=(60, 60, 60), symmetry=False)
    assert max(model.edges_seen) <= 2000
    assert density.electrons() == pytest.approx(40, rel=1e-2)


def test_split_probes_keeps_every_edge():
    geometry = Geometry.of(triclinic())
    points = Grid(geometry.cell, (3, 3, 3)).points()
    graph = build_probe_graph(geometry, points, 4.0)
    pieces = list(chunk_probes(graph, 40))
    assert len(pieces) > 3
    first, rebuilt = 0, []
    for piece in pieces:
        rebuilt.append(torch.stack([piece.receivers + first, piece.senders]))
        assert piece.offsets.tolist() == [0, piece.n_probes]
        first += piece.n_probes
    assert torch.equal(torch.cat(rebuilt, dim=1), torch.stack([graph.receivers, graph.senders]))
    assert torch.equal(torch.cat([piece.shifts for piece in pieces]), graph.shifts)
    assert torch.equal(torch.cat([piece.points for piece in pieces]), graph.points)


@pytest.mark.parametrize("water", [molecule("H2O"), Molecule("OHH", molecule("H2O").positions)])
def test_a_molecule_without_a_cell_gets_a_box(water):
    density = Predictor(GaussianAtoms(dtype=torch.float64)).predict(water, spacing=0.25)
    positions = molecule("H2O").positions
    np.testing.assert_allclose(np.diag(density.grid.cell), np.ptp(positions, axis=0) + 8.0)
    np.testing.assert_allclose(density.grid.origin, positions.min(axis=0) - 4.0)
    np.testing.assert_array_equal(density.geometry.positions, positions)
    expected = superposition(density.geometry, density.grid.points())
    np.testing.assert_allclose(density.total.ravel(), expected, atol=1e-10)
    assert density.electrons() == pytest.approx(10.0, abs=1e-6)
    assert "put in a box" in density.provenance["notes"][0]


def test_a_slab_without_a_third_vector_gets_one():
    slab = Atoms(
        "C2", [[0, 0, 0], [0, 1.4, 1.0]], cell=[[2.5, 0.3, 0], [0, 4.2, 0], [0, 0, 0]], pbc=[True, True, False]
    )
    density = Predictor(GaussianAtoms(dtype=torch.float64)).predict(slab, spacing=0.25)
    np.testing.assert_allclose(density.geometry.cell[2], [0, 0, 9.0])
    np.testing.assert_allclose(density.grid.origin, [0, 0, -4.0])
    assert density.electrons() == pytest.approx(12.0, abs=1e-6)
    expected = superposition(density.geometry, density.grid.points())
    np.testing.assert_allclose(density.total.ravel(), expected, atol=1e-10)


def test_a_model_without_periodic_images_gets_none():
    model = GaussianAtoms(dtype=torch.float64, ignore_pbc=True)
    with pytest.warns(UserWarning, match="without periodic images"):
        density = Predictor(model).predict(crystals.silicon(), shape=(8, 8, 8))
    cut_out = Geometry(density.geometry.numbers, density.geometry.positions, density.geometry.cell, np.zeros(3, bool))
    expected = superposition(cut_out, density.grid.points())
    np.testing.assert_allclose(density.total.ravel(), expected, atol=1e-10)
    assert density.provenance["symmetry"] == "not used: the model ignores periodic images"
    assert density.geometry.pbc.all()


def test_two_channels():
    predictor = Predictor(GaussianAtoms(channels=2))
    density = predictor.predict(crystals.silicon(), shape=(8, 8, 8))
    np.testing.assert_allclose(density.spin, 0.1 * density.total, rtol=1e-6)
    assert predictor.at(crystals.silicon(), np.zeros((3, 3))).shape == (3, 2)
    assert predictor.at(crystals.silicon(), np.zeros((0, 3))).shape == (0, 2)


def test_a_channel_that_is_no_scalar_leaves_out_improper_operations():
    class Pseudoscalar(GaussianAtoms):
        channel_parity = (1, -1)

    predictor = Predictor(Pseudoscalar(channels=2))
    plain = Predictor(GaussianAtoms(channels=2)).predict(crystals.rutile(), shape=(8, 8, 6))
    assert plain.provenance["symmetry"].startswith("16 operations")
    assert predictor.predict(crystals.rutile(), shape=(8, 8, 6)).provenance["symmetry"].startswith("8 operations")


def test_scaling_to_a_number_of_electrons_touches_the_total_alone():
    predictor = Predictor(GaussianAtoms(channels=2))
    plain = predictor.predict(crystals.silicon(), shape=(8, 8, 8))
    scaled = predictor.predict(crystals.silicon(), shape=(8, 8, 8), electrons=8.0)
    assert scaled.electrons() == pytest.approx(8.0)
    assert scaled.provenance["scaled_by"] == pytest.approx(8.0 / plain.electrons())
    np.testing.assert_array_equal(scaled.spin, plain.spin)


def test_electrons_that_are_no_number_are_refused():
    with pytest.raises(InputError, match="electrons is a positive number"):
        Predictor(GaussianAtoms()).predict(crystals.silicon(), shape=(8, 8, 8), electrons=-1.0)
    for wrong in (0, float("nan"), float("inf"), True, "neutral", "8", [8.0]):
        with pytest.raises(InputError, match="electrons is a positive number, 'valence' or 'none', found"):
            check_electrons(wrong)
    for right in (None, "valence", "none", 8, np.float32(8.0)):
        check_electrons(right)


def test_grids_a_caller_can_ask_for():
    predictor = Predictor(GaussianAtoms())
    silicon = crystals.silicon()  # vectors of 3.8396 Å
    assert predictor.predict(silicon).grid.shape == (40, 40, 40)  # 38.4 voxels at 0.1 Å; 40 has small factors only
    assert predictor.predict(silicon, spacing=0.5).grid.shape == (8, 8, 8)
    encut = Grid.from_encut(silicon.cell.array, 100.0)
    assert predictor.predict(silicon, encut=100.0).grid.same_as(encut)
    shifted = Grid(silicon.cell.array, (3, 4, 5), np.array([0.1, 0.2, 0.3]))
    density = predictor.predict(silicon, grid=shifted)
    assert density.grid is shifted
    assert predictor.predict(silicon, like=density).grid.same_as(shifted)
    strained = silicon.copy()
    strained.set_cell(silicon.cell * 1.01, scale_atoms=True)
    with pytest.warns(UserWarning, match="only the number of voxels"):
        other = predictor.predict(strained, like=density)
    assert other.grid.shape == (3, 4, 5)
    np.testing.assert_allclose(other.grid.cell, strained.cell.array)


def test_a_molecule_without_a_cell_takes_the_grid_it_is_given():
    water = molecule("H2O")
    grid = Grid(np.diag([8.0, 9.0, 10.0]), (32, 36, 40), np.array([-4.0, -4.5, -5.0]))
    predictor = Predictor(GaussianAtoms(dtype=torch.float64))
    density = predictor.predict(water, grid=grid)
    np.testing.assert_array_equal(density.geometry.positions, water.positions)
    np.testing.assert_allclose(density.total.ravel(), superposition(density.geometry, grid.points()), atol=1e-10)
    like = predictor.predict(water, like=density)
    np.testing.assert_array_equal(like.values, density.values)
    with pytest.warns(UserWarning, match=r"3 atom\(s\) lie outside the grid"):
        predictor.predict(water, grid=Grid(grid.cell, (4, 4, 4), np.array([20.0, 0.0, 0.0])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (4, 4, 4), "spacing": 0.1}, "give one of shape, spacing.*not shape and spacing"),
        ({"shape": (4, 0, 4)}, "three positive integers"),
        ({"spacing": -0.1}, "positive length"),
        ({"encut": float("nan")}, "positive energy"),
        ({"shape": (10**6, 10**6, 10**6)}, "does not fit in memory"),
    ],
)
def test_grids_that_are_none(options, message):
    with pytest.raises(InputError, match=message):
        Predictor(GaussianAtoms()).predict(crystals.silicon(), **options)


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (Atoms("H", cell=[1, 1, 0], pbc=True), "needs a cell with a volume"),
        (
            Atoms("H", cell=[1, 1, 0], pbc=[False, False, True]),
            "periodic direction of the structure has no cell vector",
        ),
        (Atoms("H", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 0]]), "do not span a volume"),
        (Atoms("H", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]]), "do not span a volume"),
        ("POSCAR", "POSCAR: cannot be read"),
    ],
)
def test_structures_that_are_none(structure, message):
    with pytest.raises(InputError, match=message):
        Predictor(GaussianAtoms()).predict(structure, shape=(2, 2, 2))


def test_elements_the_model_has_not_seen():
    model = GaussianAtoms()
    card = ModelCard.of(model, elements=[8])
    with pytest.warns(UserWarning, match="not trained on C:"):
        density = Predictor(model, card).predict(triclinic(), shape=(2, 2, 2))
    assert "not trained on C" in density.provenance["warnings"][0]
    with pytest.raises(InputError, match="not trained on C"):
        Predictor(model, card, strict_elements=True).at(triclinic(), np.zeros((1, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Predictor(model, ModelCard.of(model, elements=[6, 8])).predict(triclinic(), shape=(2, 2, 2))
        Predictor(model, ModelCard.of(model)).predict(triclinic(), shape=(2, 2, 2))
    with pytest.raises(InputError, match=r"site 0 \(X\) is a dummy or ghost atom"):
        Predictor(model).at(Atoms("X", [[0, 0, 0]]), np.zeros((1, 3)))


def test_a_prediction_that_is_not_finite_is_refused():
    model = GaussianAtoms()
    with torch.no_grad():
        model.scale.fill_(float("inf"))
    with pytest.raises(InputError, match=r"not finite at \(0.000, 0.000, 0.000\)"):
        Predictor(model).predict(crystals.silicon(), shape=(4, 4, 4))


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((2, 2)), np.full((1, 3), np.nan)])
def test_points_that_are_none(points):
    with pytest.raises(InputError, match="finite Cartesian positions"):
        Predictor(GaussianAtoms()).at(crystals.silicon(), points)


def test_bad_settings():
    with pytest.raises(InputError, match="edge budget"):
        Predictor(GaussianAtoms(), edge_budget=0)
    with pytest.raises(InputError, match="'abacus' cannot be used"):
        Predictor(GaussianAtoms(), device="abacus")


def test_progress_counts_the_points_that_are_read():
    calls = []
    predictor = Predictor(GaussianAtoms(), edge_budget=300)
    predictor.predict(triclinic(), shape=(6, 6, 6), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (216, 216)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert len(calls) > 3


def test_the_bar_shows_a_rate(capsys):
    Predictor(GaussianAtoms()).predict(triclinic(), shape=(6, 6, 6), progress=True)
    assert "points" in capsys.readouterr().err


def test_provenance_identifies_the_model_and_can_be_written_as_json():
    model = GaussianAtoms()
    first = Predictor(model).predict(triclinic(), shape=(2, 3, 4)).provenance
    assert json.loads(json.dumps(first)) == first
    assert first["model"]["architecture"] == "gaussians"
    assert first["shape"] == [2, 3, 4]
    assert first["symmetry"].startswith("not used: the structure has no symmetry")
    assert set(first["seconds"]) == {"neighbours", "atoms", "symmetry", "reading"}
    with torch.no_grad():
        model.scale.fill_(2.0)
    second = Predictor(model).predict(triclinic(), shape=(2, 3, 4)).provenance
    assert first["model"]["weights_sha256"] != second["model"]["weights_sha256"]


def test_from_a_checkpoint_the_same_numbers(tmp_path):
    model = small_model("painn")
    save_model(tmp_path / "best", model, ModelCard.of(model, elements=[6, 8], data={"name": "two atoms"}))
    loaded = Predictor.from_checkpoint(tmp_path / "best").predict(triclinic(), shape=(4, 4, 4))
    direct = Predictor(model).predict(triclinic(), shape=(4, 4, 4))
    assert isinstance(loaded, Density)
    np.testing.assert_array_equal(loaded.values, direct.values)
    assert loaded.provenance["model"]["data"] == {"name": "two atoms"}
