"""Sums of edges at their receivers: the one place where torch-scatter may come in.

With torch-scatter installed (``pip install --no-build-isolation charge3net[scatter]``) its ``segment_csr`` does the
sum, otherwise ``index_add``. Both add in the order of the edges and give the same numbers within rounding.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor


@cache
def has_torch_scatter() -> bool:
    """Whether torch-scatter is installed."""
    return importlib.util.find_spec("torch_scatter") is not None


def segment_sum(
    values: Float[Tensor, "edges *features"], receivers: Int[Tensor, "edges"], n_receivers: int
) -> Float[Tensor, "receivers *features"]:
    """[receivers, …] sums of ``values`` over the edges of each receiver; 0 where there is none.

    Args:
        values: [edges, …].
        receivers: [edges] index of the receiver of each edge, ascending.
        n_receivers: number of receivers.
    """
    if has_torch_scatter():
        return segment_sum_scatter(values, receivers, n_receivers)
    return segment_sum_torch(values, receivers, n_receivers)


def segment_sum_torch(
    values: Float[Tensor, "edges *features"], receivers: Int[Tensor, "edges"], n_receivers: int
) -> Float[Tensor, "receivers *features"]:
    """:func:`segment_sum` with torch alone."""
    return values.new_zeros((n_receivers, *values.shape[1:])).index_add(0, receivers, values)


def segment_sum_scatter(
    values: Float[Tensor, "edges *features"], receivers: Int[Tensor, "edges"], n_receivers: int
) -> Float[Tensor, "receivers *features"]:
    """:func:`segment_sum` with torch-scatter's ``segment_csr``."""
    from torch_scatter import segment_csr

    bounds = torch.searchsorted(receivers, torch.arange(n_receivers + 1, device=receivers.device))
    return segment_csr(values, bounds, reduce="sum")
