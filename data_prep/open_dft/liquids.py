"""Liquid ethylene carbonate: four molecules in a cubic cell at the density of the melt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from molecules import relaxed_molecule
from numpy import ndarray
from scipy.spatial.transform import Rotation

DENSITY = 1.32  # g/cm³, the liquid at 313 K
FCC = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
JITTER = 0.25  # Å, standard deviation of the molecules' centres
RATTLE = 0.045  # Å, standard deviation of every atom along each axis
CLOSEST = 2.05  # Å, smallest distance between atoms of two molecules
GRAMS_PER_DALTON = 1.66053906660e-24  # CODATA 2018


def ethylene_carbonate(count: int, seed: int) -> Iterator[Atoms]:
    """``count`` cubic cells of 4 × C3H4O3; ``info`` holds tag and source."""
    single = relaxed_molecule("O=C1OCCO1")
    assert single is not None
    mass = 4.0 * single.get_masses().sum()
    length = (mass * GRAMS_PER_DALTON / DENSITY * 1e24) ** (1.0 / 3.0)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        positions = _packed(single.positions, length, rng)
        positions += rng.normal(0.0, RATTLE, positions.shape)
        info = {
            "tag": f"ec4-{seed}-{index:04d}",
            "source": f"4 ethylene carbonate, {DENSITY} g/cm³, rattled {RATTLE} Å",
        }
        yield Atoms(np.tile(single.numbers, 4), positions=positions, cell=[length] * 3, pbc=True, info=info)


def _packed(positions: ndarray, length: float, rng: np.random.Generator) -> ndarray:
    """[4 · atoms, 3] four copies on jittered fcc sites, turned at random until no two molecules touch.

    Molecule after molecule is turned until it keeps CLOSEST from those already there; after 200 turns all is begun
    anew.
    """
    while True:
        centres = FCC * length + rng.normal(0.0, JITTER, (4, 3))
        placed: list[ndarray] = []
        for centre in centres:
            trial = _turned(positions, centre, placed, length, rng)
            if trial is None:
                break
            placed.append(trial)
        else:
            return np.concatenate(placed)


def _turned(
    positions: ndarray, centre: ndarray, placed: list[ndarray], length: float, rng: np.random.Generator
) -> ndarray | None:
    for _ in range(200):
        trial = Rotation.random(random_state=rng).apply(positions) + centre
        others = [*placed, trial]
        if all(_closest(trial, other, length, skip_home=other is trial) > CLOSEST for other in others):
            return trial
    return None


def _closest(a: ndarray, b: ndarray, length: float, skip_home: bool) -> float:
    """Smallest distance between atoms of two molecules over all images of the cell."""
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    if skip_home:
        images = images[(images != 0).any(axis=1)]
    # molecules are smaller than the cell, so that neighbouring images suffice once centres lie within one cell
    shift = images[:, None, None, :] * length
    return float(np.linalg.norm(a[None, :, None, :] - (b[None, None, :, :] + shift), axis=-1).min())
