"""Prediction with an ensemble: the mean of its members, and an error estimate from their spread.

Of three members or more, one that is far from the median of all at a point counts as at a limit there
(:func:`charge3net.predict.uncertainty.within_limits`): "the mean" is this mean throughout.
"""

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

from charge3net.analysis.bonding import bonding
from charge3net.checkpoints.card import ModelCard
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.predict.calibration import Calibration, Signs, nonmetal_share
from charge3net.predict.derivatives import arranged
from charge3net.predict.distributed import ALONE, Processes
from charge3net.predict.electrons import (
    LARGEST_SHIFT,
    Electrons,
    check_electrons,
    settle_electrons,
    valence_electrons,
)
from charge3net.predict.output import Allocate
from charge3net.predict.predictor import Predictor, issue
from charge3net.predict.trust import TrainingSet
from charge3net.predict.uncertainty import (
    mean_and_spread,
    mean_gradient,
    relative_spread,
    typical_density,
    within_limits,
)
from charge3net.progress import Progress


class EnsemblePredictor:
    """Models of one kind that differ in their training seed; predicts their mean.

    Args:
        members: one predictor for each model; at least two.
        calibration: turns the spread between the members into an expected error; None gives the spread alone.
        training_set: what structures are compared with; None says nothing of it.
        electrons: what :meth:`predict` does about the number of electrons where it is not told.

    Raises:
        InputError: for fewer than two members, or members that differ in cutoff or channels.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        calibration: Calibration | None = None,
        training_set: TrainingSet | None = None,
        electrons: Electrons = None,
    ) -> None:
        if len(members) < 2:
            raise InputError(f"an ensemble needs two members or more, found {len(members)}")
        if len({(m.model.cutoff, m.model.channels, m.model.ignore_pbc) for m in members}) > 1:
            raise InputError("the members of an ensemble must agree in cutoff, channels and periodicity")
        self.members, self.calibration = tuple(members), calibration
        self.training_set, self.electrons = training_set, electrons

    @classmethod
    def from_checkpoints(
        cls,
        paths: Sequence[str | Path],
        calibration: Calibration | None = None,
        training_set: TrainingSet | None = None,
        electrons: Electrons = None,
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
        return cls(members, calibration, training_set, electrons)

    def predict(
        self,
        structure: Any,
        *,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        encut: float | None = None,
        grid: Grid | None = None,
        like: Density | Grid | str | Path | None = None,
        symmetry: bool = True,
        electrons: Electrons = None,
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
            ``typical_density`` (e/Å³), with a training set what :meth:`TrainingSet.compare` says, and with a
            calibration ``group``, ``expected_percent``, ``low_percent``, ``high_percent`` (ε_mae, 90 % interval), or
            ``not_expected``, why no error can be expected: an element that no training structure holds, or a number
            of electrons that is off by more than 5 %.
        """
        check_electrons(electrons)
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
        if not processes.collects:
            return found[0]
        issued = len(found[0].provenance["warnings"])
        density = self.combine(found, electrons, spread)
        issue(density.provenance["warnings"][issued:])
        return density

    def combine(
        self, found: Sequence[Density], electrons: Electrons = None, spread: Callable[[Density], None] | None = None
    ) -> Density:
        """The mean of the members' predictions of one structure; arguments and result as for :meth:`predict`.

        The arrays of the first two predictions become those of the mean and of the spread.
        """
        first = found[0]
        mean, deviation = mean_and_spread(found)
        density = Density(first.geometry, first.grid, mean, provenance=dict(first.provenance))
        valence = valence_electrons(self.members[0].model, density.geometry)
        uncertainty = self._uncertainty(density, deviation[0], valence)
        seconds = {
            name: sum(one.provenance["seconds"].get(name, 0.0) for one in found) for name in first.provenance["seconds"]
        }
        density.provenance.update(
            members=[one.provenance["model"] for one in found],
            uncertainty=uncertainty,
            seconds=seconds,
            warnings=[*first.provenance["warnings"], *uncertainty.get("flags", ())],
        )
        wanted = self.electrons if electrons is None else electrons
        density.provenance.update(settle_electrons(density, wanted, valence))
        if spread is not None:
            about = {
                "title": f"standard deviation of {len(found)} {first.provenance['title']}",
                "program": "charge3net",
            }
            spread(replace(density, values=deviation, provenance={**density.provenance, **about}))
        return density

    def at(self, structure: Any, points: ArrayLike) -> Float[ndarray, "points *channels"]:
        """The mean density at points; as :meth:`Predictor.at`."""
        found = np.stack([member.at(structure, points) for member in self.members])
        if found.ndim == 2:
            return within_limits(found[:, None]).mean(axis=0)[0]
        return within_limits(found.transpose(0, 2, 1)).mean(axis=0).T

    def gradient(self, structure: Any, where: ArrayLike | Grid) -> Float[ndarray, "*shape"]:
        """The gradient of the mean density; as :meth:`Predictor.gradient`."""
        found = [member.derivatives(structure, where) for member in self.members]
        values = np.stack([one.values.T for one in found])
        gradients = np.stack([one.gradient.transpose(1, 0, 2) for one in found])
        return arranged(mean_gradient(values, gradients).transpose(1, 0, 2), where)

    def _uncertainty(
        self, density: Density, spread: Float[ndarray, "nx ny nz"], valence: float | None
    ) -> dict[str, Any]:
        """What the provenance says of it; ``spread`` is that of the total density."""
        relative, typical = relative_spread(spread, density.total), typical_density(density.total)
        found: dict[str, Any] = {"relative_spread": relative, "typical_density": typical}
        if self.training_set is not None:
            found |= self.training_set.compare(self.members[0].model, density.geometry)
        if self.calibration is None:
            return found
        electrons = None if valence is None else density.electrons() / valence - 1.0
        unseen = [symbol for symbol, count in found.get("rare_elements", {}).items() if count == 0]
        if unseen:
            return found | {"not_expected": f"no training structure holds {', '.join(unseen)}"}
        if electrons is not None and abs(electrons) > LARGEST_SHIFT:
            return found | {"not_expected": f"∫ρ is {100.0 * (electrons + 1.0):.3g} % of the valence"}
        geometry = density.geometry
        share = nonmetal_share(geometry.numbers)
        signs = Signs(relative, typical, found.get("distance"), bonding(geometry), electrons, share)
        error = self.calibration.expected(signs)
        found |= {"group": error.group, "boundary": self.calibration.familiar_below(signs.bonding)}
        found["interval_formulas"] = error.formulas
        found["interval_tested"] = None if error.tested is None else list(error.tested)
        found |= {"expected_percent": error.percent, "low_percent": error.low, "high_percent": error.high}
        return found

    @property
    def card(self) -> ModelCard | None:
        """The card of the first member; the members were trained on the same data."""
        return self.members[0].card

    def __iter__(self) -> Iterator[Predictor]:
        return iter(self.members)
