"""A file of values, mapped into memory, whose pages are prefetched."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from charge3net.errors import InputError


class Shard:
    """One of a store's files of values, opened for reading.

    Attributes:
        bytes: [size] of the file, a read-only view.

    Raises:
        InputError: if there is no such file, or nothing in it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file() or path.stat().st_size == 0:
            raise InputError(f"{path} is missing")
        with open(path, "rb") as file:
            self._pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes: UInt8[ndarray, "size"] = np.frombuffer(self._pages, dtype=np.uint8)

    def announce(self, offsets: Int[ndarray, "*offsets"]) -> None:
        """Ask the system to prefetch the pages with these bytes.

        It then requests all of them from the disk at once, and no others. Without this, each first access waits for its
        page and reads ahead pages that are not needed. Does nothing where the system has no ``madvise``.
        """
        if offsets.size and hasattr(self._pages, "madvise"):
            pages = np.unique(offsets // mmap.PAGESIZE)
            for run in np.split(pages, np.flatnonzero(np.diff(pages) > 1) + 1):
                self._pages.madvise(mmap.MADV_WILLNEED, int(run[0]) * mmap.PAGESIZE, len(run) * mmap.PAGESIZE)
