"""Sums of edges at their receivers, by torch or, on request, by torch-scatter.

torch's ``index_add`` does the sum. ``CHARGE3NET_SCATTER=torch_scatter`` takes torch-scatter's ``segment_csr`` in its
place (``pip install --no-build-isolation charge3net[scatter]``). Both add in the order of the edges and give the same
numbers within rounding. ``python -m benchmarks.segment_sum`` measures which is faster on your machine.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor

from charge3net.errors import InputError

#: Environment variable with the package for the sums: "torch" (or empty) or "torch_scatter".
SWITCH = "CHARGE3NET_SCATTER"


def has_torch_scatter() -> bool:
    """Whether torch-scatter is installed."""
    return find_spec("torch_scatter") is not None


def uses_torch_scatter() -> bool:
    """Whether torch-scatter does the sums.

    Raises:
        InputError: if :data:`SWITCH` names something else, or torch-scatter without it being installed.
    """
    return _is_torch_scatter(os.environ.get(SWITCH, ""))


@cache
def _is_torch_scatter(name: str) -> bool:
    if name in ("", "torch"):
        return False
    if name != "torch_scatter":
        raise InputError(f"{SWITCH} is torch or torch_scatter, found {name!r}")
    if not has_torch_scatter():
        raise InputError(
            f"{SWITCH}=torch_scatter, but torch-scatter is not installed; "
            "run pip install --no-build-isolation 'charge3net[scatter]', or unset the variable"
        )
    return True


def segment_sum(
    values: Float[Tensor, "edges *features"], receivers: Int[Tensor, "edges"], n_receivers: int
) -> Float[Tensor, "receivers *features"]:
    """[receivers, …] sums of ``values`` over the edges of each receiver; 0 where there is none.

    Args:
        values: [edges, …].
        receivers: [edges] index of the receiver of each edge, ascending.
        n_receivers: number of receivers.

    Raises:
        InputError: as :func:`uses_torch_scatter`.
    """
    if uses_torch_scatter():
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
