"""What all runs of pw.x in the study share. Finished runs are stored in files, so an interrupted study continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from charge3net.atoms.isolated import IsolatedAtoms, read_isolated_atoms
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.studies.cache import cached
from charge3net.studies.restart.config import Config
from charge3net.studies.restart.measure import ATOMIC, Diagonalisation, Settings, with_model, without_model, work


@dataclass(frozen=True, eq=False)
class Model:
    """A model or an ensemble.

    Attributes:
        weights: what names them.
        predict: the density of a structure on a grid.
    """

    weights: str
    predict: Callable[[Geometry, Grid], Density]


@dataclass(frozen=True, eq=False)
class Bench:
    """Structures, settings and the folder of finished runs."""

    store: Store
    atoms: IsolatedAtoms
    settings: Settings
    folder: Path

    @classmethod
    def of(cls, config: Config, store: Store, folder: Path) -> Bench:
        """Of a study; its diagonalisations are pw.x's own until :meth:`tuned`."""
        settings = Settings(
            Path(config.pseudo_dir), config.extension, config.threshold, tuple(config.thresholds), ATOMIC, ATOMIC,
            config.limit,
        )  # fmt: skip
        place = folder / "structures" / f"{store.hash()[:6]}{config.extension}"
        return cls(store, read_isolated_atoms(config.isolated_atoms), settings, place)

    def tuned(self, tuning: Mapping[str, Any]) -> Bench:
        """The same with what :func:`charge3net.studies.restart.tuning.tune` found."""
        first, best = (Diagonalisation(**tuning[start]) for start in ("model", "SAD"))
        return replace(self, settings=replace(self.settings, first=first, tuned=best))

    def work(self, key: str, model: Model | None, first: Diagonalisation) -> dict[str, Any]:
        """Steps and work from a prediction, or from superposed atoms, with this diagonalisation."""
        folder = self.folder / ("SAD" if model is None else model.weights)
        predict = None if model is None else model.predict
        run = partial(work, self.store[key], predict, self.atoms, self.settings, first)
        return cached(folder / f"{key}-{first}.json", run)

    def measured(self, key: str, models: Mapping[str, Model]) -> dict[str, Any]:
        """All starts of a structure; steps to the smallest threshold from the last model."""
        entry, settings = self.store[key], self.settings
        about = f"{key}-{settings.first}-{settings.tuned}"
        exact = self.folder / f"{about}.npz"
        structure = cached(self.folder / f"{about}.json", partial(without_model, entry, self.atoms, settings, exact))
        for name, model in models.items():
            tight = name == list(models)[-1]
            run = partial(with_model, entry, model.predict, settings, exact, structure["energy"], tight)
            file = self.folder / model.weights / f"{about}{'-tight' * tight}.json"
            structure["starts"][name] = cached(file, run)
        return structure
