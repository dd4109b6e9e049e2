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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

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


class DensityErrors:
    """Errors of many materials, gathered in pieces.

    Chunks of one material add; gatherings of several processes merge, because only numerators and denominators are
    kept.

    Example:
        >>> errors = DensityErrors()
        >>> errors.add("NaCl", np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        >>> errors.add("NaCl", np.array([4.0]), np.array([4.0]))
        >>> errors["NaCl"].nmae  # 1 / 8
        12.5
    """

    def __init__(self, sums: Mapping[str, ErrorSums] | None = None) -> None:
        self._sums: dict[str, ErrorSums] = dict(sums or {})

    def add(self, material: str, prediction: Float[ndarray, "..."], target: Float[ndarray, "..."]) -> None:
        """Add a chunk of voxels of a material: one channel of each density, e/Å³."""
        self._sums[material] = self[material] + ErrorSums.of(prediction, target)

    def merge(self, other: DensityErrors) -> None:
        """Add what another process (or an earlier run) gathered."""
        for material, sums in other._sums.items():
            self._sums[material] = self[material] + sums

    def __getitem__(self, material: str) -> ErrorSums:
        """The sums of a material; empty sums where nothing was added."""
        return self._sums.get(material, ErrorSums())

    def __len__(self) -> int:
        return len(self._sums)

    def materials(self) -> list[str]:
        """Names in the order in which they were first added."""
        return list(self._sums)

    def nmae(self) -> Average:
        """ε_mae in %, mean over materials ± standard error."""
        return Average.of(sums.nmae for sums in self._sums.values())


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


def structure_sums(
    prediction: Float[Tensor, "probes"], target: Float[Tensor, "probes"], offsets: Int[Tensor, "structures1"]
) -> tuple[Float[Tensor, "structures"], Float[Tensor, "structures"]]:
    """Numerator Σ|ρ̂ − ρ| and denominator Σ|ρ| of each structure of a batch, where the batch lives.

    Args:
        prediction, target: [probes] one channel, e/Å³.
        offsets: [structures + 1] probes offsets[i]:offsets[i+1] belong to structure i.

    Returns:
        Two [structures] tensors, float64, detached from the graph.
    """
    target = target.detach().to(torch.float64)
    difference = (prediction.detach().to(torch.float64) - target).abs()
    lengths = offsets[1:] - offsets[:-1]
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=target.device), lengths)
    zero = torch.zeros(len(lengths), dtype=torch.float64, device=target.device)
    return zero.index_add(0, owner, difference), zero.index_add(0, owner, target.abs())
