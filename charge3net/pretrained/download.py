"""Fetch a file by the address that the user gives: goes on where it stopped, and compares the checksum."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from socket import gaierror
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, unquote, urldefrag, urlsplit
from urllib.request import Request, urlopen

from charge3net.errors import InputError

ATTEMPTS = 5
_BLOCK = 1 << 20


def download(url: str, folder: str | Path, wait: Callable[[float], None] = time.sleep) -> Path:
    """Fetch one file; returns where it is.

    What was fetched before an interruption stays in ``NAME.part`` and is not fetched again. A file that is there is
    kept, after its checksum was compared.

    Args:
        url: address. Behind a ``#`` may stand, joined by ``&``, ``md5=HEX`` or ``sha256=HEX``, and ``name=FILE``
            where the address does not end in the file's name.
        folder: made if it does not exist.
        wait: sleeps so many seconds between attempts.

    Raises:
        InputError: for an address that is not http(s) or has no file name, when the file cannot be had in five
            attempts, and for a wrong checksum.
    """
    address, checksums, name = _parse(url)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / name, folder / f"{name}.part"
    if not target.exists():
        _fetch(address, part, wait)
        _compare(part, checksums, f"what came from {address} was deleted, fetch it again", delete=True)
        os.replace(part, target)
    else:
        _compare(target, checksums, "delete it and fetch it again", delete=False)
    return target


def _parse(url: str) -> tuple[str, dict[str, str], str]:
    address, fragment = urldefrag(url)
    fields = {key: values[0] for key, values in parse_qs(fragment).items()}
    name = fields.pop("name", "") or unquote(urlsplit(address).path.rpartition("/")[2])
    if urlsplit(address).scheme not in ("http", "https"):
        raise InputError(f"{url} is not an http or https address")
    if set(fields) - {"md5", "sha256"}:
        raise InputError(f"{url}: after # only md5=, sha256= and name= are allowed, not {sorted(fields)[0]!r}")
    if "." not in name or name != Path(name).name or name.startswith("."):
        raise InputError(f"{url} does not end in the name of a file; add #name=FILE")
    return address, {kind: value.lower() for kind, value in fields.items()}, name


def _fetch(address: str, part: Path, wait: Callable[[float], None]) -> None:
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait(2.0**attempt)
        try:
            if _append(address, part):
                return
            problem = "the connection ended early"
        except HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise InputError(f"{address} cannot be fetched: {error.code} {error.reason}") from None
            problem = f"{error.code} {error.reason}"
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, gaierror) and not part.exists():
                raise InputError(f"{address} cannot be fetched: no network, or no such server ({reason})") from None
            problem = str(reason)
    raise InputError(f"{address} cannot be fetched after {ATTEMPTS} attempts ({problem}); run it again to go on")


def _append(address: str, part: Path) -> bool:
    """Fetch what is missing; whether the file is whole now."""
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(address, headers=headers), timeout=60)
    except HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
            return True
        if error.code == 416:
            part.unlink()  # longer than the file: not the same file
            return False
        raise
    with response:
        if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    return total is None or part.stat().st_size == total


def _compare(path: Path, checksums: dict[str, str], remedy: str, delete: bool) -> None:
    for kind, expected in checksums.items():
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != expected:
            if delete:
                path.unlink()
            raise InputError(
                f"{path.name.removesuffix('.part')}: {kind} is {found} where {expected} was expected; {remedy}"
            )
