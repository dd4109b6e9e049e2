"""A training that collapses: its loss jumps up and stays there, but is finite."""

from __future__ import annotations

import math
import sys
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

#: Steps over which the logarithm of the loss is averaged; it is looked at so often.
WINDOW = 100

#: A loss that averages this many times its lowest average is said.
TIMES = 1.5


class RisingLoss(Callback):
    """Says, once, that the loss has risen far above its lowest value: such a training seldom recovers.

    Compared are exponential moving averages of the logarithm of the loss, so a few hard batches are no rise.

    Args:
        quiet: print nothing.

    Attributes:
        found: step at which it was seen, and how many times the lowest average the loss then was; None if it was not.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._average: Tensor | None = None
        self._lowest: Tensor | None = None
        self._steps = 0
        self.found: dict[str, float] | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Add the loss of a step; nothing waits for the device but once in a window."""
        self.add(outputs["loss"] if isinstance(outputs, dict) else outputs, trainer.global_step)

    def add(self, loss: Float[Tensor, ""], step: int) -> None:
        """Add one value, of the step that is done now; the lowest average is that of whole windows."""
        logarithm = loss.detach().double().clamp_min(1e-300).log()
        self._steps += 1
        weight = max(1.0 / WINDOW, 1.0 / self._steps)
        before = logarithm if self._average is None else self._average.to(logarithm.device)
        self._average = torch.lerp(before, logarithm, weight)
        if self._steps >= WINDOW:
            lowest = self._average if self._lowest is None else self._lowest.to(logarithm.device)
            self._lowest = torch.minimum(lowest, self._average)
        if self._steps % WINDOW == 0 and self.found is None:
            self._look(step)

    def _look(self, step: int) -> None:
        assert self._average is not None
        assert self._lowest is not None
        times = math.exp(float(self._average - self._lowest))
        if times > TIMES:
            self.found = {"step": float(step), "times": round(times, 2)}
            if not self._quiet:
                self._say()

    @rank_zero_only
    def _say(self) -> None:
        assert self.found is not None
        print(f"warning: {sentence(self.found)}", file=sys.stderr, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """For a resumed run."""
        average, lowest = (None if one is None else float(one) for one in (self._average, self._lowest))
        return {"average": average, "lowest": lowest, "steps": self._steps, "found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._average, self._lowest = (
            None if state_dict[name] is None else torch.tensor(state_dict[name], dtype=torch.float64)
            for name in ("average", "lowest")
        )
        self._steps, self.found = int(state_dict["steps"]), state_dict["found"]


def sentence(found: dict[str, float]) -> str:
    """What was found, and what helps."""
    return (
        f"at step {found['step']:.0f} the training loss was {found['times']:.1f} times its lowest average and the "
        "training may have collapsed: take a smaller optim.lr, optim.betas=[0.9,0.99], or a longer rise "
        "(optim.schedule.warmup_steps)"
    )
