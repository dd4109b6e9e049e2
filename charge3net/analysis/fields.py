"""Scalar fields that show where atoms touch, from the density and its derivatives at points; all functions are local.

Inputs are in the units of this package: ρ in e/Å³, ∇ρ in e/Å⁴, the Hessian ∇∇ρ in e/Å⁵. Where ρ is not positive the
fields that divide by it are NaN.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.units import BOHR

#: Power of the density in the interaction region indicator, as its authors chose it.
IRI_POWER = 1.1


def hessian_eigenvalues(hessian: Float[ndarray, "*points 3 3"]) -> Float[ndarray, "*points 3"]:
    """[…, 3] eigenvalues λ₁ ≤ λ₂ ≤ λ₃ of the Hessian of the density, e/Å⁵."""
    return np.linalg.eigvalsh(np.asarray(hessian, dtype=np.float64))


def reduced_gradient(
    density: Float[ndarray, "*points"], gradient: Float[ndarray, "*points 3"]
) -> Float[ndarray, "*points"]:
    """Reduced density gradient s = |∇ρ| / (2 (3π²)^⅓ ρ^(4/3)), without a unit.

    Source: Johnson, Keinan, Mori-Sánchez, Contreras-García, Cohen, Yang, J. Am. Chem. Soc. 132, 6498 (2010), eq. 1.
    """
    return _slope(gradient) / (2.0 * (3.0 * np.pi**2) ** (1 / 3) * _positive(density) ** (4 / 3))


def interaction_region(
    density: Float[ndarray, "*points"], gradient: Float[ndarray, "*points 3"], power: float = IRI_POWER
) -> Float[ndarray, "*points"]:
    """Interaction region indicator, IRI = |∇ρ| / ρ^a, in atomic units (Bohr^(3a−4)), the unit of published isovalues.

    Small between atoms that are bonded or in contact, however strongly; its authors draw IRI = 1.

    Args:
        density: e/Å³.
        gradient: e/Å⁴.
        power: a.

    Source: Lu and Chen, Chemistry—Methods 1, 231 (2021), eq. 1 and the choice a = 1.1.
    """
    return _slope(gradient) * BOHR**4 / (_positive(density) * BOHR**3) ** power


def density_overlap(
    density: Float[ndarray, "*points"], gradient: Float[ndarray, "*points 3"], hessian: Float[ndarray, "*points 3 3"]
) -> Float[ndarray, "*points"]:
    """Density overlap regions indicator, DORI = θ/(1 + θ) with θ = |∇(k·k)|² / (k·k)³ and k = ∇ρ/ρ; 0 … 1.

    It is 0 where one exponentially decaying density is alone, and near 1 where densities of several atoms or shells
    overlap. With the Hessian H, ∇(k·k) = 2(Hk/ρ − (k·k)k). At a critical point (k = 0) it is 1, its limit.

    Source: de Silva and Corminboeuf, J. Chem. Theory Comput. 10, 3745 (2014), the definition of γ.
    """
    ρ = _positive(density)[..., None]
    k = np.asarray(gradient, dtype=np.float64) / ρ
    squared = (k * k).sum(-1, keepdims=True)
    change = 2.0 * (np.einsum("...ij,...j->...i", hessian, k) / ρ - squared * k)
    above, below = (change * change).sum(-1), squared[..., 0] ** 3
    both = above + below
    return np.divide(above, both, out=np.where(np.isfinite(both), 1.0, np.nan), where=both > 0.0)


def _slope(gradient: Float[ndarray, "*points 3"]) -> Float[ndarray, "*points"]:
    return np.linalg.norm(np.asarray(gradient, dtype=np.float64), axis=-1)


def _positive(density: Float[ndarray, "*points"]) -> Float[ndarray, "*points"]:
    """The density in float64, NaN where it is not positive."""
    values = np.asarray(density, dtype=np.float64)
    return np.where(values > 0.0, values, np.nan)
