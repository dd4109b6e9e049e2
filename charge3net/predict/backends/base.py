"""The interface of the backends: the density of one encoded structure on grids and at points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.grid import Grid


@runtime_checkable
class Backend(Protocol):
    """Evaluates the density of one structure.

    Attributes:
        rows: numbers per point: the density in each channel, e/Å³.
        dtype: of these numbers.
        description: for the record of a prediction: "compiled", "triton", or "torch" and why.
    """

    rows: int
    dtype: np.dtype
    description: str

    def grid(
        self,
        grid: Grid,
        out: Shaped[ndarray, "rows points"],
        index: Int[ndarray, "points"] | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write the density at voxels into ``out``.

        Args:
            grid: in the coordinates of the structure.
            out: a row per channel, each contiguous.
            index: flat indices of the voxels, one per column of ``out``; None: all of them.
            report: called with the number of points done and of all, now and then.

        Raises:
            InputError: if a prediction is not finite.
        """

    def points(self, points: Float[ndarray, "points 3"], out: Shaped[ndarray, "rows points"]) -> None:
        """Write the density at any points (Å) into ``out``.

        Raises:
            InputError: if a prediction is not finite.
        """


def check_finite(values: Float[ndarray, "rows points"], points: Float[ndarray, "points 3"]) -> None:
    """Check predictions at some points.

    Raises:
        InputError: naming the first point where a value is not finite.
    """
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        where = ", ".join(f"{x:.3f}" for x in points[int(np.argmin(finite))])
        raise InputError(
            f"the model predicts a number that is not finite at ({where}) Å; check the model and the structure"
        )
