"""TensorBoard and Weights & Biases, imported only if chosen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from charge3net.checkpoints.card import CARD, WEIGHTS
from charge3net.errors import InputError
from charge3net.train.config import TrainConfig
from charge3net.train.run_folder import RunFolder, flat


def build_trackers(config: TrainConfig, folder: RunFolder) -> list[Logger]:
    """The chosen loggers; nothing is written yet.

    Raises:
        InputError: if a package is missing.
    """
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        try:
            loggers.append(TensorBoardLogger(folder.path, name="", version="tensorboard", default_hp_metric=False))
        except ModuleNotFoundError as error:
            raise InputError("logger.tensorboard=true needs tensorboard: pip install 'charge3net[plot]'") from error
    if config.logger.wandb:
        loggers.append(_wandb(config, folder))
    return loggers


def _wandb(config: TrainConfig, folder: RunFolder) -> Logger:
    """A run with all settings; a resumed run continues the one whose id is in its folder."""
    from lightning.pytorch.loggers import WandbLogger

    settings = config.logger
    try:
        return WandbLogger(
            name=config.name,
            save_dir=folder.path,
            version=folder.wandb_id(),
            project=settings.project,
            offline=settings.offline,
            group=settings.group,
            tags=list(settings.tags),
            config=config.as_dict(),
            resume="allow",
        )
    except ModuleNotFoundError as error:
        raise InputError("logger.wandb=true needs wandb: pip install 'charge3net[wandb]'") from error


def start_trackers(loggers: list[Logger], config: TrainConfig) -> None:
    """Write the settings to TensorBoard (W&B has them from the start)."""
    for logger in loggers:
        if type(logger).__name__ == "TensorBoardLogger":
            _settings_of_tensorboard(logger, flat(config.as_dict()))


def _settings_of_tensorboard(logger: Any, settings: dict[str, Any]) -> None:
    """Write ``hparams.yaml`` and the entries of TensorBoard's HPARAMS page, which Lightning leaves out here."""
    from torch.utils.tensorboard.summary import hparams

    plain = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in settings.items()}
    logger.log_hyperparams(plain)
    for part in hparams(plain, {"best/emae": None}):
        logger.experiment.file_writer.add_summary(part)


def finish_trackers(loggers: list[Logger], summary: dict[str, Any] | None, model: Path | None) -> None:
    """End the runs with the final numbers and the model, or as failed without a summary."""
    for logger in loggers:
        if type(logger).__name__ == "TensorBoardLogger" and summary is not None:
            logger.log_metrics(_numbers(summary), int(summary["step"]))
            logger.finalize("success")
        elif type(logger).__name__ == "WandbLogger":
            _finish_wandb(logger, summary, model)


def _finish_wandb(logger: Any, summary: dict[str, Any] | None, model: Path | None) -> None:
    import wandb

    run = logger.experiment
    if summary is not None:
        run.summary.update({**_numbers(summary), "stopped": summary["stopped"]})
        if model is not None:
            name = re.sub(r"[^\w.-]+", "-", f"{summary['name']}-{run.id}")
            artifact = wandb.Artifact(name, type="model", metadata=_numbers(summary))
            for file in (CARD, WEIGHTS):
                artifact.add_file(str(model / file))
            run.log_artifact(artifact)
    run.finish(exit_code=0 if summary is not None else 1)


def _numbers(summary: dict[str, Any]) -> dict[str, float]:
    """Final numbers by their names in the trackers."""
    best = {f"best/{name.removeprefix('val/')}": value for name, value in summary["best"].items()}
    return {**best, "parameters": float(summary["parameters"]), "seconds": float(summary["seconds"])}
