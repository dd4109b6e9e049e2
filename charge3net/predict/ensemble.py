"""Prediction with an ensemble: the mean of its members, and an error estimate from their spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from charge3net.checkpoints.card import ModelCard
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.predict.distributed import ALONE, Processes
from charge3net.predict.output import Allocate, scale_to
from charge3net.predict.predictor import Predictor
from charge3net.predict.uncertainty import Calibration, mean_and_spread, relative_spread
from charge3net.progress import Progress


class EnsemblePredictor:
    """Models of one kind that differ in their training seed; predicts their mean.

    Args:
        members: one predictor for each model; at least two.
        calibration: turns the spread between the members into an expected error; None gives the spread alone.

    Raises:
        InputError: for fewer than two members, or members that differ in cutoff or channels.
    """

    def __init__(self, members: Sequence[Predictor], calibration: Calibration | None = None) -> None:
        if len(members) < 2:
            raise InputError(f"an ensemble needs two members or more, found {len(members)}")
        if len({(m.model.cutoff, m.model.channels, m.model.ignore_pbc) for m in members}) > 1:
            raise InputError("the members of an ensemble must agree in cutoff, channels and periodicity")
        self.members, self.calibration = tuple(members), calibration

    @classmethod
    def from_checkpoints(
        cls,
        paths: Sequence[str | Path],
        calibration: Calibration | None = None,
        *,
        device: str | torch.device | None = None,
        strict_elements: bool = False,
        kernels: bool = True,
    ) -> EnsemblePredictor:
        """With the models of several checkpoint folders.

        Raises:
            InputError: if one of them holds no model, or they do not fit together.
        """
        members = [
            Predictor.from_checkpoint(path, device=device, strict_elements=strict_elements, kernels=kernels)
            for path in paths
        ]
        return cls(members, calibration)

    def predict(
        self,
        structure: Any,
        *,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        encut: float | None = None,
        grid: Grid | None = None,
        like: Density | Grid | None = None,
        symmetry: bool = True,
        electrons: float | None = None,
        progress: bool | Progress = False,
        allocate: Allocate | None = None,
        processes: Processes = ALONE,
        spread: Callable[[Density], None] | None = None,
    ) -> Density:
        """The mean density of the members; arguments and errors as for :meth:`Predictor.predict`.

        Args:
            spread: called with the standard deviation between the members as a density on the same grid, e/Å³.

        Returns:
            Its provenance has ``members`` and ``uncertainty``: ``relative_spread`` (a fraction of the electrons),
            and with a calibration ``expected_percent``, ``low_percent``, ``high_percent`` (ε_mae, 90 % interval).
        """
        found = [
            member.predict(
                structure,
                shape=shape,
                spacing=spacing,
                encut=encut,
                grid=grid,
                like=like,
                symmetry=symmetry,
                progress=progress,
                allocate=allocate,
                processes=processes,
            )
            for member in self.members
        ]
        first = found[0]
        if not processes.collects:
            return first
        mean, deviation = mean_and_spread(found)
        uncertainty: dict[str, Any] = {"relative_spread": relative_spread(deviation[0], mean[0])}
        if self.calibration is not None:
            error = self.calibration.expected(uncertainty["relative_spread"])
            uncertainty |= {"expected_percent": error.percent, "low_percent": error.low, "high_percent": error.high}
        density = Density(first.geometry, first.grid, mean, provenance=dict(first.provenance))
        scale = scale_to(density, electrons)
        seconds = {
            name: sum(one.provenance["seconds"].get(name, 0.0) for one in found) for name in first.provenance["seconds"]
        }
        density.provenance.update(
            members=[one.provenance["model"] for one in found],
            uncertainty=uncertainty,
            electrons=density.electrons(),
            scaled_by=scale,
            seconds=seconds,
        )
        if spread is not None:
            about = {
                "title": f"standard deviation of {len(found)} {first.provenance['title']}",
                "program": "charge3net",
            }
            spread(replace(density, values=deviation, provenance={**density.provenance, **about}))
        return density

    def at(self, structure: Any, points: ArrayLike) -> Float[ndarray, "points *channels"]:
        """The mean density at points; as :meth:`Predictor.at`."""
        return np.mean([member.at(structure, points) for member in self.members], axis=0)

    def gradient(self, structure: Any, where: ArrayLike | Grid) -> Float[ndarray, "*shape"]:
        """The gradient of the mean density; as :meth:`Predictor.gradient`."""
        return np.mean([member.gradient(structure, where) for member in self.members], axis=0)

    @property
    def card(self) -> ModelCard | None:
        """The card of the first member; the members were trained on the same data."""
        return self.members[0].card

    def __iter__(self) -> Iterator[Predictor]:
        return iter(self.members)
