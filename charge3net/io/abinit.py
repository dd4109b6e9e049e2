"""ABINIT's ``_DEN`` files: the density of a run, written by the run (Fortran records) and read by ``getden``.

Source: the description of the header in ABINIT's documentation ("The header", formats 80 and later) and files of
ABINIT 9.6. Values are e/bohr³, first axis fastest; with two spin components the total density and that of spin up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.files import Source, atomic_output, open_source
from charge3net.io.qe.charge_density import read_records
from charge3net.io.qe.pseudopotential import one_per_element
from charge3net.units import BOHR, E_PER_BOHR3, HARTREE

_DENSITY_FORMS = (51, 52)  # fform of densities


@dataclass(frozen=True, eq=False)
class AbinitHead:
    """What the head of a ``_DEN`` file says.

    Attributes:
        geometry: atoms and cell, Å.
        grid: of the values.
        components: 1, or 2 with collinear spin.
        electrons: valence electrons of the run.
        energy: total energy in eV.
        paw: whether PAW data sets were used.
        potentials: element → what is known of the pseudopotential.
        records: number of records before the values.
    """

    geometry: Geometry
    grid: Grid
    components: int
    electrons: float
    energy: float
    paw: bool
    potentials: dict[str, dict[str, Any]]
    records: int


def read_abinit(source: Source) -> Density:
    """Density of a ``_DEN`` file.

    Raises:
        InputError: for a file that is cut short, holds something else, or is non-collinear.
    """
    records = read_records(source)
    head = _head(source, records)
    values = np.empty((head.components, *head.grid.shape))
    for channel, record in zip(values, records[head.records :], strict=True):
        channel[...] = np.frombuffer(record, dtype="<f8").reshape(head.grid.shape, order="F") * E_PER_BOHR3
    if not np.isfinite(values).all():
        raise source.error("holds numbers that are not finite")
    if head.components == 2:
        values[1] = 2 * values[1] - values[0]
    about = {
        "file": source.name,
        "format": "abinit",
        "code": "ABINIT",
        "electrons_expected": head.electrons,
        "energy": head.energy,
        "potentials": head.potentials,
    }
    return Density(head.geometry, head.grid, values, provenance=about)


def read_abinit_head(source: Source) -> AbinitHead:
    """Head of a ``_DEN`` file. Errors as in :func:`read_abinit`."""
    return _head(source, read_records(source))


def write_abinit(path: str | Path, template: str | Path, density: Density) -> float:
    """Write a ``_DEN`` file: the head of another one of the same run, other values, scaled to the run's electrons.

    Args:
        path: the file.
        template: a ``_DEN`` file of the same input, e.g. of a run of one step.
        density: on the template's grid, of its structure; without spin, a run with spin starts unpolarised.

    Returns:
        The factor by which the density was scaled.

    Raises:
        InputError: for another grid, PAW (where the density is not all that a run starts from), or values that are not
            finite.
    """
    with open_source(template) as source:
        records = read_records(source)
        head = _head(source, records)
    if head.paw:
        raise InputError(f"{template}: PAW runs of ABINIT also start from occupations, which no model predicts")
    if not head.grid.same_as(density.grid):
        raise InputError(f"{template}: has another grid or cell than the density")
    held = density.electrons()
    if not (np.isfinite(density.values).all() and held > 0):
        raise InputError(f"{path}: the density must be finite and hold electrons")
    factor = head.electrons / held
    total = np.asarray(density.total, dtype=np.float64) * factor
    channels = [total]
    if head.components == 2:
        channels.append((total + (0.0 if density.spin is None else density.spin)) / 2)
    with atomic_output(path) as stream:
        for record in [*records[: head.records], *(_packed(channel) for channel in channels)]:
            length = np.array(len(record), dtype="<i4").tobytes()
            stream.write(length + record + length)
    return factor


def _packed(values: ndarray) -> bytes:
    return (values / E_PER_BOHR3).astype("<f8").tobytes(order="F")


def _head(source: Source, records: list[bytes]) -> AbinitHead:
    try:
        return _parse(source, records)
    except (ValueError, IndexError) as error:
        raise source.error(f"cannot be read as a density of ABINIT ({error})") from None


def _parse(source: Source, records: list[bytes]) -> AbinitHead:
    form, kind = np.frombuffer(records[0][-8:], dtype="<i4").tolist()
    if form < 80 or len(records[0]) not in (14, 16):
        raise source.error("its head is of a version of ABINIT before 8, or it is not a file of ABINIT")
    if kind not in _DENSITY_FORMS:
        raise source.error(f"holds something else than a density (its form is {kind})")
    whole = np.frombuffer(records[1][:72], dtype="<i4")
    atoms, mesh, components, types = int(whole[4]), whole[5:8].tolist(), int(whole[9]), int(whole[14])
    bands, points, spins, operations, files, paw = (int(whole[i]) for i in (0, 8, 11, 12, 13, 17))
    cell = np.frombuffer(records[1][72 + 7 * 8 :][: 9 * 8], dtype="<f8").reshape(3, 3) * BOHR
    reader = _Fields(records[2])
    reader.integers(points + points * spins + points + files + operations + 9 * operations)
    type_of_atom = reader.integers(atoms)
    reader.floats(3 * points + bands + 3 * operations)
    charges = reader.floats(types)
    reader = _Fields(records[3])
    reader.floats(1)
    fractions = reader.floats(3 * atoms).reshape(atoms, 3)
    energy = float(reader.floats(1)[0])
    electrons = float(np.frombuffer(records[4][8:16], dtype="<f8")[0])
    if components not in (1, 2):
        raise source.error("is non-collinear; a density alone or with collinear spin is read")
    numbers = charges[type_of_atom - 1].round().astype(int)
    first = 5 + files + (2 if paw else 0)
    if [len(record) for record in records[first:]] != [8 * int(np.prod(mesh))] * components:
        raise source.error("the records after the header do not fit its grid; it may be cut short")
    shape = (mesh[0], mesh[1], mesh[2])
    return AbinitHead(
        Geometry(numbers, fractions @ cell, cell, np.ones(3, dtype=bool)), Grid(cell, shape), components, electrons,
        energy * HARTREE, bool(paw), _potentials(records[5 : 5 + files]), first,
    )  # fmt: skip


def _potentials(records: list[bytes]) -> dict[str, dict[str, Any]]:
    """Element → title, valence, md5 of its pseudopotential file."""
    from ase.data import chemical_symbols

    found = []
    for record in records:
        charge, valence = np.frombuffer(record[132:148], dtype="<f8")
        about = {
            "title": record[:132].decode("ascii", "replace").strip(),
            "valence": float(valence),
            "md5": record[-32:].decode("ascii", "replace").strip(),
        }
        found.append((chemical_symbols[round(float(charge))], about))
    return one_per_element(found)


class _Fields:
    """Numbers one after the other in a record."""

    def __init__(self, record: bytes) -> None:
        self._record, self._at = record, 0

    def integers(self, count: int) -> ndarray:
        """The next int32."""
        return self._take(count, "<i4").astype(np.int64)

    def floats(self, count: int) -> ndarray:
        """The next float64."""
        return self._take(count, "<f8").astype(np.float64)

    def _take(self, count: int, dtype: str) -> ndarray:
        found = np.frombuffer(self._record, dtype=dtype, count=count, offset=self._at)
        self._at += found.nbytes
        return found
