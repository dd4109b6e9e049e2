"""Surroundings of the atoms of a training set, and how far those of other atoms are from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.files import atomic_output

#: Atoms of one element whose surroundings differ by less than this are kept once.
_APART = 0.05

#: Features that vary less than this are not stretched further.
_LEAST_SCALE = 1e-3


@dataclass(frozen=True, eq=False)
class KnownSurroundings:
    """Features of atoms (:func:`charge3net.atoms.neighbourhood.neighbourhood_features`), standardised, thinned out.

    Attributes:
        mean, scale: [features] of the training set; a distance of 1 is one standard deviation in every feature.
        known: atomic number → [atoms, features] standardised features.
    """

    mean: Float[ndarray, "features"]
    scale: Float[ndarray, "features"]
    known: Mapping[int, Float[ndarray, "atoms features"]]

    @classmethod
    def of(
        cls,
        numbers: Sequence[Int[ndarray, "_"]],
        features: Sequence[Float[ndarray, "_ features"]],
        formulas: Sequence[str],
    ) -> KnownSurroundings:
        """Of training structures.

        Args:
            numbers, features: of the atoms of each structure.
            formulas: of each structure; mean and scale are those of the first structure of each formula, so that a
                composition with many structures counts once.
        """
        first = [formulas.index(formula) for formula in dict.fromkeys(formulas)]
        once = np.concatenate([features[i] for i in first]).astype(np.float64)
        mean, scale = once.mean(axis=0), np.maximum(once.std(axis=0), _LEAST_SCALE)
        every = (np.concatenate(list(features)) - mean) / scale
        z = np.concatenate(list(numbers))
        return cls(mean, scale, {int(one): _thinned(every[z == one]) for one in np.unique(z)})

    def distances(
        self, numbers: Int[ndarray, "atoms"], features: Float[ndarray, "atoms features"]
    ) -> Float[ndarray, "atoms"]:
        """[atoms] root mean square difference of the features to the nearest known atom of the element.

        Infinite for an element that has none.
        """
        from scipy.spatial import KDTree

        standard = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        found = np.full(len(numbers), np.inf)
        for z in np.unique(numbers):
            if int(z) in self.known:
                own = numbers == z
                found[own] = KDTree(self.known[int(z)]).query(standard[own])[0] / np.sqrt(len(self.mean))
        return found

    def save(self, path: Path) -> None:
        """Write a .npz file, half precision, whole or not at all."""
        numbers = np.concatenate([np.full(len(atoms), z, dtype=np.uint8) for z, atoms in self.known.items()])
        features = np.concatenate(list(self.known.values())).astype(np.float16)
        with atomic_output(path) as file:
            np.savez_compressed(file, mean=self.mean, scale=self.scale, numbers=numbers, features=features)

    @classmethod
    def load(cls, path: Path) -> KnownSurroundings:
        """From :meth:`save`.

        Raises:
            InputError: if the file cannot be read or is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                mean, scale, numbers, features = (file[name] for name in ("mean", "scale", "numbers", "features"))
            known = {int(z): features[numbers == z].astype(np.float64) for z in np.unique(numbers)}
            if mean.shape != scale.shape or features.shape != (len(numbers), len(mean)):
                raise ValueError("arrays that do not belong together")
        except Exception as error:  # zip, zlib and numpy raise many kinds
            raise InputError(f"{path}: is damaged ({error}); get the model again") from error
        return cls(mean, scale, known)


def _thinned(points: Float[ndarray, "points features"]) -> Float[ndarray, "kept features"]:
    """Some of the points, such that all others lie within :data:`_APART` of one of them: farthest first."""
    kept = [0]
    nearest = _difference(points, points[0])
    while nearest.max() > _APART:
        kept.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _difference(points, points[kept[-1]]))
    return points[kept]


def _difference(
    points: Float[ndarray, "points features"], other: Float[ndarray, "features"]
) -> Float[ndarray, "points"]:
    return np.sqrt(np.square(points - other).mean(axis=1))
