"""From the signs of an uncertain prediction to the error that it is expected to have.

The error of an ensemble's mean grows with the spread between its members, but not in the same proportion everywhere.
Among surroundings of atoms like those of the training set the two are nearly equal. Elsewhere the members share errors,
which are larger the thinner the density is, the farther the surroundings are from the training set, and the more the
number of electrons is off. So structures are put into groups by what can be seen without their true
density, and each group has a line of its own (group-conditional conformal prediction: V. Vovk, J. Mach. Learn. Res.
Workshop Conf. Proc. 25, 475 (2012)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.bonding import Bonding
from charge3net.errors import InputError

#: Spreads below this (a fraction of the electrons) count as this much: single-precision noise.
LEAST_SPREAD = 1e-6

#: Share of the errors that lie within the interval.
COVERAGE = 0.9

#: Elements whose share of the atoms may count: noble gases too, and no semimetals.
NONMETALS = frozenset({1, 2, 6, 7, 8, 9, 10, 15, 16, 17, 18, 34, 35, 36, 53, 54})

#: Group of structures whose surroundings are not like those of the training set, or not known to be.
NEW = "new"

#: Group of the others, by what their bonds form.
FAMILIAR: Mapping[Bonding, str] = {"network": "crystals", "molecules": "liquids", "molecule": "molecules"}

#: The one group of a calibration without groups.
ALL = "all"

#: A group has a line from this many structures on.
_FOR_A_LINE = 10

#: A slope is fitted to this many formulas or more; else it is 1.
_FOR_A_SLOPE = 10

#: An interval fitted to fewer formulas applies to structures of these.
FEW_FORMULAS = 3

#: Slopes are drawn towards 1 (of ln s) and 0 as by this many formulas at one unit of the logarithm.
_PRIOR = 0.1

#: Errors of the number of electrons, as a share, below this say nothing.
_LEAST_ELECTRON_ERROR = 1e-3

#: Distances from the training set below this are all the same.
_LEAST_DISTANCE = 0.02


@dataclass(frozen=True)
class Signs:
    """What a prediction shows without its true density.

    Attributes:
        spread: standard deviation between the members as a fraction of the electrons.
        typical_density: e/Å³, :func:`charge3net.predict.uncertainty.typical_density`.
        distance: of the atoms' surroundings from the training set, mean over atoms; None where it is not known.
        bonding: what the bonds form.
        electron_error: (∫ρ̂ − N)/N against the valence N; None where it is not known.
        nonmetals: share of the atoms, :func:`nonmetal_share`; None where it is not known.
    """

    spread: float
    typical_density: float
    distance: float | None
    bonding: Bonding
    electron_error: float | None = None
    nonmetals: float | None = None

    def further(self) -> dict[str, float]:
        """What a line may depend on beside ln s; without what is not known. All but the share are logarithms."""
        found = {"typical_density": float(np.log(self.typical_density))}
        if self.distance is not None:
            found["distance"] = float(np.log(max(self.distance, _LEAST_DISTANCE)))
        if self.electron_error is not None:
            found["electron_error"] = float(np.log(abs(self.electron_error) + _LEAST_ELECTRON_ERROR))
        if self.nonmetals is not None:
            found["nonmetals"] = self.nonmetals
        return found


def nonmetal_share(numbers: Sequence[int] | ndarray) -> float:
    """Share of the atoms with these atomic numbers that are nonmetals (:data:`NONMETALS`).

    Members of an ensemble agree more about crystals of nonmetals than they are right.
    """
    return float(np.mean([int(z) in NONMETALS for z in numbers]))


@dataclass(frozen=True)
class ExpectedError:
    """Expected ε_mae of a prediction, in %.

    Attributes:
        percent: median estimate.
        low, high: bounds of the interval that holds 90 % of the errors on validation structures of the group.
        group: the group of structures that says so.
        tested: number of test structures of the group, and the share of them that the interval held; None if unknown.
        formulas: how many the interval was fitted to (:data:`FEW_FORMULAS`); 0 if unknown.
    """

    percent: float
    low: float
    high: float
    group: str = ALL
    tested: tuple[int, float] | None = None
    formulas: int = 0

    def __str__(self) -> str:
        return f"{self.percent:.2g} % ({self.low:.2g} to {self.high:.2g} %)"


@dataclass(frozen=True)
class Line:
    """``ln ε = intercept + slope · ln s + Σ bₖ (xₖ − cₖ)``, and the interval around it.

    Attributes:
        intercept, slope: of the fit.
        below, above: residuals of ln ε at the interval's ends.
        structures, formulas: how many it was fitted to.
        further: name of xₖ (:meth:`Signs.further`) → (bₖ, cₖ); cₖ is the mean over the fitted structures.
        tested: number of test structures of the group, and the share of them that the interval held; None if unknown.
    """

    intercept: float
    slope: float
    below: float
    above: float
    structures: int
    formulas: int = 0
    further: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    tested: tuple[int, float] | None = None

    @classmethod
    def fit(cls, signs: Sequence[Signs], errors: Sequence[float], formulas: Sequence[str], further: bool) -> Line:
        """Weighted least squares in logarithms, each formula with the weight of one structure.

        The interval holds 90 % of the residuals of formulas left out of the fit, with the correction of split conformal
        prediction for their number (A. N. Angelopoulos, S. Bates, Found. Trends Mach. Learn. 16, 494 (2023)). It is not
        narrower than Student's t says for residuals of that root mean square: the largest of ten residuals, which the
        correction then takes, is often small by chance. With fewer than three formulas single structures are left out
        instead: then it applies to structures of these.

        Args:
            signs: of each structure.
            errors: its ε_mae as a fraction.
            formulas: its formula.
            further: whether more than the spread matters.
        """
        each = [sign.further() for sign in signs]
        names = [name for name in each[0] if all(name in one for one in each)] if further else []
        x = np.array(
            [[_log_spread(sign), *(one[name] for name in names)] for sign, one in zip(signs, each, strict=True)]
        )
        y = np.log(np.maximum(errors, LEAST_SPREAD))
        found, place, count = np.unique(np.asarray(formulas), return_inverse=True, return_counts=True)
        weight, fitted = 1.0 / count[place], len(found) >= _FOR_A_SLOPE
        units = place if len(found) >= FEW_FORMULAS else np.arange(len(y))
        residuals = np.empty(len(y))
        for unit in np.unique(units):
            out = units == unit
            level, slopes, centre = _solve(x[~out], y[~out], weight[~out], fitted)
            residuals[out] = y[out] - level - (x[out] - centre) @ slopes
        number = len(np.unique(units))
        half = max(_quantile(np.abs(residuals), weight, number), _student(residuals, weight, number))
        level, slopes, centre = _solve(x, y, weight, fitted)
        more = {name: (float(slopes[i]), float(centre[i])) for i, name in enumerate(names, start=1)}
        intercept = level - float(slopes[0] * centre[0])
        return cls(intercept, float(slopes[0]), -half, half, len(y), len(found), more)

    def expected(self, signs: Signs, group: str = ALL) -> ExpectedError:
        """The error to expect of a prediction with these signs; what is not known of it counts as average."""
        known = signs.further()
        middle = self.intercept + self.slope * _log_spread(signs)
        middle += sum(slope * (known.get(name, centre) - centre) for name, (slope, centre) in self.further.items())
        low, percent, high = (100.0 * float(np.exp(middle + shift)) for shift in (self.below, 0.0, self.above))
        return ExpectedError(percent, low, high, group, self.tested, self.formulas)


@dataclass(frozen=True)
class Calibration:
    """Expected error of an ensemble's mean, fitted on structures that nothing was trained or tested on.

    Attributes:
        groups: the line of each group; :data:`ALL` alone, or :data:`NEW` and some of :data:`FAMILIAR`.
        boundary: distances from the training set below this are familiar.
        own_boundary: the same for what bonds form, where that has a boundary of its own.
    """

    groups: Mapping[str, Line]
    boundary: float = 0.0
    own_boundary: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        signs: Sequence[Signs],
        errors: Sequence[float],
        formulas: Sequence[str],
        boundary: float,
        own_boundary: Mapping[str, float] | None = None,
    ) -> Calibration:
        """A line for every group with ten structures or more.

        Args:
            signs, errors, formulas: of each structure, :meth:`Line.fit`.
            boundary: distance below which surroundings are familiar.
            own_boundary: what bonds form → distance, where that has its own.

        Raises:
            InputError: for lengths that differ, or fewer than ten structures with new surroundings.
        """
        if not len(signs) == len(errors) == len(formulas):
            raise InputError(
                f"{len(signs)} predictions, {len(errors)} errors and {len(formulas)} formulas; give one each"
            )
        empty = cls({}, float(boundary), {name: float(own) for name, own in (own_boundary or {}).items()})
        group = np.array([empty._kind(sign) for sign in signs])
        groups = {}
        for name in (NEW, *FAMILIAR.values()):
            own = [int(i) for i in np.flatnonzero(group == name)]
            if len(own) >= _FOR_A_LINE:
                groups[name] = Line.fit(
                    [signs[i] for i in own], [errors[i] for i in own], [formulas[i] for i in own], further=name == NEW
                )
        if NEW not in groups:
            raise InputError("a calibration needs ten structures or more whose surroundings are new to the model")
        return replace(empty, groups=groups)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """From :meth:`to_json`, or from the single line of releases before groups.

        Raises:
            InputError: if a value is missing or no number.
        """
        try:
            if "groups" not in values:
                return cls({ALL: _line(values)})
            groups = {str(name): _line(line) for name, line in values["groups"].items()}
            if ALL not in groups and NEW not in groups:
                raise ValueError(f"no group {NEW!r}")
            own = {str(name): float(value) for name, value in values.get("own_boundary", {}).items()}
            return cls(groups, float(values["boundary"]), own)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"the calibration of an ensemble is damaged ({error}); get the model again") from error

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        groups = {name: asdict(line) for name, line in self.groups.items()}
        return {"boundary": self.boundary, "own_boundary": dict(self.own_boundary), "groups": groups}

    def familiar_below(self, bonding: Bonding) -> float:
        """Distances from the training set below this are familiar for what the bonds form."""
        return self.own_boundary.get(bonding, self.boundary)

    def group(self, signs: Signs) -> str:
        """The group of structures that a prediction with these signs belongs to.

        A familiar group without a line is taken as new, which has the widest interval.
        """
        if ALL in self.groups:
            return ALL
        name = self._kind(signs)
        return name if name in self.groups else NEW

    def _kind(self, signs: Signs) -> str:
        """Its group if every group had a line."""
        familiar = signs.distance is not None and signs.distance < self.familiar_below(signs.bonding)
        return FAMILIAR[signs.bonding] if familiar else NEW

    def expected(self, signs: Signs) -> ExpectedError:
        """The error to expect of a prediction with these signs."""
        name = self.group(signs)
        return self.groups[name].expected(signs, name)


def _line(values: Mapping[str, Any]) -> Line:
    intercept, slope, below, above = (float(values[name]) for name in ("intercept", "slope", "below", "above"))
    counts = int(values["structures"]), int(values.get("formulas", 0))
    further = {str(name): (float(pair[0]), float(pair[1])) for name, pair in values.get("further", {}).items()}
    held = values.get("tested")
    tested = None if held is None else (int(held[0]), float(held[1]))
    return Line(intercept, slope, below, above, *counts, further, tested)


def _log_spread(signs: Signs) -> float:
    return float(np.log(max(signs.spread, LEAST_SPREAD)))


def _solve(
    x: Float[ndarray, "structures columns"],
    y: Float[ndarray, "structures"],
    weight: Float[ndarray, "structures"],
    fitted: bool,
) -> tuple[float, Float[ndarray, "columns"], Float[ndarray, "columns"]]:
    """Level, slopes and centre: y ≈ level + slopes · (x − centre). Slopes are near (1, 0, …), or just that."""
    centre, slopes = np.average(x, axis=0, weights=weight), np.eye(x.shape[1])[0]
    level = float(np.average(y, weights=weight))
    if not fitted:
        return level, slopes, centre
    left, apart = y - level - (x - centre) @ slopes, x - centre
    normal = apart.T @ (weight[:, None] * apart) + _PRIOR * np.eye(len(centre))
    return level, slopes + np.linalg.solve(normal, apart.T @ (weight * left)), centre


def _student(values: Float[ndarray, "structures"], weight: Float[ndarray, "structures"], units: int) -> float:
    """What the modulus of a new value stays below with a probability of 90 % if values are normal around zero."""
    from scipy.stats import t as student

    spread = float(np.sqrt(np.average(values**2, weights=weight)))
    return spread * float(student.ppf(0.5 * (1.0 + COVERAGE), max(units - 1, 1)))


def _quantile(values: Float[ndarray, "structures"], weight: Float[ndarray, "structures"], units: int) -> float:
    """The weighted quantile that a new value stays below with a probability of 90 %."""
    level = min(1.0, COVERAGE * (units + 1) / units)
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(share, level - 1e-9)), len(values) - 1)])
