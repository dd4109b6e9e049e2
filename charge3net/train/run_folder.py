"""The folder of a training run: its files, and whether a run may start, resume, or is finished already.

``config.json`` (settings), ``metrics.csv`` (log), ``model/`` (best weights), ``last/`` (last weights),
``resume.ckpt`` (state to resume from), ``summary.json`` (once finished).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from charge3net.checkpoints.card import CARD
from charge3net.checkpoints.save_load import BEST
from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.train.config import TrainConfig

#: Files of a run folder; its two checkpoint folders are ``BEST`` and ``LAST``.
CONFIG, METRICS, SUMMARY, RESUME = "config.json", "metrics.csv", "summary.json", "resume.ckpt"

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

    @property
    def is_run(self) -> bool:
        """Whether the folder holds the log of a run."""
        return (self.path / METRICS).is_file()

    @property
    def has_model(self) -> bool:
        """Whether it holds a best model."""
        return (self.path / BEST / CARD).is_file()

    def config(self) -> dict[str, Any] | None:
        """The settings of the run; None where they are not recorded.

        Raises:
            InputError: if the file is damaged.
        """
        return self._read(CONFIG)

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
        """The summary of the run if it is done as far as this configuration asks, else None.

        Raises:
            InputError: if the folder holds a run with other settings.
        """
        self._check_same(config)
        summary = self.summary()
        if summary is None or (summary["stopped"] == "max_steps" and summary["step"] < config.train.max_steps):
            return None
        return summary

    def resume_from(self, resume: bool | str) -> Path | None:
        """The checkpoint to go on from; None to start afresh.

        Raises:
            InputError: if there is a run and ``resume`` is False, or a path that is given has no checkpoint.
        """
        own = self.path / RESUME
        if isinstance(resume, str):
            given = Path(resume)
            given = given / RESUME if given.is_dir() else given
            if not given.is_file():
                raise InputError(f"resume={resume}: there is no {RESUME}; give a run folder or a checkpoint file")
            return given
        if resume:
            return own if own.is_file() else None
        if own.exists() or self.is_run:
            raise InputError(
                f"{self.path} holds a run already; add resume=true to go on with it, or choose another output"
            )
        return None

    def begin(self, config: TrainConfig) -> None:
        """Make the folder and write the settings; a summary of an earlier part is taken away."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / SUMMARY).unlink(missing_ok=True)
        self._write(CONFIG, config.as_dict())

    def finish(self, summary: dict[str, Any]) -> None:
        """Mark the run as done."""
        self._write(SUMMARY, summary)

    def _check_same(self, config: TrainConfig) -> None:
        old = self.config()
        if old is None:
            return
        before, now = flat(old), flat(json.loads(json.dumps(config.as_dict())))
        for name in sorted(before.keys() | now.keys()):
            if name not in FREE and not name.startswith(FREE_GROUPS) and before.get(name) != now.get(name):
                raise InputError(
                    f"{self.path} holds a run with {name}={before.get(name)}, now it is {now.get(name)}; "
                    "choose another output"
                )

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
