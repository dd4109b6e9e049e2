"""Electrons of a predicted density: the valence it should hold, and ways to make it hold them."""

from __future__ import annotations

import logging
from numbers import Real
from typing import Any, Literal

import numpy as np

from charge3net.atoms.superposition import SuperposedAtoms
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.models.base import DensityModel
from charge3net.predict.memmap import front_to_back

logger = logging.getLogger(__name__)

#: What ``electrons`` of a prediction takes: a number to scale to, "valence" to shift to that of the neutral structure,
#: "none" for what the model gives, None for the predictor's default.
Electrons = float | Literal["valence", "none"] | None

#: Predictions that miss more than this share of the valence are not shifted: the grid does not hold the structure, or
#: is too coarse, or the structure is nothing that the model knows.
LARGEST_SHIFT = 0.05


def check_electrons(wanted: object) -> None:
    """Whether it is one of :data:`Electrons`.

    Raises:
        InputError: for anything else.
    """
    number = isinstance(wanted, Real) and not isinstance(wanted, bool) and 0.0 < float(wanted) < float("inf")
    if not (number or wanted is None or (isinstance(wanted, str) and wanted in ("valence", "none"))):
        raise InputError(f"electrons is a positive number, 'valence' or 'none', found {wanted!r}")


def valence_electrons(model: DensityModel, geometry: Geometry) -> float | None:
    """Electrons of the neutral structure with the model's potentials; None from a model that does not know them."""
    atoms = getattr(model, "atoms", None)
    if not isinstance(atoms, SuperposedAtoms):
        return None
    valences = dict(zip(atoms.elements, atoms.valences, strict=True))
    counts = [valences.get(int(z)) for z in geometry.numbers]
    return None if None in counts else float(sum(count for count in counts if count is not None))


def scale_to(density: Density, electrons: float | None) -> float | None:
    """Scale the total density, in place, to a number of electrons; the factor, or None without such a number."""
    if electrons is None:
        return None
    found = density.electrons()
    if not (np.isfinite(electrons) and electrons > 0 and found > 0):
        raise InputError(f"cannot scale a density of {found:.6g} electrons to {electrons:g}; both must be positive")
    factor = electrons / found
    density.total[...] *= factor
    logger.info("total density scaled by %.6f, from %.4f to %.4f electrons", factor, found, electrons)
    return factor


def shift_to(density: Density, electrons: float) -> float | None:
    """Add λ√ρ⁺ to the total density, in place, such that it holds a number of electrons.

    The learned part of the models on fitted atoms has the same scale, √ρ (docs/models.md).

    Returns:
        λ in √(e/Å³); None, and the density as it was, if it is off by more than :data:`LARGEST_SHIFT`.
    """
    missing = electrons - density.electrons()
    if not abs(missing) <= LARGEST_SHIFT * electrons:
        return None
    planes = front_to_back(density.total)
    total = sum(float(np.sqrt(np.maximum(plane, 0.0)).sum(dtype=np.float64)) for plane in planes)
    factor = missing / (total * density.grid.voxel_volume)
    for plane in planes:
        plane += (factor * np.sqrt(np.maximum(plane, 0.0))).astype(plane.dtype)
    return factor


def settle_electrons(density: Density, wanted: Electrons, valence: float | None) -> dict[str, Any]:
    """Scale or shift a prediction, in place, as :data:`Electrons` says; ``valence`` is that of its structure.

    Returns:
        For the provenance: ``electrons`` (after it), ``scaled_by``, ``shifted_by``, ``valence_electrons`` and
        ``electron_error``, (∫ρ̂ − N)/N of the model before it, against the valence; None where there is none.

    Raises:
        InputError: for ``"valence"`` from a model that does not know it, or a number that nothing can be scaled to.
    """
    error = None if valence is None else density.electrons() / valence - 1.0
    scale = shift = None
    if wanted == "valence":
        if valence is None:
            raise InputError("the model does not know the valence of its potentials; give the number of electrons")
        shift = shift_to(density, valence)
        if shift is None:
            density.provenance.setdefault("warnings", []).append(
                f"∫ρ is {density.electrons():.4g} where the valence is {valence:g}: the number of electrons is left as "
                "it is; a grid that is too coarse or does not hold the structure, or a wrong density"
            )
    elif wanted != "none":
        scale = scale_to(density, wanted)
    return {
        "electrons": density.electrons(),
        "scaled_by": scale,
        "shifted_by": shift,
        "valence_electrons": valence,
        "electron_error": error,
    }
