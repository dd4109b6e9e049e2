"""Density matrices of many structures in one file.

A NumPy archive with ``format`` ("charge3net-density-matrices"), ``version`` (1), ``keys`` [entries],
``atoms`` [entries + 1] (atoms[i]:atoms[i+1] are those of entry i), ``numbers`` [atoms], ``values`` float32 (the upper
triangles of all atoms, :func:`charge3net.paw.matrices.pack`), ``setups`` (JSON: name → number, n, l, electrons; one
setup for each element) and ``meta`` (JSON: where they come from).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.files import atomic_output
from charge3net.paw.matrices import pack, unpack
from charge3net.paw.setups import Setup

FORMAT, VERSION = "charge3net-density-matrices", 1
_ARRAYS = ("keys", "atoms", "numbers", "values")


@dataclass(frozen=True, eq=False)
class DensityMatrices(Mapping[str, "list[ndarray]"]):
    """Entry → [size, size] density matrix of each atom, sum over spins.

    Attributes:
        setups: atomic number → setup.
        numbers: entry → [atoms] atomic numbers.
        packed: entry → upper triangles of all atoms.
        meta: where they come from.
    """

    setups: Mapping[int, Setup]
    numbers: Mapping[str, Int[ndarray, "atoms"]]
    packed: Mapping[str, Float[ndarray, "packed"]]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> list[ndarray]:
        return unpack(self.packed[key].astype(np.float64), self.setups_of(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def setups_of(self, key: str) -> list[Setup]:
        """The setup of each atom of an entry."""
        return [self.setups[int(number)] for number in self.numbers[key]]


def write_density_matrices(path: str | Path, matrices: DensityMatrices) -> None:
    """Write the file whole or not at all."""
    counts = [len(matrices.numbers[key]) for key in matrices]
    setups = {setup.name: setup.to_json() for setup in matrices.setups.values()}
    with atomic_output(Path(path)) as stream:
        np.savez_compressed(
            stream,
            format=FORMAT,
            version=VERSION,
            keys=np.array(list(matrices)),
            atoms=np.cumsum([0, *counts]).astype(np.int32),
            numbers=np.concatenate([matrices.numbers[key] for key in matrices]).astype(np.int16),
            values=np.concatenate([matrices.packed[key] for key in matrices]).astype(np.float32),
            setups=json.dumps(setups),
            meta=json.dumps(dict(matrices.meta)),
        )


def read_density_matrices(path: str | Path) -> DensityMatrices:
    """The density matrices of a file.

    Raises:
        InputError: if it cannot be read, is of another format or version, or its arrays do not belong together.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in (*_ARRAYS, "format", "version", "setups", "meta")}
        setups = [Setup.from_json(name, values) for name, values in json.loads(str(found["setups"])).items()]
        meta = json.loads(str(found["meta"]))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: holds no density matrices ({error}); make it again") from None
    if str(found["format"]) != FORMAT or int(found["version"]) != VERSION:
        raise InputError(f"{path}: is {found['format']} {found['version']}; this version reads {FORMAT} {VERSION}")
    return _divided(Path(path), found, {setup.number: setup for setup in setups}, meta)


def _divided(path: Path, found: Mapping[str, ndarray], setups: Mapping[int, Setup], meta: Any) -> DensityMatrices:
    """The arrays of all entries, entry by entry."""
    keys, atoms, numbers, values = (found[name] for name in _ARRAYS)
    fits = len(atoms) == len(keys) + 1 and atoms[0] == 0 and (np.diff(atoms) > 0).all() and atoms[-1] == len(numbers)
    if not fits or not np.isfinite(values).all():
        raise InputError(f"{path}: keys, atoms, numbers and values do not belong together; make it again")
    missing = sorted({int(number) for number in numbers} - set(setups))
    if missing:
        raise InputError(f"{path}: has no setup of the element {missing[0]}; make it again")
    sizes = np.cumsum([0, *(setups[int(number)].packed for number in numbers)])
    if sizes[-1] != len(values):
        raise InputError(f"{path}: has {len(values)} numbers where its setups have {sizes[-1]}; make it again")
    places = list(zip(map(str, keys), atoms[:-1].tolist(), atoms[1:].tolist(), strict=True))
    return DensityMatrices(
        setups,
        {key: numbers[first:last].astype(np.int64) for key, first, last in places},
        {key: values[sizes[first] : sizes[last]] for key, first, last in places},
        meta,
    )


def packed_neutral(setups: list[Setup]) -> Float[ndarray, "packed"]:
    """Upper triangles of neutral atoms."""
    return pack([setup.neutral for setup in setups])
