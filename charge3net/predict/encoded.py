"""One structure, encoded once, and its density on grids and at points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from numpy.typing import ArrayLike

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.cell_list import sorted_in_space
from charge3net.graph.types import AtomGraph, AtomState
from charge3net.grid import Grid
from charge3net.models.base import DensityModel
from charge3net.predict.backends.choose import choose_backend
from charge3net.predict.distributed import ALONE, Processes
from charge3net.predict.grid_chunks import (
    evaluate_chunks,
    first_axis_fastest,
    in_memory_order,
    is_first_axis_fastest,
)
from charge3net.predict.symmetry import GridSymmetry
from charge3net.progress import Clock, Progress


class EncodedStructure:
    """The atoms of one structure, encoded once, and ways to evaluate their density.

    Args:
        model: on the device where it is to run.
        geometry: the structure; its periodicity is used as it is.
        atoms: its graph with the model's cutoff.
        edge_budget: pairs of probe and atom given to torch at once; a single probe may have more.
        clock: adds up the times of "atoms", "neighbours", "reading" (the evaluation) and "spreading".

    Attributes:
        state: the encoded atoms.
        geometry: the structure, atoms in the order of the state.
        backend: evaluates the density: kernels on CPU or GPU where they can, else torch.
    """

    def __init__(
        self, model: DensityModel, geometry: Geometry, atoms: AtomGraph, edge_budget: int, clock: Clock
    ) -> None:
        self.clock = clock
        with clock("atoms"):
            self.geometry, self.state = encode_sorted(model, geometry, atoms)
            self.backend = choose_backend(model, self.state, self.geometry, edge_budget, clock)

    def density_on(
        self,
        values: Shaped[ndarray, "channels nx ny nz"] | None,
        grid: Grid,
        symmetry: GridSymmetry | None,
        report: Progress,
        processes: Processes = ALONE,
    ) -> None:
        """Write the density at the voxels of ``grid`` into ``values``, e/Å³.

        Args:
            values: needed in the process that collects; contiguous, in C order or with the first axis fastest. It is
                written front to back, such that it may lie in a file.
            grid: in the coordinates of the structure.
            symmetry: evaluate irreducible voxels only, and copy them to the others.
            report: called with the number of points done and of all.
            processes: the processes that share the grid.

        Raises:
            InputError: if a prediction is not finite.
        """
        flat = None if values is None else in_memory_order(values)
        if symmetry is None:
            turned = processes.share(lambda: values is not None and is_first_axis_fastest(values))
            voxels = first_axis_fastest(grid.shape) if turned else None
            with self.clock("reading"):
                evaluate_chunks(self.backend, grid, flat, len(grid), voxels, processes, report)
            return
        irreducible = symmetry.representatives
        few = np.empty((self.backend.rows, len(irreducible)), dtype=self.backend.dtype)
        with self.clock("reading"):
            evaluate_chunks(self.backend, grid, few, len(irreducible), lambda a, b: irreducible[a:b], processes, report)
        if values is not None:
            with self.clock("spreading"):
                for channel, evaluated in zip(values, few, strict=True):
                    symmetry.spread(evaluated, channel)

    def density_at(self, points: Float[ndarray, "points 3"], values: Shaped[ndarray, "channels points"]) -> None:
        """Write the density at any points (Å) into ``values``, e/Å³.

        Raises:
            InputError: if a prediction is not finite.
        """
        with self.clock("reading"):
            self.backend.points(points, values)


def encode_sorted(model: DensityModel, geometry: Geometry, atoms: AtomGraph) -> tuple[Geometry, AtomState]:
    """The encoded atoms; those of a large structure in an order in which neighbours are near in memory.

    Args:
        model: on the device where it is to run.
        geometry: the structure.
        atoms: its graph with the model's cutoff.

    Returns:
        The structure with its atoms in the order of the state, and the state.
    """
    geometry, atoms = sorted_in_space(geometry, atoms)
    with torch.no_grad(), _one_thread():
        return geometry, model.encode_atoms(atoms.to(model.device))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Many small operations: with more threads they wait for each other, on a busy machine for seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def as_points(points: ArrayLike) -> Float[ndarray, "points 3"]:
    """Positions that a user gave, [n, 3] Å in float64.

    Raises:
        InputError: if they are something else.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
        raise InputError(f"points are finite Cartesian positions [n, 3] in Å, found shape {places.shape}")
    return places
