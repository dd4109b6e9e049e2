"""Volume per atom and angular variation ζ of a material."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from charge3net.data.store import Store
from charge3net.studies.cache import cached


def volume_per_atom(store: Store, key: str) -> float:
    """Å³; for a molecule, that of its box."""
    geometry = store[key].geometry
    return float(abs(np.linalg.det(geometry.cell)) / len(geometry))


def zeta_by_both_methods(store: Store, key: str, distance: float | None, folder: Path) -> dict[str, float]:
    """``zeta`` (spectral gradients) and ``zeta_published`` (published finite differences), cached in a file."""
    from charge3net.analysis.angular import angular_variation

    def both() -> dict[str, float]:
        density = store[key].density()
        return {
            "zeta": angular_variation(density, distance, "spectral"),
            "zeta_published": angular_variation(density, distance, "published"),
        }

    return cached(folder / (f"{key}.json" if distance is None else f"{key}-{distance:g}.json"), both)
