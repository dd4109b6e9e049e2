"""Files that are written whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charge3net.errors import InputError
from charge3net.io.files.compression import compressed, split_compression


@contextmanager
def atomic_output(path: str | Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for writing, compressed by suffix; it appears under its name only when all went well.

    Raises:
        InputError: for a folder that does not exist or may not be written, or a suffix that is only read (``.zz``).
    """
    path = Path(path)
    suffix = split_compression(path.name)[1]
    if suffix == ".zz":
        raise InputError(f"{path}: .zz files are only read; write .gz, .xz, .bz2 or .lz4")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as raw, compressed(raw, suffix) as stream:
            yield stream
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all.

    Raises:
        InputError: as :func:`atomic_output`.
    """
    with atomic_output(path) as stream:
        stream.write(text.encode())
