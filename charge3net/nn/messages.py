"""The seam between a layer and a compiled kernel that sums its messages.

``charge3net.nn.messages_compiled`` registers itself here when it is imported (the models do that); this package imports
nothing of it. Without it, or where it does not fit, :meth:`Convolution.messages` runs on torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from charge3net.nn.e3nn import o3

if TYPE_CHECKING:
    from charge3net.nn.convolution import Convolution, Edges
    from charge3net.nn.irreps import Blocks

#: (layer, mixed senders, edges) → message blocks, or None where it does not fit.
MessageSum = Callable[["Convolution", "Blocks", "Edges"], dict[o3.Irrep, Tensor] | None]

_registered: list[MessageSum] = []


def register(message_sum: MessageSum) -> None:
    """Ask this function before torch; the last one registered is the only one asked."""
    _registered[:] = [message_sum]


def compiled_messages(layer: Convolution, senders: Blocks, edges: Edges) -> dict[o3.Irrep, Tensor] | None:
    """Message blocks from the registered kernel, or None."""
    return _registered[0](layer, senders, edges) if _registered else None
