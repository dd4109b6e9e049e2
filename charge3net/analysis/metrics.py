"""How far a density is from another one: sums that stream, merge across processes, and divide once at the end.

Definitions (docs/evaluation.md). With target ρ and prediction ρ̂ on the voxels of one material:

* ``ε_mae = Σ|ρ − ρ̂| / Σ|ρ|`` in %, over every voxel of the file's own grid; reported as the mean over materials with
  its standard error (Jørgensen and Bhowmik, npj Comput. Mater. 8, 183 (2022); Koker et al., npj Comput. Mater. 10, 161
  (2024)).
* electron error ``∫(ρ̂ − ρ)`` in electrons: the sum of the differences times the volume of a voxel.
* RMSE and the largest absolute error in e/Å³.

Sums are float64 whatever the dtype of the densities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError


@dataclass(frozen=True)
class ErrorSums:
    """Sums over voxels, enough for every measure here; two of them add.

    Attributes:
        voxels: number of voxels.
        absolute: Σ|ρ̂ − ρ| in e/Å³.
        reference: Σ|ρ| in e/Å³.
        squared: Σ(ρ̂ − ρ)² in e²/Å⁶.
        signed: Σ(ρ̂ − ρ) in e/Å³.
        largest: max|ρ̂ − ρ| in e/Å³.
    """

    voxels: int = 0
    absolute: float = 0.0
    reference: float = 0.0
    squared: float = 0.0
    signed: float = 0.0
    largest: float = 0.0

    @classmethod
    def of(cls, prediction: Float[ndarray, "..."], target: Float[ndarray, "..."]) -> ErrorSums:
        """Sums over two arrays of one shape, e/Å³.

        Raises:
            InputError: if the shapes differ.
        """
        if prediction.shape != target.shape:
            raise InputError(f"prediction and target must have one shape, found {prediction.shape} and {target.shape}")
        if prediction.size == 0:
            return cls()
        target = np.asarray(target, dtype=np.float64)
        difference = np.asarray(prediction, dtype=np.float64) - target
        return cls(
            voxels=difference.size,
            absolute=float(np.abs(difference).sum()),
            reference=float(np.abs(target).sum()),
            squared=float(np.square(difference).sum()),
            signed=float(difference.sum()),
            largest=float(np.abs(difference).max()),
        )

    @classmethod
    def unsigned(cls, prediction: Float[ndarray, "..."], target: Float[ndarray, "..."]) -> ErrorSums:
        """Sums over two magnetisations in e/Å³ up to the global sign: of ± ``prediction`` the one with less error.

        Raises:
            InputError: if the shapes differ.
        """
        return min(cls.of(prediction, target), cls.of(-prediction, target), key=lambda sums: sums.absolute)

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(
            self.voxels + other.voxels,
            self.absolute + other.absolute,
            self.reference + other.reference,
            self.squared + other.squared,
            self.signed + other.signed,
            float(np.maximum(self.largest, other.largest)),  # np.maximum keeps a NaN, max() may lose it
        )

    @property
    def nmae(self) -> float:
        """ε_mae in %; NaN where the reference is zero everywhere (a magnetisation that vanishes)."""
        return 100.0 * self.absolute / self.reference if self.reference != 0.0 else float("nan")

    @property
    def rmse(self) -> float:
        """Root mean square error in e/Å³; NaN without voxels."""
        return float(np.sqrt(self.squared / self.voxels)) if self.voxels else float("nan")

    def electron_error(self, voxel_volume: float) -> float:
        """∫(ρ̂ − ρ) in electrons, for the volume of one voxel in Å³."""
        return self.signed * voxel_volume


@dataclass(frozen=True)
class Average:
    """A mean and how well it is known.

    Attributes:
        mean: the mean of the values; NaN without values.
        standard_error: standard deviation (n − 1) / √n; NaN for fewer than two values.
        count: the number of values.
    """

    mean: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Average:
        """Mean ± standard error of finite values; NaN entries (undefined for a material) are left out."""
        array = np.array(list(values), dtype=np.float64)
        array = array[~np.isnan(array)]
        n = len(array)
        mean = float(array.mean()) if n else float("nan")
        error = float(array.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        return cls(mean, error, n)

    def __str__(self) -> str:
        if self.count < 2:
            return f"{self.mean:.3g}"
        digits = max(0, min(6, 1 - int(np.floor(np.log10(self.standard_error))))) if self.standard_error > 0 else 3
        return f"{self.mean:.{digits}f} ± {self.standard_error:.{digits}f}"


def sums_by_element(
    prediction: Float[ndarray, "voxels"], target: Float[ndarray, "voxels"], numbers: Int[ndarray, "voxels"]
) -> dict[int, ErrorSums]:
    """Sums by element, each voxel counted for the element of its nearest atom.

    Args:
        prediction, target: [voxels] e/Å³.
        numbers: [voxels] atomic number of the nearest atom (:func:`charge3net.analysis.nearest.nearest_atoms`).

    Returns:
        By atomic number; the sums of all elements add up to the material's.
    """
    target = np.asarray(target, dtype=np.float64)
    difference = np.asarray(prediction, dtype=np.float64) - target
    elements, slot = np.unique(numbers, return_inverse=True)
    slot = slot.reshape(-1)
    n = len(elements)
    columns = [np.abs(difference), np.abs(target), np.square(difference), difference]
    absolute, reference, squared, signed = (np.bincount(slot, weights=c, minlength=n) for c in columns)
    voxels = np.bincount(slot, minlength=n)
    largest = np.zeros(n)
    np.maximum.at(largest, slot, np.abs(difference))
    return {
        int(z): ErrorSums(
            int(voxels[i]),
            float(absolute[i]),
            float(reference[i]),
            float(squared[i]),
            float(signed[i]),
            float(largest[i]),
        )
        for i, z in enumerate(elements)
    }
