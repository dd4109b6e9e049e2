"""Computer, versions and commit, for records of results."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from charge3net.version import __version__


def processor_name() -> str:
    """Name of the processor as the system gives it, else the machine type."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> dict[str, str]:
    """Processor, number of cores, memory, system, and the GPU if torch finds one."""
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


def installed_version(package: str) -> str | None:
    """Version of a package, by the name under which it is installed; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_versions(packages: Sequence[str] = ("torch", "e3nn", "numpy")) -> dict[str, str]:
    """Package → version, of this one and of installed ``packages``; the default ones affect the numbers."""
    found = {name: installed_version(name) for name in packages}
    return {"charge3net": __version__, **{name: number for name, number in found.items() if number is not None}}


def commit() -> str | None:
    """The commit of the clone that this package runs from, "+ changes" where the tree differs; None outside a clone."""
    found = clone_state()
    if found is None:
        return None
    head, changed = found
    return head + (" + changes" if changed else "")


def clone_state(below: str = ".") -> tuple[str, bool] | None:
    """The commit of the clone that this package runs from, and whether its files below a folder differ from it.

    Args:
        below: the folder, from the top of the clone; files that git does not track do not count.

    Returns:
        None outside a clone.
    """
    top = Path(__file__).resolve().parents[1]
    if not (top / ".git").exists():
        return None
    try:
        head = _git(top, "rev-parse", "HEAD")
        changed = _git(top, "status", "--porcelain", "--untracked-files=no", below)
    except (OSError, subprocess.SubprocessError):
        return None
    return head, bool(changed)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
