"""Replacing a folder by another such that one of the two is always there."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

#: Arguments of renameat2 (Linux) and renameatx_np (macOS): paths relative to the working directory; exchange both.
_AT_FDCWD = {"linux": -100, "darwin": -2}
_SWAP = 2


def replace_folder(new: Path, folder: Path, old: Path) -> None:
    """Put ``new`` in the place of ``folder``, which moves to ``new`` or ``old``; on failure the old one stays.

    Where the system can swap two names, ``folder`` exists at every instant. Elsewhere it is missing between two
    renames; readers wait for it (:func:`being_replaced`).
    """
    if not folder.exists():
        os.replace(new, folder)
        return
    if _swap(new, folder):
        return  # the old one is now where the new one was
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        os.replace(old, folder)
        raise


def being_replaced(folder: Path) -> bool:
    """Whether a temporary folder of a replacement is beside it, in progress or killed."""
    return any(folder.parent.glob(f".{folder.name}-*/"))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of replacements that were killed; a missing folder is restored first."""
    for beside in sorted(folder.parent.glob(f".{folder.name}-*/")):
        if not folder.exists() and (beside / "old").is_dir():
            os.replace(beside / "old", folder)
        shutil.rmtree(beside, ignore_errors=True)


def _swap(a: Path, b: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    call = _system_call()
    if call is None:
        return False
    here = _AT_FDCWD[sys.platform]
    return call(here, os.fsencode(a), here, os.fsencode(b), _SWAP) == 0


@cache
def _system_call() -> Callable[..., int] | None:
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform)
    if name is None:
        return None
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
