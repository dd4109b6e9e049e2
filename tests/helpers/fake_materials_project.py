"""A Materials Project in memory, behind the interface of ``mp_api.client.MPRester`` 0.46."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy import ndarray
from pymatgen.core import Structure
from pymatgen.io.vasp import Chgcar, Poscar


def rock_salt(a: float, species: Sequence[str] = ("Mg", "O")) -> Structure:
    """Space group 225."""
    primitive = a / 2 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    return Structure(primitive, list(species), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]))


def caesium_chloride(a: float, species: Sequence[str] = ("Mg", "O")) -> Structure:
    """Space group 221."""
    return Structure(a * np.eye(3), list(species), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]))


def make_chgcar(structure: Structure, seed: int, spin: bool = False) -> tuple[Chgcar, ndarray]:
    """Random ρ, and the same in the form of pymatgen (ρ·V)."""
    rho = np.random.default_rng(seed).random((2 if spin else 1, 4, 5, 6)) + 0.1
    data = dict(zip(("total", "diff"), rho * structure.volume, strict=False))
    return Chgcar(Poscar(structure), data), rho


@dataclass
class FakeService:
    """What the service has, what it was asked, and how it fails."""

    chgcars: dict[str, Any] = field(default_factory=dict)  # task → Chgcar
    tasks: dict[str, dict[str, str]] = field(default_factory=dict)  # material → task → last_updated
    merged: dict[str, str] = field(default_factory=dict)  # old id of a material → its id now
    asked: list[str] = field(default_factory=list)
    fail: Callable[[str], bool] = lambda what: False

    def rester(self) -> FakeRester:
        """A client."""
        return FakeRester(self)


class FakeRester:
    """The part of MPRester that is used."""

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self.materials = SimpleNamespace(
            summary=SimpleNamespace(search=self._search_summary), tasks=SimpleNamespace(search=self._search_tasks)
        )

    def get_charge_density_from_task_id(self, task_id: str, inc_task_doc: bool = False) -> Any:
        self._ask(task_id)
        if task_id not in self._service.chgcars:
            raise RuntimeError(f"No object found: s3://materialsproject-parsed/chgcars/{task_id}.json.gz")
        return self._service.chgcars[task_id]

    def get_task_ids_associated_with_material_id(
        self, material_id: str, calc_types: list[str] | None = None
    ) -> list[str]:
        self._ask(f"tasks of {material_id}")
        assert calc_types == ["GGA Static", "GGA+U Static"]
        return list(self._service.tasks.get(material_id, {}))

    def get_material_id_from_task_id(self, task_id: str) -> str | None:
        return self._service.merged.get(task_id)

    def _search_summary(
        self, has_props: list[str] | None = None, all_fields: bool = True, fields: list[str] | None = None
    ) -> list[dict[str, Any]]:
        self._ask("summary")
        assert has_props == ["charge_density"]
        assert fields == ["material_id"]
        return [{"material_id": SimpleNamespace(string=key)} for key in self._service.tasks]

    def _search_tasks(
        self, task_ids: str | list[str] | None = None, fields: list[str] | None = None
    ) -> list[dict[str, Any]]:
        assert fields == ["last_updated", "task_id"]
        dates = {task: date for tasks in self._service.tasks.values() for task, date in tasks.items()}
        return [{"task_id": task, "last_updated": dates[task]} for task in task_ids or []]

    def _ask(self, what: str) -> None:
        self._service.asked.append(what)
        if self._service.fail(what):
            raise ConnectionError(f"no answer about {what}")
