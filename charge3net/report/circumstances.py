"""How to repeat what a report shows: the commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charge3net.report.gather import Comparison


def training_commands(runs: str | Path, comparison: Comparison) -> list[str]:
    """The commands that trained: a sweep's own, or one a run from its settings."""
    import yaml

    sweeps = sorted(Path(runs).rglob("multirun.yaml"))
    commands = []
    for path in sweeps:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]
        axes = [f"{name}={values}" for name, values in (settings["sweeper"].get("params") or {}).items()]
        task = settings["overrides"]["task"]
        commands.append(shlex.join(["charge3net", "train", *task, *(a for a in axes if a not in task), "--multirun"]))
    covered = [path.parent for path in sweeps]
    for model in comparison.models:
        for run in model.runs:
            if not any(folder in run.path.parents for folder in covered):
                commands.append(shlex.join(["charge3net", "train", *_overrides(run.config)]))
    return commands


def evaluation_command(comparison: Comparison, evaluations: str | Path, split: str | Path) -> str:
    """One command that evaluates all runs again."""
    models = [str(run.path) for model in comparison.models for run in model.runs]
    data = ["--data", str(comparison.test.store.path), "--split", str(split), "--part", comparison.test.part]
    return shlex.join(["charge3net", "evaluate", "--model", *models, *data, "-o", str(evaluations)])


def _overrides(config: dict[str, Any], prefix: str = "") -> Sequence[str]:
    """Settings as overrides; values that are not set are left out."""
    found: list[str] = []
    for name, value in config.items():
        if isinstance(value, dict):
            found += _overrides(value, f"{prefix}{name}.")
        elif value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
            found.append(f"{prefix}{name}={text}")
    return found
