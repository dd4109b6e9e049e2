"""DensityTask: how any density model is trained and validated, as a LightningModule."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from torch import Tensor

from charge3net.graph.types import DensityBatch
from charge3net.models.base import DensityModel
from charge3net.train.config import OptimConfig
from charge3net.train.losses import Loss, structure_sums
from charge3net.train.optimisers import build_optimiser
from charge3net.train.schedule import Schedule

#: The best model has the lowest ε_mae in %, mean over validation materials.
MONITOR = "val/emae"


class DensityTask(pl.LightningModule):
    """Loss, validation and optimiser around a model.

    Logged: ``train/loss`` (mean over the steps since the last line), ``train/lr``, ``train/structures_per_s``, and at a
    validation ``val/emae`` (%, mean over materials), ``val/emae_se`` (its standard error), ``val/loss``.
    The step of a line is the number of optimiser steps done.

    Several processes give what one process with the union of their batches gives: a loss is a sum over a count, and the
    counts of all processes are added before the division.

    Args:
        model: the network; its dtype is what losses are computed in.
        loss: what is minimised.
        optim: settings of the optimiser.
        schedule: factor of the learning rate as a function of the step.
        log_every: steps between logged lines.
        ema: decay of the running average of the weights; None: no average.
    """

    def __init__(
        self,
        model: DensityModel,
        loss: Loss,
        optim: OptimConfig,
        schedule: Schedule,
        log_every: int = 50,
        ema: float | None = None,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.optim, self.schedule = model, loss, optim, schedule
        self.log_every, self.ema = log_every, ema
        self.average: DensityModel | None = None
        if ema is not None:
            self.average = copy.deepcopy(model).requires_grad_(False)
        self.latest_line: dict[str, float] = {}
        self._window = _Window()
        self._validation: list[Float[Tensor, "sums"]] = []

    @property
    def weights_for_use(self) -> DensityModel:
        """The model that is validated and saved: the running average where there is one."""
        return self.model if self.average is None else self.average

    def configure_optimizers(self) -> Any:
        """The optimiser, with the learning rate following the schedule step by step."""
        optimiser = build_optimiser(self.optim, self.model.parameters())
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, self.schedule)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: DensityBatch, batch_idx: int) -> Float[Tensor, ""]:
        """The loss of a batch, scaled such that the mean over processes is the loss of their union."""
        prediction = self.model(batch).to(self.model.dtype)  # autocast gives bfloat16
        total, count = self._loss_sums(prediction, batch)
        if self._world == 1:
            loss = total / count
        else:
            loss = total * self._world / self._add_over_processes(total.new_tensor(count))
        self._window.add(loss.detach(), len(batch.keys))
        if (self.global_step + 1) % self.log_every == 0:
            self._log_window()
        return loss

    def _loss_sums(
        self, prediction: Float[Tensor, "probes channels"], batch: DensityBatch
    ) -> tuple[Float[Tensor, ""], int]:
        target = batch.target.to(prediction.dtype)
        return self.loss.sums(prediction, target, batch.probes.offsets, batch.mean_density)

    def _log_window(self) -> None:
        """Write a line; its step counts the one under way."""
        step = self.global_step
        loss, rate = self._window.close()
        if self._world > 1:
            loss = self._add_over_processes(loss) / self._world
        lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        values = {"train/loss": float(loss), "train/structures_per_s": rate * self._world, "train/lr": lr}
        self.latest_line = values
        self._write(values, step + 1)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Lightning's step, and after it that of the averaged weights."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.average is not None:
            self._advance_average(self.global_step + 1)

    @torch.no_grad()
    def _advance_average(self, step: int) -> None:
        assert self.average is not None
        assert self.ema is not None
        # Run-in, as long as fewer steps are done than the decay remembers: polynomial-decay averaging (Shamir, Zhang,
        # ICML 2013, η = 9), in which step t counts as t(t+1)…(t+8), so that the first weights are soon forgotten.
        weight = max(1.0 - self.ema, 10.0 / (step + 9.0))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), weight)

    def on_validation_epoch_start(self) -> None:
        """Begin with empty sums."""
        self._validation = []

    def validation_step(self, batch: DensityBatch, batch_idx: int) -> None:
        """Add ε_mae of each structure of the batch, and the loss, to this process's sums."""
        prediction = self.weights_for_use(batch).to(self.model.dtype)
        target = batch.target.to(prediction.dtype)
        absolute, reference = structure_sums(prediction[:, 0], target[:, 0], batch.probes.offsets)
        emae = 100.0 * absolute / reference
        total, count = self._loss_sums(prediction, batch)
        n = torch.full_like(emae[:1], len(emae))
        loss, counted = total.double().reshape(1), torch.full_like(emae[:1], count)
        self._validation.append(
            torch.cat([emae.sum(0, keepdim=True), emae.square().sum(0, keepdim=True), n, loss, counted])
        )

    def on_validation_epoch_end(self) -> None:
        """Add the sums of all processes, divide once, log."""
        sums = torch.zeros(5, dtype=torch.float64, device=self.device)
        for one in self._validation:
            sums += one
        self._validation = []
        total, squares, n, loss, counted = self._add_over_processes(sums).tolist()
        if n > 0:
            mean = total / n
            error = math.sqrt(max(squares / n - mean**2, 0.0) / (n - 1)) if n > 1 else math.nan
            values = {MONITOR: mean, "val/emae_se": error, "val/loss": loss / counted}
            self.log_dict(values, logger=False, batch_size=1, sync_dist=self._world > 1)  # for callbacks
            self._write(values, self.global_step)
        self._window.restart_clock()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the losses since the last logged line, so that a resumed run logs the same values."""
        checkpoint["loss_window"] = self._window.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the losses since the last logged line."""
        self._window.load(checkpoint["loss_window"])

    @property
    def _world(self) -> int:
        return self._trainer.world_size if self._trainer is not None else 1

    def _add_over_processes(self, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if self._world > 1:
            torch.distributed.all_reduce(values)
        return values

    def _write(self, values: dict[str, float], step: int) -> None:
        """Log values, the same in every process, with the number of steps done.

        Not with ``self.log``, which would process all values in every step and write old ones again.
        """
        for logger in self.loggers:
            logger.log_metrics(values, step)


class _Window:
    """Losses since the last logged line, summed on the device so that no step waits for it."""

    def __init__(self) -> None:
        self._loss: Tensor | None = None
        self._steps = 0
        self.restart_clock()

    def add(self, loss: Float[Tensor, ""], structures: int) -> None:
        self._loss = loss.double() if self._loss is None else self._loss.to(loss.device) + loss
        self._steps += 1
        self._structures += structures

    def close(self) -> tuple[Float[Tensor, ""], float]:
        """Mean loss and structures per second; begins the next window."""
        assert self._loss is not None
        mean = self._loss / self._steps
        rate = self._structures / max(time.perf_counter() - self._start, 1e-9)
        self._loss, self._steps = None, 0
        self.restart_clock()
        return mean, rate

    def restart_clock(self) -> None:
        """Restart the clock of the rate, after a validation or when a run is resumed."""
        self._structures, self._start = 0, time.perf_counter()

    def state(self) -> dict[str, float]:
        return {"loss": 0.0 if self._loss is None else float(self._loss), "steps": self._steps}

    def load(self, state: dict[str, float]) -> None:
        self._loss = torch.tensor(state["loss"], dtype=torch.float64) if state["steps"] else None
        self._steps = int(state["steps"])
        self.restart_clock()
