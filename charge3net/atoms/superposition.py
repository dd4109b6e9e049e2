"""Superposed atoms at probes: their density, its derivatives, its surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from charge3net.atoms.functions import N_FUNCTIONS, SMOOTHING, functions_of
from charge3net.atoms.properties import FEATURED, element_properties
from charge3net.atoms.splines import evaluate, steps_of
from charge3net.errors import InputError
from charge3net.geometry import MAX_ATOMIC_NUMBER
from charge3net.nn.segment import segment_sum

#: Places of the functions in a table.
_DENSITY, _SLOPE, _LAPLACIAN, _SMOOTHED = 0, 1, 2, slice(3, N_FUNCTIONS)

#: Functions in whose values the shares of the elements are averaged: the density, smoothed by 0, 0.5 and 1 Å.
_SHARED = (0, 3, 4)

#: e/Å³: smaller densities are not resolved by the features.
_FLOOR = 0.01

#: Number of local features.
N_FEATURES = 3 + len(SMOOTHING) + len(_SHARED) * len(FEATURED)

#: Added to squared lengths (Å²), so that second derivatives exist on a nucleus, by the precision of the lengths.
_TINY = {torch.float32: 1e-8, torch.float64: 1e-16}


class Surroundings(NamedTuple):
    """Radial sums over the atoms around each probe.

    Attributes:
        functions: [probes, functions] sums of the tabulated functions.
        gradient: [probes, 3] of the superposed density, e/Å⁴.
        shares: [probes, smoothings, properties] sums of (smoothed) densities times properties of the elements.
    """

    functions: Float[Tensor, "probes functions"]
    gradient: Float[Tensor, "probes 3"]
    shares: Float[Tensor, "probes smoothings properties"]

    @property
    def density(self) -> Float[Tensor, "probes"]:
        """[probes] e/Å³."""
        return self.functions[:, _DENSITY]

    @property
    def presence(self) -> Float[Tensor, "probes"]:
        """[probes] 1 among atoms, 0 (with two derivatives) where none is in reach: s²/(s² + s₀²).

        s is the most smoothed density and s₀ = 0.002 e/Å³.
        """
        squared = self.functions[:, -1].square()
        return squared / (squared + 0.002**2)


class SuperposedAtoms(nn.Module):
    """One radial density per element; of structures, their superposition.

    Args:
        elements: atomic numbers, ascending.
        valences: electrons of each.
        potentials: name of the potential that each stands for.
        reach: Å, where the densities end.

    Raises:
        InputError: for a reach that is no multiple of 0.1 Å.
    """

    table: Tensor
    properties: Tensor
    place: Tensor

    def __init__(
        self, elements: Sequence[int], valences: Sequence[float], potentials: Sequence[str], reach: float
    ) -> None:
        super().__init__()
        numbers = list(elements)
        self.elements, self.reach = tuple(numbers), reach
        self.valences, self.potentials = tuple(map(float, valences)), tuple(map(str, potentials))
        self.register_buffer("table", torch.zeros(len(numbers), steps_of(reach) + 3, N_FUNCTIONS))
        properties = element_properties(dict(zip(numbers, self.valences, strict=True)))[numbers]
        self.register_buffer("properties", torch.from_numpy(properties[:, FEATURED]).to(torch.get_default_dtype()))
        place = torch.full((MAX_ATOMIC_NUMBER + 1,), -1, dtype=torch.int64)
        place[numbers] = torch.arange(len(numbers))
        self.register_buffer("place", place, persistent=False)

    def hyperparameters(self) -> dict[str, list[int] | list[float] | list[str]]:
        """What a model keeps of them as plain JSON values."""
        return {
            "elements": list(self.elements),
            "valences": list(self.valences),
            "potentials": list(self.potentials),
        }

    def fill(self, functions: Mapping[int, Float[ndarray, "rows"]]) -> None:
        """Take over the radial function of every element (coefficients, :func:`charge3net.atoms.fit.fit_atoms`)."""
        tables = np.stack([functions_of(functions[z], self.reach) for z in self.elements])
        self.table.copy_(torch.from_numpy(tables))

    def rows(self, numbers: Int[Tensor, "atoms"]) -> Int[Tensor, "atoms"]:
        """[atoms] which table each atom has.

        Raises:
            InputError: for an element that has none.
        """
        rows = self.place[numbers]
        if bool((rows < 0).any()):
            from ase.data import chemical_symbols

            unknown = ", ".join(chemical_symbols[z] for z in sorted(set(numbers[rows < 0].tolist())))
            known = " ".join(chemical_symbols[z] for z in self.elements) or "none"
            raise InputError(f"the model has no atom of {unknown}; take one that has. It knows {known}")
        return rows

    def density(
        self, rows: Int[Tensor, "edges"], vectors: Float[Tensor, "edges 3"], receivers: Int[Tensor, "edges"], n: int
    ) -> Float[Tensor, "probes"]:
        """[probes] the superposed density alone, e/Å³; arguments as in :meth:`forward`."""
        return segment_sum(evaluate(self.table[:, :, :1], rows, _lengths(vectors)), receivers, n).squeeze(1)

    def forward(
        self, rows: Int[Tensor, "edges"], vectors: Float[Tensor, "edges 3"], receivers: Int[Tensor, "edges"], n: int
    ) -> Surroundings:
        """Sums over the atoms around each of ``n`` probes.

        Args:
            rows: table of each edge's atom.
            vectors: from the atom to the probe, Å.
            receivers: probe of each edge, ascending.
            n: number of probes.
        """
        values = evaluate(self.table, rows, _lengths(vectors))
        shares = values[:, _SHARED, None] * self.properties.index_select(0, rows)[:, None, :]
        columns = torch.cat([values, values[:, _SLOPE, None] * vectors, shares.flatten(1)], dim=1)
        functions, gradient, shared = segment_sum(columns, receivers, n).split(
            [N_FUNCTIONS, 3, len(_SHARED) * len(FEATURED)], dim=1
        )
        return Surroundings(functions, gradient, shared.unflatten(1, (len(_SHARED), len(FEATURED))))


def local_features(around: Surroundings) -> Float[Tensor, "probes features"]:
    """[probes, features] invariant numbers, of all sizes: a model standardises them.

    ``log(ρ⁺ + ρ₀)``, ``√(|∇ρ|² + ρ₀²) / (ρ⁺ + ρ₀)``, ``tanh(∇²ρ / 20(ρ⁺ + ρ₀))``, the logarithm of ρ smoothed by each
    width, and averages of the properties of the elements in their shares of ρ, smoothed by 0, 0.5 and 1 Å;
    ρ₀ = 0.01 e/Å³.
    """
    dense = positive(around.functions[:, :1]) + _FLOOR
    smooth = positive(around.functions[:, _SMOOTHED]) + _FLOOR
    slope = torch.sqrt(around.gradient.square().sum(1, keepdim=True) + _FLOOR**2) / dense
    laplacian = torch.tanh(around.functions[:, _LAPLACIAN, None] / (20.0 * dense))
    whole = torch.cat([dense, smooth[:, : len(_SHARED) - 1]], dim=1)
    averages = around.shares / whole[:, :, None]
    return torch.cat([dense.log(), slope, laplacian, smooth.log(), averages.flatten(1)], dim=1)


def positive(density: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """ρ⁺ = ½(ρ + √(ρ² + δ²)), δ = 0.002 e/Å³: above zero, smooth, and ρ where ρ ≫ δ."""
    return 0.5 * (density + torch.sqrt(density.square() + (0.2 * _FLOOR) ** 2))


def _lengths(vectors: Float[Tensor, "edges 3"]) -> Float[Tensor, "edges"]:
    return torch.sqrt(vectors.square().sum(1) + _TINY[vectors.dtype])
