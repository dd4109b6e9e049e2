"""Finds and loads the compiled kernels, or the reason why there are none."""

from __future__ import annotations

import ctypes
import logging
from dataclasses import dataclass
from functools import cache

from charge3net.kernels import build

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """The loaded kernels.

    Attributes:
        handle: the ctypes library, or None.
        variant: "avx512", "avx2", "baseline" or "neon"; empty without a library.
        reason: why there is none; empty with one.
    """

    handle: ctypes.CDLL | None
    variant: str = ""
    reason: str = ""


@cache
def library() -> Library:
    """The best variant that is built and that this processor can run; loaded once.

    A library that is damaged or of other sources is reported as a warning; without any, torch is used silently.
    """
    found = _find()
    if found.handle is None:
        level = logging.WARNING if build.built_libraries() else logging.INFO
        _log.log(level, "charge3net runs without compiled kernels: %s", found.reason)
    return found


def compiled() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        RuntimeError: if there is none.
    """
    handle = library().handle
    if handle is None:
        raise RuntimeError(f"no compiled kernels: {library().reason}")
    return handle


def _find() -> Library:
    variants = build.VARIANTS.get(build.machine())
    if variants is None:
        return Library(None, reason=f"no kernels are written for {build.machine()}")
    paths = {level: build.library_path(name) for level, (name, _) in variants.items()}
    built = {level: path for level, path in paths.items() if path.exists()}
    if not built:
        state = "built from other sources" if build.built_libraries() else "not built"
        return Library(
            None, reason=f"they are {state}; run `python -m charge3net.kernels.build` (needs a C++ compiler)"
        )
    problem = ""
    level = min(built)
    try:
        level = ctypes.CDLL(str(built[level])).c3n_processor_level() if len(built) > 1 else level
    except OSError as error:
        return Library(None, reason=f"{built[level].name} does not load: {error}")
    for candidate in sorted((one for one in built if one <= level), reverse=True):
        try:
            return Library(ctypes.CDLL(str(built[candidate])), variants[candidate][0])
        except OSError as error:
            problem = f"{built[candidate].name} does not load: {error}"
    return Library(None, reason=problem or "none of the built variants fits this processor")
