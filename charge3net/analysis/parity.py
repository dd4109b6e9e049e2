"""Predicted against true density, as counts on a logarithmic mesh: millions of voxels in a few hundred numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

#: Edges of the bins on both axes, e/Å³; what lies beyond (or is not positive) is counted in the outermost bin.
EDGES = np.logspace(-4.0, 2.0, 121)


def parity_counts(target: Float[ndarray, "voxels"], prediction: Float[ndarray, "voxels"]) -> dict[int, int]:
    """Sparse counts: flat bin (bin of the target · number of bins + bin of the prediction) → voxels."""
    bins = len(EDGES) - 1
    row, column = (np.clip(np.searchsorted(EDGES, v, side="right") - 1, 0, bins - 1) for v in (target, prediction))
    flat, counts = np.unique(row * bins + column, return_counts=True)
    return {int(f): int(c) for f, c in zip(flat, counts, strict=True)}


def parity_image(counts: Mapping[int, int]) -> Int[ndarray, "bins bins"]:
    """[target bin, prediction bin] counts as a dense array."""
    bins = len(EDGES) - 1
    image = np.zeros(bins * bins, dtype=np.int64)
    for flat, count in counts.items():
        image[flat] = count
    return image.reshape(bins, bins)
