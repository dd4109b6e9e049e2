"""How to repeat what a report shows: commands, versions, commit, machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import charge3net
from charge3net.machine import processor_name
from charge3net.report.gather import Subject


def training_commands(runs: str | Path, subject: Subject) -> list[str]:
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
    for contender in subject.contenders:
        for run in contender.runs:
            if not any(folder in run.path.parents for folder in covered):
                commands.append(shlex.join(["charge3net", "train", *_overrides(run.config)]))
    return commands


def evaluation_command(subject: Subject, evaluations: str | Path, split: str | Path) -> str:
    """One command that evaluates all runs again."""
    models = [str(run.path) for contender in subject.contenders for run in contender.runs]
    data = ["--data", str(subject.test.store.path), "--split", str(split), "--part", subject.test.part]
    return shlex.join(["charge3net", "evaluate", "--model", *models, *data, "-o", str(evaluations)])


def machine() -> dict[str, str]:
    """Processor, number of cores, memory, system, and the GPU if torch sees one."""
    import torch

    facts = {
        "processor": processor_name(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    if torch.cuda.is_available():
        facts["GPU"] = torch.cuda.get_device_name(0)
    return facts


def commit() -> str | None:
    """The commit of the clone that this package runs from, "+ changes" where the tree differs; None outside a clone."""
    folder = Path(charge3net.__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + (" + changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


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
