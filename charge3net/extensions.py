"""Models, losses, readers and studies of other installed packages, found by entry points.

A package names what it offers in its metadata; charge3net looks a name up there and nowhere else, so a name in a
checkpoint or in a file of settings never decides which code is run: only what the user has installed can be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from charge3net.errors import InputError


@dataclass(frozen=True)
class Extension:
    """An entry point.

    Attributes:
        name: by which it is chosen.
        value: the object, ``package.module:name``.
        package: that was installed with it.
        group: of entry points.
    """

    name: str
    value: str
    package: str
    group: str

    def load(self) -> Any:
        """The object.

        Raises:
            InputError: if it cannot be imported.
        """
        module, _, name = self.value.partition(":")
        try:
            found = import_module(module)
            for part in name.split(".") if name else ():
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"{self.value}, which {self.package} names in {self.group} as {self.name}, cannot be imported: {error}"
            ) from error
        return found


def extensions(group: str, own: Collection[str] = ()) -> dict[str, Extension]:
    """Name → entry point of a group, by name.

    Args:
        group: e.g. ``"charge3net.models"``.
        own: names of this package, which others may not take.

    Raises:
        InputError: if two packages offer one name, or one of ``own``.
    """
    found: dict[str, Extension] = {}
    for one in _found(group, tuple((folder, _changed(folder)) for folder in sys.path)):
        if one.name in own:
            raise InputError(
                f"{one.package} names {one.value} in {group} as {one.name}, which is a name of charge3net; rename it"
            )
        if found.setdefault(one.name, one) != one:
            raise InputError(
                f"two packages offer {one.name} in {group}: {found[one.name].value} and {one.value}; remove one"
            )
    return found


@lru_cache(maxsize=16)
def _found(group: str, path: tuple[tuple[str, int], ...]) -> tuple[Extension, ...]:
    """The entry points of a group; a search takes some 10 ms, so it is repeated only when a folder has changed.

    Args:
        group: of entry points.
        path: folders of Python's path, and when they changed.
    """
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    found = sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    return tuple(Extension(one.name, one.value, one.dist.name if one.dist else "a package", group) for one in found)


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0
