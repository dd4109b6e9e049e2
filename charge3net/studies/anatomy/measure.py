"""The error of one structure by element, by distance to the nearest atom and by density, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.symbols import Symbols
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.bader import BaderVolumes, bader_volumes
from charge3net.analysis.cores import core_density
from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.shells import by_density, by_distance, density_histogram, distances_to_atoms
from charge3net.data.store import StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.report.formatting import significant


def analyse_error(entry: StoreEntry, prediction: Density, valence: Mapping[int, int]) -> dict[str, Any]:
    """Total error of one structure, and its distribution.

    Args:
        entry: the structure with its DFT density and, if the store has it, SAD (superposition of atomic densities).
        prediction: of the same structure on the same grid.
        valence: atomic number → number of valence electrons.

    Raises:
        InputError: for a prediction on another grid.
    """
    reference = entry.density()
    if not prediction.grid.same_as(entry.grid):
        raise InputError(f"{entry.key}: the prediction is on another grid, {prediction.grid.shape}")
    total, baseline = np.asarray(prediction.total), entry.baseline
    volumes = bader_volumes(reference, core_density(entry.geometry, entry.grid, valence))
    return {
        "key": entry.key,
        "formula": Symbols(entry.geometry.numbers).get_chemical_formula(),
        "atoms": len(entry.geometry),
        "voxels": len(entry.grid),
        "nmae": significant(ErrorSums.of(total, reference.total).nmae, 6),
        "baseline": None if baseline is None else significant(ErrorSums.of(baseline, reference.total).nmae, 6),
        "elements": _by_element(volumes, reference, total, baseline),
        "astray": significant(volumes.not_at_a_nucleus(reference.total)),
        "distance": _by_distance(reference, total, baseline),
        "density": _by_density(reference, prediction),
    }


def average_seeds(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average over models that predicted one structure; ``nmae`` becomes a list with one value per model."""
    elements = {
        z: {**row, "error": float(np.mean([part["elements"][z]["error"] for part in parts]))}
        for z, row in parts[0]["elements"].items()
    }
    averaged = {
        name: {**parts[0][name], **{row: np.mean([part[name][row] for part in parts], axis=0).tolist() for row in rows}}
        for name, rows in (("distance", ["error"]), ("density", ["error", "predicted"]))
    }
    return {**parts[0], "nmae": [part["nmae"] for part in parts], "elements": elements, **averaged}


def _by_element(
    volumes: BaderVolumes, reference: Density, total: ndarray, baseline: ndarray | None
) -> dict[str, dict[str, Any]]:
    """Atomic number → electrons and error in the Bader volumes of the element, atoms, atoms without a maximum."""
    true = np.asarray(reference.total, dtype=np.float64)
    held = volumes.integrate(np.abs(true))
    wrong = volumes.integrate(np.abs(total - true))
    off = None if baseline is None else volumes.integrate(np.abs(baseline - true))
    numbers, lost = reference.geometry.numbers, volumes.without_maximum()
    return {
        str(int(z)): {
            "atoms": int((numbers == z).sum()),
            "without_maximum": int((numbers[lost] == z).sum()),
            "reference": significant(held[numbers == z].sum()),
            "error": significant(wrong[numbers == z].sum()),
            "baseline": None if off is None else significant(off[numbers == z].sum()),
        }
        for z in np.unique(numbers)
    }


def _by_distance(reference: Density, total: ndarray, baseline: ndarray | None) -> dict[str, list[float | None] | None]:
    """Electrons and error in each shell."""
    distances = distances_to_atoms(reference)
    parts = by_distance(reference, total, distances)
    off = None if baseline is None else _list(by_distance(reference, baseline, distances).error)
    return {"reference": _list(parts.reference), "error": _list(parts.error), "baseline": off}


def _by_density(reference: Density, prediction: Density) -> dict[str, list[float | None]]:
    """Volume, electrons and error in each bin of the true density, and the volume of the predicted one."""
    parts = by_density(reference, prediction.total)
    return {
        "volume": _list(parts.volume),
        "predicted": _list(density_histogram(prediction)),
        "reference": _list(parts.reference),
        "error": _list(parts.error),
    }


def _list(values: Float[ndarray, "parts"]) -> list[float | None]:
    return [significant(value) for value in values]
