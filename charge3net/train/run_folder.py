"""A run folder: what is in it, and whether a run may begin, go on, or is done already.

``config.json`` (settings), ``metrics.csv`` (log), ``model/`` (best weights, for use), ``last/`` (last weights),
``resume.ckpt`` (to go on from), ``summary.json`` (once finished).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.train.config import TrainConfig

CONFIG, METRICS, SUMMARY, RESUME = "config.json", "metrics.csv", "summary.json", "resume.ckpt"

#: Settings that may change between the parts of a run: they say where and how long, not what is learned.
FREE = {
    "name",
    "output",
    "resume",
    "data.store",
    "data.split",
    "data.workers",
    "train.max_steps",
    "train.val_every",
    "train.patience",
    "train.log_every",
    "train.save_every",
}
FREE_GROUPS = ("logger.", "runtime.")


class RunFolder:
    """Where a run writes.

    Args:
        path: the folder; it is made by :meth:`begin`, not before.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def finished(self, config: TrainConfig) -> dict[str, Any] | None:
        """The summary of the run if it is done as far as this configuration asks, else None.

        Raises:
            InputError: if the folder holds a run with other settings.
        """
        self._check_same(config)
        summary = self._read(SUMMARY)
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
        if own.exists() or (self.path / METRICS).exists():
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
        old = self._read(CONFIG)
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
            return json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} is not readable as JSON; choose another output or remove the folder") from error

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_whole(self.path / name, json.dumps(content, indent=1) + "\n")


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full names: ``{"data": {"probes": 1}}`` → ``{"data.probes": 1}``."""
    items: dict[str, Any] = {}
    for name, value in nested.items():
        items.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return items
