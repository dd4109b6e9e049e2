"""Large structures and grids: what is done in pieces gives what is done at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

import charge3net.graph.chunks
import charge3net.predict.grid_chunks
from charge3net import Grid, InputError, Predictor, read_density
from charge3net.cli.main import main
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.graph.chunks import atom_chunks, receiver_chunks
from charge3net.io import write_density
from charge3net.models.registry import build_model
from charge3net.predict.memmap import MemmapAllocator
from tests.helpers import crystals
from tests.helpers.crystals import triclinic
from tests.helpers.gaussians import GaussianAtoms, superposition
from tests.helpers.networks import SMALL


def shaken(repeat: int = 2) -> Atoms:
    """A supercell whose atoms stand in no order."""
    atoms = crystals.barium_vanadium_sulfide().repeat(repeat)
    atoms.rattle(0.05, seed=2)
    return atoms[np.random.default_rng(0).permutation(len(atoms))]


@pytest.mark.parametrize("max_edges", [1, 5, 12, 1000])
def test_pieces_hold_every_receiver_and_edge_once(max_edges):
    counts = np.array([0, 3, 0, 7, 1, 1, 12, 0, 0, 2, 0])
    receivers = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    pieces = list(receiver_chunks(receivers, len(counts), max_edges))
    assert [r.start for r, _ in pieces] == [0, *(r.stop for r, _ in pieces[:-1])]
    assert pieces[-1][0].stop == len(counts)
    for own, edges in pieces:
        assert edges.stop - edges.start == counts[own].sum()
        assert (receivers[edges] >= own.start).all()
        assert (receivers[edges] < own.stop).all()
        assert counts[own].sum() <= max_edges or own.stop - own.start == 1


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # float32 takes the compiled sums where there are any
def test_atoms_encoded_in_pieces(architecture, dtype, monkeypatch):
    torch.manual_seed(0)
    model = build_model(architecture, SMALL[architecture]).to(dtype)
    atoms = build_atom_graph(Geometry.of(shaken()), model.cutoff)
    whole = model.encode_atoms(atoms)
    monkeypatch.setattr(charge3net.graph.chunks, "EDGES_AT_ONCE", 100)
    with torch.no_grad():
        assert len(atom_chunks(atoms)) > 5
        pieces = model.encode_atoms(atoms)
    assert len(atom_chunks(atoms)) == 1, "with gradients there are no pieces"
    for one, other in zip(whole.layers, pieces.layers, strict=True):
        assert one.requires_grad
        assert not other.requires_grad
        tolerance = 1e-13 if dtype is torch.float64 else 2e-6
        assert float((one - other).detach().abs().max()) <= tolerance * float(one.detach().abs().max())


@pytest.mark.parametrize("architecture", SMALL)
def test_reading_needs_only_the_atoms_that_are_heard(architecture, monkeypatch):
    torch.manual_seed(0)
    model, atoms = build_model(architecture, SMALL[architecture]).double(), shaken()
    points = np.random.default_rng(1).uniform(0, 12, size=(60, 3))
    predictor = Predictor(model, edge_budget=40)
    every = predictor.at(atoms, points)
    seen: list[int] = []
    read = model.density_at
    monkeypatch.setattr(
        model, "density_at", lambda state, probes: seen.append(len(state.layers[0])) or read(state, probes)
    )
    monkeypatch.setattr(charge3net.graph.chunks, "MANY_ATOMS", 10)
    np.testing.assert_allclose(predictor.at(atoms, points), every, rtol=0, atol=1e-13 * np.abs(every).max())
    assert max(seen) <= 40 < len(atoms)


@pytest.mark.parametrize("first_axis_fastest", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_grid_in_a_scratch_file(tmp_path, monkeypatch, first_axis_fastest, channels):
    monkeypatch.setattr(charge3net.predict.grid_chunks, "CHUNK", 50)
    monkeypatch.setattr(charge3net.predict.grid_chunks, "CHUNK", 50)
    predictor = Predictor(GaussianAtoms(channels, dtype=torch.float64))
    scratch = MemmapAllocator(tmp_path, first_axis_fastest, large=1)
    density = predictor.predict(triclinic(), shape=(6, 7, 8), allocate=scratch)
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    assert density.total.flags.f_contiguous is first_axis_fastest
    assert density.total.flags.c_contiguous is not first_axis_fastest
    expected = superposition(density.geometry, density.grid.points())
    np.testing.assert_allclose(density.total.ravel(), expected, rtol=0, atol=1e-12 * expected.max())
    if channels == 2:
        np.testing.assert_allclose(density.spin, 0.1 * density.total)
    in_memory = predictor.predict(triclinic(), shape=(6, 7, 8))
    for name in ("CHGCAR", "rho.cube", "rho.npz"):
        density.write(tmp_path / name)
        again = read_density(tmp_path / name)
        write_density(in_memory, tmp_path / f"memory_{name}")
        np.testing.assert_array_equal(again.values, read_density(tmp_path / f"memory_{name}").values)


def test_symmetry_and_scaling_in_a_scratch_file(tmp_path):
    predictor = Predictor(GaussianAtoms())
    scratch = MemmapAllocator(tmp_path, first_axis_fastest=True, large=1)
    density = predictor.predict(crystals.rutile(), shape=(8, 8, 6), electrons=8.0, allocate=scratch)
    assert density.electrons() == pytest.approx(8.0)
    plain = predictor.predict(crystals.rutile(), shape=(8, 8, 6), electrons=8.0, symmetry=False)
    assert "fewer" in density.provenance["symmetry"]
    np.testing.assert_allclose(density.values, plain.values, rtol=1e-5)


def test_small_arrays_stay_in_memory(tmp_path):
    array = MemmapAllocator(tmp_path, first_axis_fastest=True)((1, 2, 3, 4), np.dtype(np.float32))
    assert not isinstance(array, np.memmap)
    assert array.shape == (1, 2, 3, 4)


def test_no_space_is_one_sentence(tmp_path, monkeypatch):
    def full(file: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no space for 8\.0 GB of densities \(No space left on device\)"):
        MemmapAllocator(tmp_path, first_axis_fastest=False)((2, 1024, 1024, 1024), np.dtype(np.float32))
    assert list(tmp_path.iterdir()) == []


def test_layouts_that_are_none():
    values = np.zeros((1, 4, 4, 4))[:, ::2]
    with pytest.raises(ValueError, match="contiguous"):
        charge3net.predict.grid_chunks.in_memory_order(values)


def test_the_command_writes_a_large_grid_from_a_scratch_file(tmp_path, monkeypatch, capsys):
    from charge3net.checkpoints import ModelCard, save_model

    torch.manual_seed(0)
    model = build_model("charge3net", SMALL["charge3net"])
    save_model(tmp_path / "model", model, ModelCard.of(model))
    shaken(1).write(tmp_path / "POSCAR", format="vasp", sort=True)
    arguments = ["predict", f"{tmp_path}/POSCAR", "--model", f"{tmp_path}/model", "--shape", "9", "8", "7", "--quiet"]
    assert main([*arguments, "-o", f"{tmp_path}/CHGCAR.memory"]) == 0
    made: list[np.ndarray] = []

    def call(self: MemmapAllocator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        made.append(large(MemmapAllocator(self.folder, self.first_axis_fastest, large=1), shape, dtype))
        return made[-1]

    large = MemmapAllocator.__call__
    monkeypatch.setattr(MemmapAllocator, "__call__", call)
    assert main([*arguments, "-o", f"{tmp_path}/CHGCAR.file"]) == 0
    assert isinstance(made[0], np.memmap)
    assert made[0][0].flags.f_contiguous
    memory, file = (read_density(Path(tmp_path, f"CHGCAR.{kind}")) for kind in ("memory", "file"))
    np.testing.assert_allclose(file.values, memory.values, rtol=0, atol=2e-6 * np.abs(memory.values).max())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CHGCAR.file", "CHGCAR.memory", "POSCAR", "model"]


def test_first_axis_fastest_lists_every_voxel_in_a_chgcars_order():
    grid = Grid(np.eye(3), (3, 4, 5))
    index = charge3net.predict.grid_chunks.first_axis_fastest(grid.shape)(0, 60)
    assert index[:4].tolist() == [0, 20, 40, 5]
    np.testing.assert_array_equal(index, np.arange(60).reshape(3, 4, 5).ravel(order="F"))
