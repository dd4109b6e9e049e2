"""One structure: errors of its density matrices, how they turn with it, and GPAW started from them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.graph.build import build_atom_graph
from charge3net.models.occupations import SCALARS, OccupationHead, atom_features
from charge3net.paw.matrices import IRREPS, pack
from charge3net.studies.occupations.training import Example

if TYPE_CHECKING:
    from charge3net.data.store import StoreEntry
    from charge3net.geometry import Geometry
    from charge3net.models.base import DensityModel

#: Where D may come from: neutral atoms, the mean of the element over training atoms (L = 0), the head, the calculation.
NEUTRAL, MEAN, PREDICTED, TRUE = "neutral", "mean", "predicted", "true"

#: Orders of the tensors.
ORDERS = sorted({irrep.l for _, irrep in IRREPS})


def errors(head: OccupationHead, one: Example) -> dict[str, list[list[float]]]:
    """Source of D → for each atom, ‖ΔD‖² of each order L."""
    with torch.no_grad():
        predicted = head(one.graph, one.features)
    mean = torch.zeros_like(predicted)
    mean[:, :SCALARS] = head.centre[one.graph.numbers]
    found = {NEUTRAL: torch.zeros_like(predicted), MEAN: mean, PREDICTED: predicted}
    return {name: _by_order(tensor - one.target) for name, tensor in found.items()}


def _by_order(difference: torch.Tensor) -> list[list[float]]:
    squares = torch.zeros(len(difference), len(ORDERS), dtype=torch.float64)
    for (_, irrep), place in zip(IRREPS, IRREPS.slices(), strict=True):
        squares[:, ORDERS.index(irrep.l)] += difference[:, place].double().square().sum(1)
    return [[float(f"{value:.5g}") for value in row] for row in squares.tolist()]


def turned_error(model: DensityModel, head: OccupationHead, geometry: Geometry, seed: int) -> float:
    """Largest difference of D of the structure turned at random from D turned, over the largest part of L > 0."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.random(random_state=seed).as_matrix()
    turned = replace(geometry, positions=geometry.positions @ turn.T, cell=geometry.cell @ turn.T)
    with torch.no_grad():
        first, second = (
            head(graph, atom_features(model, graph)).double()
            for graph in (build_atom_graph(one, model.cutoff) for one in (geometry, turned))
        )
    wigner = IRREPS.D_from_matrix(torch.from_numpy(turn))
    size = first[:, SCALARS:].abs().max().clamp_min(1e-12)
    return float((second - first @ wigner.T).abs().max() / size)


def calculated(
    entry: StoreEntry,
    starts: Mapping[str, tuple[ndarray, Sequence[ndarray]]],
    command: Sequence[str],
    settings: Mapping[str, float],
) -> dict[str, Any]:
    """What ``command JOB OUT`` says about a structure, and the number of its atoms.

    Where a calculation does not converge (its last line names a ``…ConvergenceError``), that line as ``not_converged``.

    Args:
        entry: the structure, with ``kpts_density`` in its meta data.
        starts: name → valence density [nx, ny, nz] (e/Å³) and density matrices of all atoms.
        command: starts.py of data_prep/open_dft in GPAW's environment.
        settings: ``encut`` and ``smearing`` in eV.

    Raises:
        InputError: if it fails.
    """
    geometry = entry.geometry
    arrays = {name: getattr(geometry, name) for name in ("numbers", "positions", "cell", "pbc")}
    for name, (density, matrices) in starts.items():
        arrays |= {f"density_{name}": density, f"matrices_{name}": pack(matrices)}
    with TemporaryDirectory() as folder:
        job, out = Path(folder, "job.npz"), Path(folder, "out.json")
        text = json.dumps({**settings, "kpts_density": entry.meta["kpts_density"]})
        np.savez(job, settings=text, **arrays)
        try:
            run = subprocess.run([*command, str(job), str(out)], capture_output=True, text=True, check=False)
        except OSError as error:
            raise InputError(
                f"{command[0]} cannot be started ({error.strerror}); run `make gpaw`, or set gpaw=[]"
            ) from None
        if run.returncode or not out.exists():
            lines = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
            if "ConvergenceError" in lines[-1]:
                return {"atoms": len(geometry), "not_converged": lines[-1]}
            raise InputError(f"{entry.key}: {' '.join(command)} failed: {lines[-1]}")
        return {"atoms": len(geometry), **json.loads(out.read_text(encoding="utf-8"))}
