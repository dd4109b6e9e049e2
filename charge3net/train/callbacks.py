"""Callbacks of a training run: checkpoints, interruption, early stopping, progress."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from charge3net.checkpoints import ModelCard, save_model
from charge3net.checkpoints.save_load import BEST, LAST
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.train.module import MONITOR, DensityTask
from charge3net.train.run_folder import RESUME

#: Model, step and metrics → the card that is saved with the model.
CardOf = Callable[[DensityModel, int, dict[str, float]], ModelCard]


class Interrupted(Exception):
    """The run was stopped by Ctrl-C or SIGTERM and left a checkpoint to resume from."""


class Diverged(InputError):
    """The loss is not finite."""


class RunCheckpoints(Checkpoint):
    """Writes the run folder: ``model/`` (lowest validation error), ``last/`` and ``resume.ckpt``.

    All three are written whole or not at all. The resume checkpoint is written after every validation and after every
    ``save_every`` steps, always after a complete step, so that a resumed run repeats an uninterrupted one; it
    includes the lowest ε_mae so far. A run always ends with a validation, whatever ``val_every``.

    Args:
        folder: run folder.
        card_of: makes the card of a model.
        settings: those that must stay the same when the run is resumed; part of the resume checkpoint.
        val_every, max_steps: as in the trainer; a step followed by a validation is complete after that.
        save_every: steps between resume checkpoints; None writes them after validations only.
        initial: where the weights came from (:meth:`charge3net.train.initial_model.InitialModel.state`), kept for a
            resumed run.
    """

    def __init__(
        self,
        folder: Path,
        card_of: CardOf,
        settings: dict[str, Any],
        val_every: int,
        max_steps: int,
        save_every: int | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        self.initial = initial or {}
        self.folder, self.card_of, self.settings = folder, card_of, settings
        self.val_every, self.max_steps, self.save_every = val_every, max_steps, save_every
        self.best: dict[str, float] = {}
        self.latest: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Best and latest metrics, settings, start."""
        found = {"best": dict(self.best), "latest": dict(self.latest), "settings": dict(self.settings)}
        return {**found, "initial": self.initial} if self.initial else found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the metrics of the run that is resumed; its settings were compared before."""
        self.best, self.latest = dict(state_dict["best"]), dict(state_dict["latest"])

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save if it is due and no validation follows; request a validation at the end."""
        step = trainer.global_step
        if step >= self.max_steps:
            trainer.should_stop = True  # Lightning validates before it stops
        elif step % self.val_every and self.save_every and step % self.save_every == 0:
            self.save_resume(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights as the last and, if the error is the lowest, as the best; write ``resume.ckpt``."""
        assert isinstance(pl_module, DensityTask)
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        metrics = {k: v for k, v in values.items() if math.isfinite(v)}  # one material has no standard error
        self.latest = {"step": float(trainer.global_step), **metrics}
        better = MONITOR in metrics and metrics[MONITOR] < self.best.get(MONITOR, float("inf"))
        if better:
            self.best = dict(self.latest)
        if trainer.is_global_zero:
            card = self.card_of(pl_module.weights_for_use, trainer.global_step, metrics)
            save_model(self.folder / LAST, pl_module.weights_for_use, card)
            if better:
                save_model(self.folder / BEST, pl_module.weights_for_use, card)
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:  # those are before the first step
            self.save_resume(trainer)

    def save_resume(self, trainer: pl.Trainer) -> None:
        """Write ``resume.ckpt``; every process calls this."""
        temporary = self.folder / f".{RESUME}.partial"
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            os.replace(temporary, self.folder / RESUME)
        trainer.strategy.barrier("resume checkpoint renamed")


class StopOnSignal(Callback):
    """Ctrl-C or SIGTERM: finish the step, write the resume checkpoint, stop with :class:`Interrupted`.

    A second Ctrl-C stops at once. With several processes a signal to one stops all after the same step.

    Args:
        checkpoints: writes the resume checkpoint.
    """

    def __init__(self, checkpoints: RunCheckpoints) -> None:
        self.checkpoints = checkpoints
        self._signal: int | None = None
        self._saved = False
        self._old: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the signal handlers (after Lightning has installed its own)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save, unless a validation follows, after which it is saved anyway."""
        if not self._stop_requested(trainer) or trainer.global_step >= self.checkpoints.max_steps:
            return
        if trainer.global_step % self.checkpoints.val_every:
            self.checkpoints.save_resume(trainer)
        self._saved = True

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Stop here, where the step before has been logged."""
        if self._saved:
            raise Interrupted(f"stopped after step {trainer.global_step}")

    def _stop_requested(self, trainer: pl.Trainer) -> bool:
        stop = self._signal is not None
        if trainer.world_size > 1:
            flag = torch.tensor(float(stop), device=trainer.strategy.root_device)
            torch.distributed.all_reduce(flag)
            stop = bool(flag > 0)
        return stop

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the signal handlers."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old = {}


class Patience(EarlyStopping):
    """Stops after validations without a better ε_mae; a resumed run may have another patience than before.

    Args:
        patience: so many validations.
    """

    def __init__(self, patience: int) -> None:
        super().__init__(MONITOR, patience=patience, mode="min")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count, not the patience (Lightning restores both)."""
        super().load_state_dict({**state_dict, "patience": self.patience})


class FiniteLoss(Callback):
    """Stops a run whose loss is not finite, before its weights replace good ones."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the validation error.

        Raises:
            Diverged: if ε_mae is not finite.
        """
        value = trainer.callback_metrics.get(MONITOR)
        if value is not None and not torch.isfinite(value):
            raise Diverged(
                f"training diverged: ε_mae is {float(value)} after step {trainer.global_step}; "
                "lower optim.lr or set train.clip"
            )


class Progress(Callback):
    """Progress bar with rate and remaining time, and one line per validation, on standard error.

    Args:
        bar: draw the bar; the lines are always printed.
    """

    def __init__(self, bar: bool) -> None:
        self._draw = bar and sys.stderr.isatty()
        self._bar: Any = None

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar at the first step of this run."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            unit="step",
            disable=not self._draw,
            dynamic_ncols=True,
        )

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Advance."""
        self._bar.update(1)

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line."""
        metrics = trainer.callback_metrics
        if MONITOR not in metrics:
            return
        assert isinstance(pl_module, DensityTask)
        values = {name: float(value) for name, value in metrics.items()} | pl_module.latest_line
        text = f"step {trainer.global_step:>7}  ε_mae {values[MONITOR]:.3f} ± {values['val/emae_se']:.3f} %"
        if "train/loss" in values:
            text += f"  loss {values['train/loss']:.4g}  {values['train/structures_per_s']:.1f} structures/s"
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.write(text, file=sys.stderr)

    @rank_zero_only
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
