"""What each process of tests/predict/test_distributed.py runs: argv is the folder for the results."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import charge3net.predict.grid_chunks
from charge3net import InputError, Predictor
from charge3net.geometry import Geometry
from charge3net.models.base import DensityModel
from charge3net.predict.distributed import Processes, started_processes
from charge3net.predict.memmap import MemmapAllocator
from tests.helpers import crystals
from tests.helpers.crystals import triclinic
from tests.helpers.gaussians import GaussianAtoms
from tests.helpers.networks import SMALL, small_model


def model_of(architecture: str) -> DensityModel:
    """ChargE3Net in float32, so that compiled kernels read it; the others in float64."""
    model = small_model(architecture)
    return model if architecture == "charge3net" else model.double()


def fail(error: Exception | None) -> None:
    if error is not None:
        raise error


def exchange(processes: Processes) -> None:
    """Gathering, sharing, failing together."""
    parts = processes.gather(np.full((2, 3), processes.rank, dtype=np.float32))
    assert [part.tolist() for part in parts] == ([[[r] * 3] * 2 for r in range(2)] if processes.collects else [])
    assert processes.gather_messages([f"from {processes.rank}"] * processes.rank) == ["from 1"]
    shared = processes.share(lambda: Geometry.of(triclinic()) if processes.collects else None)
    np.testing.assert_array_equal(shared.positions, Geometry.of(triclinic()).positions)
    for wrong in range(2):
        for error in (InputError("no such atom"), KeyError("x")):
            expected = "^no such atom$" if isinstance(error, InputError) else f"^process {wrong}: KeyError: 'x'$"
            with pytest.raises(InputError, match=expected), processes.together():
                fail(error if processes.rank == wrong else None)
    with pytest.raises(InputError, match="invalid literal"):
        processes.share(lambda: int("one"))


def densities(processes: Processes, folder: Path) -> None:
    """Grids read together: all models, with and without symmetry, two channels, in a scratch layout."""
    charge3net.predict.grid_chunks.CHUNK = 37
    found = {}
    for architecture in SMALL:
        predictor = Predictor(model_of(architecture))
        for symmetry in (True, False):
            made = predictor.predict(crystals.rutile(), shape=(6, 6, 4), symmetry=symmetry, processes=processes)
            found[f"{architecture}-{symmetry}"] = made.values
    spin = Predictor(GaussianAtoms(2, dtype=torch.float64))
    found["spin"] = spin.predict(triclinic(), shape=(5, 6, 7), processes=processes).values
    scratch = MemmapAllocator(folder, first_axis_fastest=True, large=1)
    turned = spin.predict(triclinic(), shape=(5, 6, 7), processes=processes, allocate=scratch)
    if processes.collects:
        np.testing.assert_array_equal(turned.values, found["spin"])
        np.savez(folder / "found.npz", **found)
    else:
        assert all(np.isnan(values).all() for values in found.values())
        assert np.isnan(turned.provenance["electrons"])


def failures(processes: Processes) -> None:
    """A number that is not finite, in the last slab of the second process only, is everybody's failure."""
    model = GaussianAtoms()
    read = model.density_at

    def at_the_end(state, probes):
        density = read(state, probes)
        last_row = (probes.points[:, :2] > 0.7 * 5.64).all(dim=1, keepdim=True)
        return density.masked_fill(last_row, torch.inf)

    model.density_at = at_the_end
    with pytest.raises(InputError, match="not finite"):
        Predictor(model).predict(crystals.sodium_chloride(), shape=(4, 4, 8), symmetry=False, processes=processes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with started_processes() as everybody:
        exchange(everybody)
        densities(everybody, Path(sys.argv[1]))
        failures(everybody)
        mine = list(everybody.turns(7))
        Path(sys.argv[1], f"turns-{everybody.rank}").write_text(" ".join(map(str, mine)))
        everybody.gather_messages([])
