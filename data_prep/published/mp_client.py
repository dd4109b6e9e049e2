"""Densities of the Materials Project, through an object with the interface of ``mp_api.client.MPRester`` (0.46).

Densities belong to tasks (single calculations), tasks to materials. Task ids change and vanish; a published map from
materials to tasks is followed as far as it goes, then the latest static PBE or PBE+U task of the material is taken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

T = TypeVar("T")

#: Kinds of tasks whose densities are the Materials Project's.
STATIC = ("GGA Static", "GGA+U Static")
#: How ``mp_api`` says that there is no such file; every other failure may pass.
NO_SUCH_FILE = "No object found"


@dataclass(frozen=True)
class Fetched:
    """What became of one material.

    Attributes:
        material_id: as asked.
        status: ``"had"`` (the task that was asked for, or the latest where none was), ``"changed"`` (another task than
            the one asked for), ``"missing"`` (there is no density), ``"rejected"`` (it cannot be used), ``"failed"``
            (the service did not answer).
        asked: the task that was asked for, or None.
        task_id: the task whose density it is, or None.
        density: e/Å³, or None.
        reason: why it is not ``"had"``.
    """

    material_id: str
    status: str
    asked: str | None = None
    task_id: str | None = None
    density: Density | None = None
    reason: str = ""


class MaterialsProject:
    """Asks the Materials Project, again when it does not answer. Can be used from several threads.

    Args:
        make_rester: makes an ``MPRester``; called once per thread.
        attempts: how often a question is asked before it counts as failed.
        wait: sleeps so many seconds between attempts (2, 4, 8, …).
    """

    def __init__(
        self, make_rester: Callable[[], Any], attempts: int = 4, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._make_rester = make_rester
        self._attempts = attempts
        self._wait = wait
        self._local = threading.local()

    def connect(self) -> None:
        """Make sure that there is a client.

        Raises:
            InputError: if there is none.
        """
        try:
            self._ask(lambda rester: None)
        except InputError:
            raise
        except Exception as error:
            raise _no_answer(error) from None

    def materials_with_density(self) -> list[str]:
        """Ids of all materials with a charge density.

        Raises:
            InputError: if the service does not answer.
        """

        def search(rester: Any) -> list[str]:
            found = rester.materials.summary.search(
                has_props=["charge_density"], all_fields=False, fields=["material_id"]
            )
            return [_text(document["material_id"]) for document in found]

        try:
            return self._ask(search) or []
        except InputError:
            raise
        except Exception as error:
            raise _no_answer(error) from None

    def fetch(self, material_id: str, task_id: str | None = None) -> Fetched:
        """The density of one material; whatever goes wrong becomes the status.

        Args:
            material_id: of the material.
            task_id: the task to take; None for the latest. If it has no density (any more), the material's static tasks
                are tried, the latest first; if the material is gone, those of the material it was merged into.
        """
        try:
            if task_id is not None and (density := self._density(task_id)) is not None:
                return Fetched(material_id, "had", task_id, task_id, density)
            tried = [] if task_id is None else [task_id]
            for other in self._static_tasks(material_id):
                if other not in tried and (density := self._density(other)) is not None:
                    changed = task_id is not None
                    reason = f"task {task_id} has no density, took the latest that has one" if changed else ""
                    return Fetched(material_id, "changed" if changed else "had", task_id, other, density, reason)
                tried.append(other)
        except InputError as error:
            return Fetched(material_id, "rejected", task_id, reason=str(error))
        except Exception as error:  # networks fail in many ways
            return Fetched(material_id, "failed", task_id, reason=_short(error))
        return Fetched(material_id, "missing", task_id, reason=f"no density for {', '.join(tried) or 'it'}")

    def _density(self, task_id: str) -> Density | None:
        def get(rester: Any) -> Any:
            return rester.get_charge_density_from_task_id(task_id)

        chgcar = self._ask(get)
        return None if chgcar is None else density_of(chgcar)

    def _static_tasks(self, material_id: str) -> list[str]:
        """Static tasks of a material, the latest first."""

        def tasks(rester: Any) -> list[str]:
            found = rester.get_task_ids_associated_with_material_id(material_id, calc_types=list(STATIC))
            if found:
                return found
            now = rester.get_material_id_from_task_id(material_id)  # ids of materials are ids of tasks
            if now is None or _text(now) == material_id:
                return []
            return rester.get_task_ids_associated_with_material_id(_text(now), calc_types=list(STATIC))

        def updates(rester: Any) -> list[tuple[Any, str]]:
            found = rester.materials.tasks.search(task_ids=ids, fields=["last_updated", "task_id"])
            return [(document["last_updated"], _text(document["task_id"])) for document in found]

        ids = [_text(task) for task in self._ask(tasks) or []]
        dated = self._ask(updates) or [] if ids else []
        return [task for _, task in sorted(dated, key=lambda item: item[0], reverse=True)]

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        """The answer; None when there is no such file. A failure is raised after the last attempt."""
        for attempt in range(self._attempts):
            if attempt:
                self._wait(2.0**attempt)
            try:
                if not hasattr(self._local, "rester"):
                    self._local.rester = self._make_rester()
                return question(self._local.rester)
            except InputError:
                raise
            except Exception as error:
                if NO_SUCH_FILE in str(error):
                    return None
                failure = error
        raise failure


def density_of(chgcar: Any) -> Density:
    """A pymatgen ``Chgcar`` (ρ·V) as a density in e/Å³; the magnetisation of a collinear calculation is kept.

    Raises:
        InputError: if it holds no total density, or a structure that cannot be used.
    """
    if isinstance(chgcar, dict):
        from pymatgen.io.vasp import Chgcar

        chgcar = Chgcar.from_dict(chgcar)
    if "total" not in chgcar.data:
        raise InputError(f"the answer holds no total density but {', '.join(chgcar.data) or 'nothing'}")
    geometry = Geometry.of(chgcar.structure)
    channels = [chgcar.data[name] for name in ("total", "diff") if name in chgcar.data]
    values = np.stack([np.asarray(channel) for channel in channels]) / geometry.volume
    return Density(geometry, Grid(geometry.cell, values.shape[1:]), values.astype(np.float32))


def id_number(material_id: str) -> int:
    """The number in an id: ``mp-149`` → 149; newer ids write it in letters, ``mp-ft`` → 149 (a … z are 0 … 25).

    Raises:
        InputError: for an id of another form.
    """
    number = material_id.rpartition("-")[2]
    if number.isdecimal():
        return int(number)
    if not number.isascii() or not number.isalpha() or not number.islower():
        raise InputError(f"{material_id!r} is no id of the Materials Project; they look like mp-149")
    value = 0
    for letter in number:
        value = 26 * value + ord(letter) - ord("a")
    return value


def _text(identifier: Any) -> str:
    """Ids may be objects that write old ids in letters; their ``string`` is the usual form."""
    return str(getattr(identifier, "string", identifier))


def _no_answer(error: Exception) -> InputError:
    return InputError(f"the Materials Project does not answer ({_short(error)}); check MP_API_KEY and the network")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
