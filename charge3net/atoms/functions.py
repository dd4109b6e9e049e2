"""What models look up of an atom: its density, slope and curvature, and its density smoothed by Gaussians."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.atoms.splines import STEP, table_nodes, table_of, values_at

#: Widths of the Gaussians, Å.
SMOOTHING = (0.5, 1.0, 2.0)

#: Functions of an atom: f, f'/r, ∇²f, then f smoothed by each width.
N_FUNCTIONS = 3 + len(SMOOTHING)

#: Points per step in the convolution.
_FINE = 20


def window(lengths: Float[ndarray, "n"], reach: float) -> Float[ndarray, "n"]:
    """(1 − (r/reach)⁴)³: 1 at the nucleus; value, slope and curvature 0 at the reach."""
    return (1.0 - (lengths / reach) ** 4) ** 3


def smoothed(coefficients: Float[ndarray, "rows"], width: float) -> Float[ndarray, "nodes"]:
    """A radial function convolved with a normalised Gaussian in three dimensions, at the nodes of its table.

    ``(f ∗ G)(r) = ∫₀^∞ ds s f(s) [g(r − s) − g(r + s)] / r``, g the normalised Gaussian in one dimension.
    """
    steps = len(coefficients) - 3
    s = (np.arange(_FINE * steps) + 0.5) * (STEP / _FINE)
    f = values_at(coefficients[:, None], s)[:, 0]
    r = np.maximum(np.arange(steps + 1) * STEP, 1e-4)[:, None]
    gaussians = np.exp(-((r - s) ** 2) / (2 * width**2)) - np.exp(-((r + s) ** 2) / (2 * width**2))
    return gaussians @ (s * f) * (STEP / _FINE) / (width * np.sqrt(2 * np.pi) * r[:, 0])


def functions_of(coefficients: Float[ndarray, "rows"], reach: float) -> Float[ndarray, "rows functions"]:
    """[rows, functions] tables of f, f'/r, ∇²f and the smoothed f times :func:`window`, from that of f.

    The derivatives are splines through the derivatives of f at the nodes, so that all functions have two continuous
    derivatives; f itself is taken as it is.
    """
    c, r = coefficients, table_nodes(reach)
    slope = (c[2:] - c[:-2]) / (2 * STEP)
    curvature = (c[:-2] - 2 * c[1:-1] + c[2:]) / STEP**2
    over_r = np.where(r > 0, slope / np.maximum(r, STEP), curvature)
    columns = [over_r, curvature + 2 * over_r, *(smoothed(c, width) * window(r, reach) for width in SMOOTHING)]
    return np.concatenate([c[:, None], table_of(np.stack(columns, axis=1))], axis=1)
