"""The folder of a training run: its files, and whether a run may start, resume, or is finished already.

``config.json`` (settings), ``metrics.csv`` (log), ``model/`` (best weights), ``last/`` (last weights),
``resume.ckpt`` (state to resume from), ``summary.json`` (once finished), ``wandb.json`` (id on Weights & Biases).
"""

from __future__ import annotations

import csv
import json
import secrets
from pathlib import Path
from typing import Any

from charge3net.checkpoints import load_card, load_model, save_model
from charge3net.checkpoints.card import CARD
from charge3net.checkpoints.exchange import remove_leftovers
from charge3net.checkpoints.save_load import BEST, LAST
from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.train.config import TrainConfig

#: Files of a run folder; its two checkpoint folders are ``BEST`` and ``LAST``.
CONFIG, METRICS, SUMMARY, RESUME = "config.json", "metrics.csv", "summary.json", "resume.ckpt"
WANDB = "wandb.json"

#: Settings that may differ when a run is resumed: they say where and how long it runs, not what is learned.
FREE = {
    "name",
    "output",
    "resume",
    "data.store",
    "data.split",
    "data.workers",
    "data.isolated_atoms",
    "train.max_steps",
    "train.val_every",
    "train.patience",
    "train.log_every",
    "train.save_every",
}
FREE_GROUPS = ("logger.", "runtime.")


class RunFolder:
    """The files of a run.

    Args:
        path: the folder; :meth:`begin` creates it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._wandb_id: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether the folder holds the log of a run."""
        return (self.path / METRICS).is_file()

    @property
    def has_model(self) -> bool:
        """Whether it holds a best model."""
        return (self.path / BEST / CARD).is_file()

    def best_or_last(self) -> Path | None:
        """The folder of the best model, or of the last one where there is no best; None without any."""
        return next((self.path / name for name in (BEST, LAST) if (self.path / name / CARD).is_file()), None)

    def config(self) -> dict[str, Any] | None:
        """The settings of the run; None where they are not recorded.

        Raises:
            InputError: if the file is damaged.
        """
        return self._read(CONFIG)

    def recorded(self, resume: bool | str) -> dict[str, Any] | None:
        """The settings of the run in this folder, or else of the one that ``resume`` names; None without any."""
        if isinstance(resume, str) and not (self.path / CONFIG).is_file():
            given = Path(resume)
            return RunFolder(given if given.is_dir() else given.parent).config()
        return self.config()

    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run; None before it is finished.

        Raises:
            InputError: if the file is damaged.
        """
        return self._read(SUMMARY)

    def metrics(self) -> list[dict[str, str]]:
        """The log: see :func:`read_metrics`."""
        return read_metrics(self.path / METRICS)

    def finished(self, config: TrainConfig) -> dict[str, Any] | None:
        """The summary of the run if it has as many steps as requested, else None.

        Raises:
            InputError: if the folder holds a run with other settings or other data.
        """
        before = self.config()
        if before is not None:
            check_same(self.path, flat(before), config)
        summary = self.summary()
        if summary is None or (summary["stopped"] == "max_steps" and summary["step"] < config.train.max_steps):
            return None
        places = (config.data.store, config.data.split)
        if before is not None and (before["data"]["store"], before["data"]["split"]) != places:
            self._check_data(config)
        return summary

    def _check_data(self, config: TrainConfig) -> None:
        """Compare the contents of store and split, whose paths have changed, with those of the run.

        Raises:
            InputError: if they differ.
        """
        recorded = load_card(self.path).data
        now = {"store_hash": Store(config.data.store).hash(), "split_hash": read_split(config.data.split).hash}
        for name, value in now.items():
            if recorded.get(name) != value:
                what = name.removesuffix("_hash")
                raise InputError(f"{self.path} holds a run with another {what}; choose another output")

    def resume_from(self, resume: bool | str, begun: bool = False) -> Path | None:
        """The checkpoint to resume from; None to start from the beginning.

        Args:
            resume: the setting.
            begun: the first process of this training has begun already, so the folder may hold a run.

        Raises:
            InputError: if there is a run and ``resume`` is False, the given path has no checkpoint, or this folder
                holds another run.
        """
        own = self.path / RESUME
        if isinstance(resume, str):
            given = Path(resume)
            given = given / RESUME if given.is_dir() else given
            if not given.is_file():
                raise InputError(f"resume={resume}: there is no {RESUME}; give a run folder or a checkpoint file")
            if not begun and (own.exists() or self.is_run) and given.parent.resolve() != self.path.resolve():
                raise InputError(
                    f"{self.path} holds a run already; continue it with resume=true, or choose another output"
                )
            return given
        if resume or begun:
            return own if own.is_file() else None
        if own.exists() or self.is_run:
            raise InputError(
                f"{self.path} holds a run already; add resume=true to continue it, or choose another output"
            )
        return None

    def begin(self, config: TrainConfig, resume: Path | None = None) -> None:
        """Create the folder and write the settings; leftovers of a killed run and an earlier summary are removed.

        Args:
            config: the settings.
            resume: checkpoint to resume; if it is in another folder, log and models are copied from there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        (self.path / SUMMARY).unlink(missing_ok=True)
        if resume is not None and resume.parent.resolve() != self.path.resolve():
            self._copy_from(resume.parent)
        self._write(CONFIG, config.as_dict())
        if self._wandb_id is not None:
            self._write(WANDB, {"id": self._wandb_id})

    def wandb_id(self) -> str:
        """The id of the run on Weights & Biases: the recorded one, else a new one, recorded by :meth:`begin`."""
        recorded = self._read(WANDB)
        if self._wandb_id is None:
            self._wandb_id = secrets.token_hex(4) if recorded is None else str(recorded["id"])
        return self._wandb_id

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary, which marks the run as finished."""
        self._write(SUMMARY, summary)

    def _remove_leftovers(self) -> None:
        """Temporary files and folders of a run that was killed while it wrote them."""
        for name in (BEST, LAST):
            remove_leftovers(self.path / name)
        for name in (CONFIG, METRICS, SUMMARY, RESUME, WANDB):
            for temporary in self.path.glob(f".{name}.*part*"):
                temporary.unlink(missing_ok=True)

    def _copy_from(self, other: Path) -> None:
        if (other / METRICS).is_file():
            write_whole(self.path / METRICS, (other / METRICS).read_text(encoding="utf-8"))
        for name in (BEST, LAST):
            if (other / name / CARD).is_file():
                save_model(self.path / name, *load_model(other / name))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}); choose another output or remove the folder") from error

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_whole(self.path / name, json.dumps(content, indent=1) + "\n")


def fixed_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that stay the same when a run is resumed, by their full names, as plain JSON values."""
    return _fixed(flat(json.loads(json.dumps(config.as_dict()))))


def check_same(where: str | Path, recorded: dict[str, Any], config: TrainConfig) -> None:
    """Compare recorded settings, by their full names, with those of a configuration.

    Raises:
        InputError: listing every setting that is fixed and differs.
    """
    defaults = {name: value for name, value in fixed_settings(TrainConfig()).items() if not name.startswith("model.")}
    before, now = defaults | _fixed(recorded), fixed_settings(config)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if names:
        listed = "; ".join(f"{name} is {now.get(name)}, was {before.get(name)}" for name in names)
        raise InputError(f"{where} holds a run with other settings: {listed}. Give these, or choose another output")


def _fixed(settings: dict[str, Any]) -> dict[str, Any]:
    return {n: value for n, value in settings.items() if n not in FREE and not n.startswith(FREE_GROUPS)}


def read_metrics(path: str | Path) -> list[dict[str, str]]:
    """Lines of a ``metrics.csv``: column name → text, empty cells left out.

    Raises:
        InputError: if a cell is not a number.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = [{name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)]
    for number, row in enumerate(rows, start=2):
        try:
            [float(value) for value in row.values()]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: is damaged ({error}); remove the line") from error
    return rows


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full names: ``{"data": {"probes": 1}}`` → ``{"data.probes": 1}``."""
    items: dict[str, Any] = {}
    for name, value in nested.items():
        items.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return items
