"""One pair of cells, before and after an atom is removed: charges of DFT, of predictions and of SAD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase.data import chemical_symbols
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.bader import BaderVolumes, bader_volumes
from charge3net.analysis.charge_transfer import (
    Removal,
    difference_error,
    find_removal,
    near_vacancy,
    transfer_error,
)
from charge3net.analysis.cores import core_density
from charge3net.analysis.metrics import ErrorSums
from charge3net.data.store import StoreEntry
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.report.formatting import significant

#: Key of SAD, the superposition of atomic densities, among the methods of a result.
ATOMS = "superposition of atoms"


def compare(
    halves: tuple[StoreEntry, StoreEntry],
    predictions: Mapping[str, tuple[Density, ...]],
    valence: Mapping[int, int],
    radius: float,
) -> dict[str, Any]:
    """Charge changes of every method, compared with DFT.

    Args:
        halves: the cell before and after, on one grid.
        predictions: name of a run → densities before and after.
        valence: atomic number → number of valence electrons.
        radius: atoms and voxels within this distance (Å) of the vacancy count as near.

    Raises:
        InputError: if the cells differ by more than one atom, the grids differ, or no atom is near the vacancy.
    """
    before, after = halves
    if not before.grid.same_as(after.grid):
        raise InputError(f"{before.key} and {after.key} have different grids; a pair needs one")
    removal = find_removal(before.geometry, after.geometry)
    if not (removal.distances <= radius).any():
        raise InputError(f"no atom lies within {radius:g} Å of the vacancy in {after.key}; choose a larger radius")
    near = near_vacancy(removal, before.grid, before.geometry, radius)
    cores = tuple(core_density(half.geometry, half.grid, valence) for half in halves)
    true = (before.density(), after.density())
    volumes = [bader_volumes(density, core) for density, core in zip(true, cores, strict=True)]
    target = _changes(removal, volumes, true)
    methods: dict[str, tuple[Density, ...]] = dict(predictions)
    superposed = [Density(h.geometry, h.grid, h.baseline) for h in halves if h.baseline is not None]
    if len(superposed) == len(halves):
        methods[ATOMS] = tuple(superposed)
    rows = {}
    for name, densities in methods.items():
        own = [bader_volumes(density, core) for density, core in zip(densities, cores, strict=True)]
        found = _changes(removal, own, densities)
        inside = removal.distances <= radius
        pair = (densities[0], densities[1])
        rows[name] = {
            "changes": _list(found[0]),
            "removed": round(found[1], 4),
            "error": significant(transfer_error(found[0], target[0])),
            "near_error": significant(transfer_error(found[0][inside], target[0][inside])),
            "density_error": significant(difference_error(pair, true)),
            "near_density_error": significant(difference_error(pair, true, near)),
            "nmae": [significant(ErrorSums.of(d.total, t.total).nmae) for d, t in zip(densities, true, strict=True)],
            "electrons": [round(density.electrons(), 3) for density in densities],
        }
    return {
        "formula": before.formula,
        "removed": chemical_symbols[int(before.geometry.numbers[removal.removed])],
        "numbers": removal.numbers.tolist(),
        "distances": _list(removal.distances),
        "near_atoms": int((removal.distances <= radius).sum()),
        "target": {"changes": _list(target[0]), "removed": round(target[1], 4)},
        "density_change": significant(ErrorSums.of(true[1].total, true[0].total).nmae),
        "charges": [_list(v.integrate(d.total)) for v, d in zip(volumes, true, strict=True)],
        "without_maximum": [
            chemical_symbols[int(half.geometry.numbers[i])]
            for half, found_volumes in zip(halves, volumes, strict=True)
            for i in found_volumes.without_maximum()
        ],
        "astray": round(max(v.not_at_a_nucleus(d.total) for v, d in zip(volumes, true, strict=True)), 4),
        "methods": rows,
    }


def _changes(
    removal: Removal, volumes: list[BaderVolumes], densities: tuple[Density, ...]
) -> tuple[Float[ndarray, "atoms"], float]:
    """Δq of the remaining atoms, and the electrons of the removed atom before."""
    charges = [volume.integrate(density.total) for volume, density in zip(volumes, densities, strict=True)]
    return removal.changes(charges[0], charges[1]), float(charges[0][removal.removed])


def _list(values: Float[ndarray, "atoms"]) -> list[float]:
    """Electrons or Å, to 10⁻⁴."""
    return [round(float(value), 4) for value in values]
