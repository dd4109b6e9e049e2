"""Compiled kernels as the tests need them: built from the sources as they are wherever a compiler is."""

from __future__ import annotations

import os
from pathlib import Path

from charge3net import kernels
from charge3net.kernels import build
from charge3net.kernels.library import library


def can_compile() -> bool:
    """Whether this machine can build the kernels: their absence is then a failure."""
    return build.machine() in build.VARIANTS and build.find_compiler() is not None


def build_kernels(folder: Path = build.LIBRARY_FOLDER) -> str:
    """Build the variants that are missing, and load the library; returns what went wrong, "" if nothing did."""
    if not can_compile():
        return ""
    problems: list[str] = []
    if not all(build.library_path(name, folder).exists() for name, _ in build.VARIANTS[build.machine()].values()):
        build.build(folder, problems.append)
        library.cache_clear()
    if folder == build.LIBRARY_FOLDER and not problems and library().handle is None:
        problems.append(library().reason)
    return "; ".join(problems)


def no_kernels() -> str:
    """Why compiled kernels are not tested here; "" where they are."""
    if os.environ.get(kernels.SWITCH, "").lower() == "torch":
        return f"kernels are switched off by {kernels.SWITCH}=torch"
    return "" if library().handle is not None else f"no compiled kernels: {library().reason}"
