"""Two densities of one structure compared at points, with their derivatives and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.fields import density_overlap, hessian_eigenvalues, interaction_region

#: The isovalues that the authors of IRI and DORI draw.
IRI_LEVEL, DORI_LEVEL = 1.0, 0.9


@dataclass(frozen=True, eq=False)
class LocalDensity:
    """A density at some points.

    Attributes:
        values: [points] e/Å³.
        gradient: [points, 3] e/Å⁴.
        hessian: [points, 3, 3] e/Å⁵.
    """

    values: Float[ndarray, "points"]
    gradient: Float[ndarray, "points 3"]
    hessian: Float[ndarray, "points 3 3"]

    @cached_property
    def eigenvalues(self) -> Float[ndarray, "points 3"]:
        """[points, 3] of the Hessian, ascending, e/Å⁵."""
        return hessian_eigenvalues(self.hessian)

    @cached_property
    def iri(self) -> Float[ndarray, "points"]:
        """[points] interaction region indicator, atomic units."""
        return interaction_region(self.values, self.gradient)

    @cached_property
    def dori(self) -> Float[ndarray, "points"]:
        """[points] density overlap regions indicator."""
        return density_overlap(self.values, self.gradient, self.hessian)


def compare(true: LocalDensity, found: LocalDensity) -> dict[str, float]:
    """How far a density, its derivatives and its fields are from the true ones, over all points together.

    Returns:
        ``density``, ``gradient``, ``hessian``: Σ|difference| / Σ|true|, with the length of vectors and the Frobenius
        norm of matrices; ``lambda1`` … ``lambda3``: the same of each eigenvalue; ``sign``: share of points where λ₂ has
        the sign of the true one; ``iri``: Σ|difference| / Σ|true|; ``dori``: mean |difference|; ``iri_region``,
        ``dori_region``: points inside both regions (IRI < 1, DORI > 0.9) over points inside either;
        ``not_positive``: share of points where the density found is not positive, left out of the last four.
    """
    errors = {name: ratio(*parts) for name, parts in magnitudes(true, found).items()}
    for i in range(3):
        errors[f"lambda{i + 1}"] = ratio(
            np.abs(found.eigenvalues[:, i] - true.eigenvalues[:, i]), np.abs(true.eigenvalues[:, i])
        )
    errors["sign"] = float(np.mean(np.sign(found.eigenvalues[:, 1]) == np.sign(true.eigenvalues[:, 1])))
    good = np.isfinite(found.iri) & np.isfinite(true.iri) & np.isfinite(found.dori) & np.isfinite(true.dori)
    errors["iri"] = ratio(np.abs(found.iri - true.iri)[good], true.iri[good])
    errors["dori"] = float(np.mean(np.abs(found.dori - true.dori)[good]))
    errors["iri_region"] = overlap(true.iri[good] < IRI_LEVEL, found.iri[good] < IRI_LEVEL)
    errors["dori_region"] = overlap(true.dori[good] > DORI_LEVEL, found.dori[good] > DORI_LEVEL)
    errors["not_positive"] = float(np.mean(~good))
    return errors


def magnitudes(true: LocalDensity, found: LocalDensity) -> dict[str, tuple[ndarray, ndarray]]:
    """{density, gradient, hessian: ([points] |difference|, [points] |true|)}."""
    return {
        "density": (np.abs(found.values - true.values), np.abs(true.values)),
        "gradient": (np.linalg.norm(found.gradient - true.gradient, axis=1), np.linalg.norm(true.gradient, axis=1)),
        "hessian": (
            np.linalg.norm(found.hessian - true.hessian, axis=(1, 2)),
            np.linalg.norm(true.hessian, axis=(1, 2)),
        ),
    }


def by_bin(
    errors: Float[ndarray, "points"], sizes: Float[ndarray, "points"], x: Float[ndarray, "points"], edges: ndarray
) -> list[float | None]:
    """Σ errors / Σ sizes of the points with x in each bin; None for an empty one."""
    place = np.digitize(x, edges) - 1
    return [ratio(errors[place == i], sizes[place == i]) if (place == i).any() else None for i in range(len(edges) - 1)]


def sign_by_size(true: LocalDensity, found: LocalDensity, edges: ndarray) -> list[float | None]:
    """Share of points where λ₂ has the true sign, by bins of the true |λ₂| in e/Å⁵; None for an empty bin."""
    agree = np.sign(found.eigenvalues[:, 1]) == np.sign(true.eigenvalues[:, 1])
    return by_bin(agree.astype(float), np.ones(len(agree)), np.abs(true.eigenvalues[:, 1]), edges)


def ratio(part: Float[ndarray, "points"], whole: Float[ndarray, "points"]) -> float:
    """Σ part / Σ whole; NaN where that is 0 / 0."""
    total = float(np.sum(whole, dtype=np.float64))
    return float(np.sum(part, dtype=np.float64)) / total if total else float("nan")


def overlap(first: ndarray, second: ndarray) -> float:
    """Points in both sets over points in either (Jaccard's index); 1 for two empty sets."""
    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / either if either else 1.0
