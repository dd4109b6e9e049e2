"""charge-density.dat and charge-density.hdf5 of pw.x: the density as coefficients of plane waves, in e/bohr³.

The .dat file has Fortran records, little-endian, each between two copies of its length in bytes (int32):
(1) gamma_only, number of waves, number of spin components as int32; (2) the reciprocal vectors in bohr⁻¹ with 2π, nine
float64; (3) the Miller indices, int32 [waves, 3]; (4) for every spin component complex128 [waves]. With two components
the first is the total density, the second up − down.

Builds of pw.x with HDF5 read and write the .hdf5 file instead: root attributes ``gamma_only`` (".TRUE." or ".FALSE."),
``ngm_g`` and ``nspin``; ``MillerIndices`` int32 [waves, 3] with attributes ``bg1 bg2 bg3``; ``rhotot_g`` and
``rhodiff_g``, float64 [2·waves], real and imaginary parts in turn. Its layout is taken from its documentation; no pw.x
with HDF5 was at hand to check it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.files import Source, atomic_output, open_source
from charge3net.io.qe.gvectors import PlaneWaves

_LARGEST_RECORD = 2**31 - 9  # bytes; longer ones are divided by some compilers


@dataclass(frozen=True, eq=False)
class WaveDensity:
    """A density as coefficients of plane waves, in the order of its file.

    Attributes:
        reciprocal: [3, 3] reciprocal vectors as rows, in bohr⁻¹, with 2π.
        miller: [waves, 3] Miller indices.
        values: [channels, waves] in e/bohr³: total density, and up − down in a file of two spin components.
        gamma_only: only one of each pair G, −G is listed.
    """

    reciprocal: Float[ndarray, "3 3"]
    miller: Int[ndarray, "waves 3"]
    values: Complex[ndarray, "channels waves"]
    gamma_only: bool

    @classmethod
    def of(cls, waves: PlaneWaves, values: Complex[ndarray, "channels waves"]) -> WaveDensity:
        """These coefficients of the waves."""
        return cls(waves.reciprocal, waves.miller, values, waves.gamma_only)


def read_charge_density(path: str | Path) -> WaveDensity:
    """Read charge-density.dat or charge-density.hdf5.

    Raises:
        InputError: for a file that cannot be read or is cut short, and for a non-collinear density.
    """
    found = _read_hdf5(Path(path)) if Path(path).suffix == ".hdf5" else _read_dat(Path(path))
    if len(found.values) not in (1, 2):
        raise InputError(
            f"{path}: holds {len(found.values)} components; only a density alone or with collinear spin is read"
        )
    if not np.isfinite(found.values).all():
        raise InputError(f"{path}: holds numbers that are not finite")
    return found


def write_charge_density(path: str | Path, density: WaveDensity) -> None:
    """Write charge-density.dat or charge-density.hdf5 (by the name), whole or not at all.

    Raises:
        InputError: for coefficients that are not finite, a folder that does not exist, more waves than a record holds,
            or an .hdf5 file without h5py.
    """
    if not np.isfinite(density.values).all():
        raise InputError(f"{path}: only finite numbers can be written; the density holds NaN or infinity")
    if Path(path).suffix == ".hdf5":
        _write_hdf5(Path(path), density)
        return
    records = [
        np.array([density.gamma_only, len(density.miller), len(density.values)], dtype="<i4"),
        density.reciprocal.astype("<f8"),
        density.miller.astype("<i4"),
        *density.values.astype("<c16"),
    ]
    if max(record.nbytes for record in records) > _LARGEST_RECORD:
        raise InputError(f"{path}: {len(density.miller)} plane waves are more than a record of this file holds")
    with atomic_output(path) as stream:
        for record in records:
            length = np.array(record.nbytes, dtype="<i4").tobytes()
            stream.write(length + record.tobytes() + length)


def read_records(source: Source) -> list[bytes]:
    """All Fortran records of a file of unformatted output.

    Raises:
        InputError: if the lengths around a record disagree, or the file ends within one.
    """
    data = source.read_all()
    records, start = [], 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "little", signed=True)
        end = start + 8 + size
        if size < 0 or end > len(data) or data[end - 4 : end] != data[start : start + 4]:
            raise source.error(f"no Fortran record at byte {start}: another kind of file, or cut short")
        records.append(data[start + 4 : end - 4])
        start = end
    return records


def _read_dat(path: Path) -> WaveDensity:
    with open_source(path) as source:
        records = read_records(source)
        if len(records) < 4 or len(records[0]) != 12:
            raise source.error("expected the records of a charge density of pw.x, found others")
        gamma_only, waves, channels = np.frombuffer(records[0], dtype="<i4").tolist()
        sizes = [12, 72, 12 * waves, *[16 * waves] * channels]
        if [len(record) for record in records] != sizes:
            raise source.error(f"the records do not fit {waves} plane waves and {channels} spin components")
    return WaveDensity(
        np.frombuffer(records[1], dtype="<f8").reshape(3, 3).astype(np.float64),
        np.frombuffer(records[2], dtype="<i4").reshape(-1, 3).astype(np.int64),
        np.stack([np.frombuffer(record, dtype="<c16") for record in records[3:]]).astype(np.complex128),
        bool(gamma_only),
    )


def _read_hdf5(path: Path) -> WaveDensity:
    h5py = _h5py(path)
    try:
        with h5py.File(path, "r") as file:
            flag = file.attrs["gamma_only"]
            indices = file["MillerIndices"]
            names = ["rhotot_g", "rhodiff_g"][: int(file.attrs["nspin"])]
            values = np.stack([np.asarray(file[name], dtype=np.float64).view(np.complex128) for name in names])
            reciprocal = np.stack([np.asarray(indices.attrs[f"bg{i}"], dtype=np.float64) for i in (1, 2, 3)])
            miller = np.asarray(indices, dtype=np.int64)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a charge density of pw.x ({error})") from None
    text = flag.decode() if isinstance(flag, bytes) else str(flag)
    return WaveDensity(reciprocal, miller, values, text.strip().upper().startswith(".T"))


def _write_hdf5(path: Path, density: WaveDensity) -> None:
    h5py = _h5py(path)
    with atomic_output(path) as stream, h5py.File(stream, "w") as file:
        file.attrs["gamma_only"] = np.bytes_(".TRUE." if density.gamma_only else ".FALSE.")
        file.attrs["ngm_g"] = np.int32(len(density.miller))
        file.attrs["nspin"] = np.int32(len(density.values))
        indices = file.create_dataset("MillerIndices", data=density.miller.astype(np.int32))
        for i, vector in enumerate(density.reciprocal, start=1):
            indices.attrs[f"bg{i}"] = vector
        for name, values in zip(("rhotot_g", "rhodiff_g"), density.values, strict=False):
            file.create_dataset(name, data=np.ascontiguousarray(values).view(np.float64))


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: HDF5 files need h5py; install it with pip install 'charge3net[hdf5]'") from None
    return h5py
