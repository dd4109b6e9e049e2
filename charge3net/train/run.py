"""A training run from its configuration to a run folder."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from threadpoolctl import threadpool_limits

from charge3net.checkpoints import ModelCard
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.train.callbacks import FiniteLoss, Patience, Progress, RunCheckpoints, StopOnSignal
from charge3net.train.config import MISSING, RuntimeConfig, TrainConfig
from charge3net.train.datamodule import PER_STEP, DensityDataModule
from charge3net.train.initial_model import PRECISIONS, InitialModel, initial_model, new_model, with_source
from charge3net.train.logger import MetricsCsv
from charge3net.train.losses import build_loss
from charge3net.train.module import MONITOR, DensityTask
from charge3net.train.optimisers import check_optimiser
from charge3net.train.rising_loss import RisingLoss, sentence
from charge3net.train.run_folder import CONFIG, METRICS, RunFolder, check_same, fixed_settings, flat
from charge3net.train.schedule import build_schedule
from charge3net.train.threads import choose_threads, free_cores
from charge3net.train.trackers import build_trackers, finish_trackers, start_trackers

#: Warnings about internals of Lightning and torch, and advice on workers that does not apply (docs/training.md).
_NOT_FOR_USERS = (".*does not have many workers", ".*isinstance\\(treespec", ".*broadcast_buffers. is deprecated")


def train(config: TrainConfig) -> dict[str, Any]:
    """Train a model with these settings.

    A finished run is not repeated. Nothing is written before model, data and settings are checked.

    Returns:
        The summary, also in ``summary.json``: ``step``, ``stopped`` (``max_steps`` or ``early``), ``seconds`` and
        ``processor_seconds`` (since the last resumption), ``parameters``, ``threads``, ``best``, ``latest`` (step and
        ``val/…`` metrics), and ``skipped`` if nothing was left to do.

    Raises:
        InputError: for wrong settings, data that do not fit, a folder with another run, or a loss that is not finite.
        charge3net.train.callbacks.Interrupted: on Ctrl-C or SIGTERM, after saving ``resume.ckpt``.
    """
    folder = RunFolder(config.output)
    first = _is_first()
    config, source = with_source(config, folder.recorded(config.resume))
    if first and (done := folder.finished(config)) is not None:
        return {**done, "skipped": True}
    _check(config)
    resume = folder.resume_from(config.resume, begun=not first)
    state = None if resume is None else _state_to_resume(resume, config)
    reason = _set_threads(config)
    model = new_model(config)
    data = _data(config, model)
    if state is not None:
        data.check({name: value for name, value in state["DensityDataModule"].items() if name != PER_STEP})
    resumed = None if state is None else _of_checkpoints(state).get("initial")
    initial = initial_model(config, model, data, source, resumed)
    model = initial.model
    task = DensityTask(
        model,
        build_loss(config.loss.name),
        config.optim,
        build_schedule(config.optim.schedule, config.train.max_steps),
        config.train.log_every,
        config.train.ema,
    )
    log = MetricsCsv(folder.path / METRICS)
    checkpoints = _checkpoints(config, folder, data, initial)
    trackers = build_trackers(config, folder)
    rising, validate_first = RisingLoss(), bool(initial.record) and state is None
    trainer = _trainer(config, folder, [log, *trackers], (rising, checkpoints), validate_first)
    if first:
        folder.begin(config, resume)
    log.rewind(0 if state is None else state["global_step"])
    if first:
        start_trackers(trackers, config)
        for line in (*initial.lines, _where(config, trainer, reason)):
            print(f"{config.name}: {line}", file=sys.stderr, flush=True)
    start, summary = (time.perf_counter(), time.process_time()), None
    try:
        with warnings.catch_warnings():
            for message in _NOT_FOR_USERS:
                warnings.filterwarnings("ignore", message=message)
            if any(parameter.requires_grad for parameter in model.parameters()):
                trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
            else:  # fitted atoms alone: there is nothing left to train
                trainer.validate(task, datamodule=data, verbose=False)
        summary = _summary(config, trainer, task, checkpoints, rising, start)
    finally:
        if first:
            finish_trackers(trackers, summary, folder.best_or_last())
    if first:
        folder.finish(summary)
    return summary


def _summary(
    config: TrainConfig,
    trainer: pl.Trainer,
    task: DensityTask,
    checkpoints: RunCheckpoints,
    rising: RisingLoss,
    start: tuple[float, float],
) -> dict[str, Any]:
    """``start``: wall clock and processor time when the training began, in s."""
    return {
        "name": config.name,
        "step": trainer.global_step,
        "stopped": "max_steps" if trainer.global_step >= config.train.max_steps else "early",
        "seconds": round(time.perf_counter() - start[0], 1),
        "processor_seconds": round(time.process_time() - start[1], 1),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "best": checkpoints.best,
        "latest": checkpoints.latest,
        "loss_rose": rising.found,
    }


def _set_threads(config: TrainConfig) -> str:
    """Set the threads of torch in this process; returns why so many."""
    processes = config.runtime.devices * (1 + config.data.workers)
    threads, reason = choose_threads(config.runtime.threads, processes, *free_cores(), os.environ)
    if threads < 1:
        raise InputError(f"runtime.threads must be at least 1, found {threads}")
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")  # of numpy and scipy
    return reason


def _where(config: TrainConfig, trainer: pl.Trainer, reason: str) -> str:
    """On what a run is trained, in one line."""
    runtime, device = config.runtime, trainer.strategy.root_device.type
    processes = runtime.devices * runtime.nodes
    several = f", {processes} processes" if processes > 1 else ""
    return f"training on {device}{several}, CPU threads: {torch.get_num_threads()} ({reason})"


def _is_first() -> bool:
    """Whether this is the process that writes: the only one, or rank 0 (set by Lightning from the environment)."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _check(config: TrainConfig) -> None:
    """Check settings before anything is built."""
    for name in ("store", "split"):
        if getattr(config.data, name) == MISSING:
            raise InputError(f"data.{name} is not given; add data.{name}=PATH")
    loop, processes = config.train, config.runtime.devices * config.runtime.nodes
    for name in ("max_steps", "val_every", "log_every"):
        if getattr(loop, name) < 1:
            raise InputError(f"train.{name} must be at least 1, found {getattr(loop, name)}")
    if loop.ema is not None and not 0 < loop.ema < 1:
        raise InputError(f"train.ema must lie between 0 and 1, found {loop.ema}")
    if not config.optim.lr > 0:
        raise InputError(f"optim.lr must be positive, found {config.optim.lr}")
    check_optimiser(config.optim)
    if processes < 1 or config.data.batch_size % processes:
        raise InputError(f"data.batch_size={config.data.batch_size} cannot be shared evenly by {processes} processes")
    if config.runtime.precision not in PRECISIONS:
        raise InputError(f"runtime.precision is {config.runtime.precision!r}; choose one of {', '.join(PRECISIONS)}")
    if config.runtime.accelerator not in ("auto", "cpu", "gpu"):
        raise InputError(f"runtime.accelerator is {config.runtime.accelerator!r}; choose auto, cpu or gpu")
    if config.runtime.accelerator == "gpu" and not torch.cuda.is_available():
        raise InputError("runtime.accelerator=gpu but torch sees no GPU; choose cpu, or see `charge3net doctor`")
    on_gpu = config.runtime.accelerator != "cpu" and torch.cuda.is_available()
    if config.runtime.precision in ("tf32", "bf16") and not on_gpu:
        raise InputError(f"runtime.precision={config.runtime.precision} is for GPUs; choose float32 or float64 here")


def _data(config: TrainConfig, model: DensityModel) -> DensityDataModule:
    data, processes = config.data, config.runtime.devices * config.runtime.nodes
    return DensityDataModule(
        store=data.store,
        split=data.split,
        cutoff=model.cutoff,
        batch_size=data.batch_size // processes,
        probes=data.probes,
        validation_structures=data.val_structures,
        validation_probes=data.val_probes,
        workers=data.workers,
        seed=config.seed,
        train_size=data.train_size,
        channels=model.channels,
        ignore_pbc=model.ignore_pbc,
        pin_memory=config.runtime.accelerator != "cpu" and torch.cuda.is_available(),
    )


def _checkpoints(
    config: TrainConfig, folder: RunFolder, data: DensityDataModule, initial: InitialModel
) -> RunCheckpoints:
    """Checkpoints whose cards describe data, settings and start of the training."""
    about_data = {
        "store": Path(config.data.store).name,
        "store_hash": data.store.hash(),
        "split_hash": data.split.hash,
        "train_size": len(data.train_keys),
        "validation_size": len(data.validation_keys),
    }
    if potentials := data.potentials:
        about_data["potentials"] = potentials
    if codes := data.codes:
        about_data["codes"] = codes
    elements = data.elements
    settings = {
        key: value for key, value in config.as_dict().items() if key in ("name", "seed", "optim", "loss", "train")
    }
    settings["batch"] = [config.data.batch_size, config.data.probes]
    if initial.record:
        settings["init"] = dict(initial.record)

    def card_of(model: DensityModel, step: int, metrics: dict[str, float]) -> ModelCard:
        return ModelCard.of(model, elements, about_data, metrics, {"step": step, **settings})

    loop = config.train
    often = (loop.val_every, loop.max_steps, loop.save_every)
    return RunCheckpoints(folder.path, card_of, fixed_settings(config), *often, initial.state())


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    loggers: list[Logger],
    own: tuple[RisingLoss, RunCheckpoints],
    validate_first: bool,
) -> pl.Trainer:
    loop, runtime = config.train, config.runtime
    rising, checkpoints = own
    callbacks: list[Callback] = [FiniteLoss(), rising]
    if loop.patience is not None:
        callbacks.append(Patience(loop.patience))
    callbacks += [Progress(runtime.progress), StopOnSignal(checkpoints), checkpoints]
    torch.set_float32_matmul_precision("high" if runtime.precision == "tf32" else "highest")
    return pl.Trainer(
        precision="bf16-mixed" if runtime.precision == "bf16" else None,
        default_root_dir=folder.path,
        accelerator=runtime.accelerator,
        devices=runtime.devices,
        num_nodes=runtime.nodes,
        strategy=_strategy(runtime),
        max_epochs=-1,
        max_steps=loop.max_steps,
        val_check_interval=loop.val_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=-1 if validate_first else 0,
        log_every_n_steps=0,  # DensityTask writes to the loggers itself, when a line is due
        gradient_clip_val=loop.clip,
        logger=loggers,
        callbacks=callbacks,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(runtime: RuntimeConfig) -> Any:
    """One process, or data-parallel ones; buffers are constants and not broadcast."""
    if runtime.devices * runtime.nodes == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def _state_to_resume(resume: Path, config: TrainConfig) -> dict[str, Any]:
    """The content of a resume checkpoint.

    Raises:
        InputError: if it is damaged, has no record of its settings, or has other settings.
    """
    try:
        state: dict[str, Any] = torch.load(resume, map_location="cpu", weights_only=True)
        settings = _of_checkpoints(state).get("settings")
        _ = state["DensityDataModule"], int(state["global_step"])
    except Exception as error:
        raise InputError(f"{resume} cannot be resumed from: it is damaged or not a checkpoint of a run") from error
    if settings is None:  # checkpoints of older versions
        settings = flat(RunFolder(resume.parent).config() or {})
    if not settings:
        raise InputError(f"{resume} cannot be resumed from: its settings are recorded neither in it nor in {CONFIG}")
    check_same(resume.parent, settings, config)
    return state


def _of_checkpoints(state: dict[str, Any]) -> dict[str, Any]:
    """What :class:`RunCheckpoints` keeps in a resume checkpoint."""
    return state["callbacks"]["RunCheckpoints"]


def describe(summary: dict[str, Any], folder: str | Path) -> str:
    """A finished run in one line, and where its model is."""
    best = summary["best"]
    quality = f"best ε_mae {best[MONITOR]:.3f} % at step {best['step']:.0f}" if best else "no validation"
    if best and not best[MONITOR] < 100.0:
        quality += "; a density of 0 has 100 %: take a smaller optim.lr, or more steps"
    if rose := summary.get("loss_rose"):
        quality += f"; {sentence(rose)}"
    state = "finished before" if summary.get("skipped") else f"finished in {summary['seconds']:.0f} s"
    return (
        f"{summary['name']}: {state}, {summary['step']} steps, {summary['parameters']} parameters, {quality}; "
        f"model: {RunFolder(folder).best_or_last()}"
    )


def print_result(summary: dict[str, Any], folder: str | Path) -> None:
    """Print :func:`describe` on standard error, in the first process only."""
    if _is_first():
        print(describe(summary, folder), file=sys.stderr)
