"""Bundles: densities small enough for git, made from the npz files of open_dft and unpacked into a store.

A bundle is a folder of two files. ``densities.bin`` holds packed densities (charge3net/io/packed.py), one after the
other. ``index.jsonl`` is a header line with the SHA-256 of that file and the settings that all entries share,
then one JSON line per entry: ``key``, ``part``, ``formula``, ``numbers``, ``positions`` and ``cell`` in Å, ``pbc``,
the grid's ``shape``, valence ``electrons``, and where ``density``, ``baseline`` (superposition of atoms, or null) and
``magnetisation`` (only with spin) lie: ``offset``, ``bytes``, ``step``, and ``error``, Σ|error| / Σ|ρ| over all voxels.
Where ``orbits`` is true, one value is stored for each orbit (data_prep/bundles/orbits.py); the record's ``symmetry``
holds the operations that generate the orbits.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray

from charge3net.data.splits import PARTS, Split
from charge3net.data.writer import StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.packed import decode, decode_orbits, encode, encode_orbits
from data_prep.bundles.orbits import Operation, generating_operations, orbits

INDEX = "index.jsonl"
BINARY = "densities.bin"
VALUES = ("density", "baseline", "magnetisation")
"""Fields of a record that say where values lie."""
STRUCTURE = ("numbers", "positions", "cell", "pbc")
"""Fields of a record that a structure is made of."""
CHANNELS = ("density", "magnetisation")
"""Those of the density's channels, in their order."""


@dataclass(frozen=True)
class Source:
    """An entry on its way into a bundle.

    Attributes:
        file: the npz that open_dft wrote.
        fields: what its record begins with (``key``, ``part``, ``formula``, …).
        baseline: whether the superposition of atoms is packed too.
        meta: the keys of the file's ``meta`` that are kept, where the file has them.
        compact: whether a value is stored once for each orbit of the crystal's symmetry where that takes fewer bytes;
            the index then keeps lengths to 1e-8 Å and eight digits of the numbers in ``meta``.
    """

    file: Path
    fields: Mapping[str, Any]
    baseline: bool
    meta: Sequence[str]
    compact: bool = False


def write_bundle(
    bundle: Path, header: Mapping[str, Any], sources: Iterable[Source], more: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Pack the sources; both files are written whole or not at all. Returns the records.

    ``more`` are records that stand at the end of the index and have no values here.
    """
    bundle.mkdir(parents=True, exist_ok=True)
    with _new_binary(bundle) as binary:
        records = [_packed(binary, source) for source in sources] + list(more)
        _finish(bundle, binary, header, records)
    return records


def write_alike(
    bundle: Path,
    header: Mapping[str, Any],
    folder: Path,
    parts: Mapping[str, str],
    *,
    meta: Sequence[str],
    settings: Sequence[str],
) -> list[dict[str, Any]]:
    """Pack the files NAME.npz of ``parts``, name → part, as :func:`write_bundle` does; returns the records.

    The header gets the ``settings`` that all files have. Validation and test entries have the superposition of atoms;
    ``meta`` as in :class:`Source`.

    Raises:
        ValueError: for files of different settings.
    """
    sources, every = [], []
    for name, part in parts.items():
        geometry, facts = read_facts(folder / f"{name}.npz")
        every.append(facts)
        fields = {"key": name, "part": part, "formula": geometry.formula}
        sources.append(Source(folder / f"{name}.npz", fields, part != "train", meta))
    return write_bundle(bundle, {**header, "settings": shared_settings(folder, every, settings)}, sources)


def read_facts(path: Path) -> tuple[Geometry, dict[str, Any]]:
    """Structure and ``meta`` of an npz file of a generator.

    Raises:
        InputError: for a file that is none.
    """
    found = _read(path, (*STRUCTURE, "meta"))
    return Geometry(*(found[name] for name in STRUCTURE)), found["meta"]


def _read(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Arrays of an npz file of a generator, and its ``meta`` as a dictionary."""
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in names}
        return found | {"meta": json.loads(str(found["meta"]))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged, or no npz file of a generator ({error})") from None


def shared_settings(folder: Path, every: Iterable[Mapping[str, Any]], settings: Sequence[str]) -> dict[str, Any]:
    """The ``settings`` that all files of a folder have.

    Raises:
        InputError: for no files, files of different settings, or one that does not state them.
    """
    try:
        found = {tuple(facts[key] for key in settings) for facts in every}
    except (KeyError, TypeError) as error:
        raise InputError(f"a file in {folder} does not state its settings ({error!r})") from None
    if len(found) != 1:
        kinds = f"files of {len(found)} different settings" if found else "no npz file of a generator"
        raise InputError(f"{folder} holds {kinds}; give a folder that the generator filled")
    return dict(zip(settings, found.pop(), strict=True))


def change_bundle(bundle: Path, sources: Iterable[Source], drop: Collection[str] = ()) -> list[dict[str, Any]]:
    """Take entries out of a bundle and add others; those that stay keep their bytes. Returns all records.

    Raises:
        InputError: for a damaged bundle, or when an entry to be taken out has no density in it.
    """
    header, old = read_index(bundle)
    blobs = (bundle / BINARY).read_bytes()
    missing = set(drop) - {record["key"] for record in old if "density" in record}
    if missing:
        raise InputError(f"{bundle} holds no density named {min(missing)}")
    with _new_binary(bundle) as binary:
        kept = [_moved(binary, record, blobs) for record in old if "density" in record and record["key"] not in drop]
        new = [_packed(binary, source) for source in sources]
        records = kept + new + [record for record in old if "density" not in record]
        _finish(bundle, binary, header, records)
    return records


@contextmanager
def _new_binary(bundle: Path) -> Iterator[IO[bytes]]:
    temporary = bundle / f".{BINARY}.{os.getpid()}"
    try:
        with open(temporary, "wb") as binary:
            yield binary
    finally:
        temporary.unlink(missing_ok=True)


def _finish(bundle: Path, binary: IO[bytes], header: Mapping[str, Any], records: Sequence[dict[str, Any]]) -> None:
    """Put the two files in their places."""
    binary.flush()
    header = {**header, "sha256": file_hash(Path(binary.name))}
    lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in [header, *records]]
    index = bundle / f".{INDEX}.{os.getpid()}"
    index.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(binary.name, bundle / BINARY)
    os.replace(index, bundle / INDEX)


def read_index(bundle: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and records of a bundle, after its bytes were compared with the header's SHA-256.

    Raises:
        InputError: when a file is missing or not what was committed, or a line of the index is lost.
    """
    try:
        header, *records = map(json.loads, (bundle / INDEX).read_text(encoding="utf-8").splitlines())
        same = file_hash(bundle / BINARY) == header["sha256"]
        named = all(record["key"] and record["part"] for record in records)
        places = sorted(
            (where["offset"], where["offset"] + where["bytes"]) for record in records for where in _places(record)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the bundle {bundle} cannot be read ({error!r}); check it out again") from None
    if not same:
        raise InputError(f"{bundle / BINARY} is not the file that was committed; check it out again")
    starts, ends = [start for start, _ in places], [end for _, end in places]
    if not named or [*starts, (bundle / BINARY).stat().st_size] != [0, *ends]:
        raise InputError(f"{bundle / INDEX} does not list every density of {BINARY} once; check it out again")
    return header, records


def _places(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [record[name] for name in VALUES if record.get(name)]


def add_to_store(
    writer: StoreWriter, bundle: Path, records: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> None:
    """Unpack these records of a bundle into a store; those that it has already are left alone.

    Raises:
        InputError: for a damaged record, or an entry that the store refuses.
    """
    binary = np.memmap(bundle / BINARY, dtype=np.uint8, mode="r")
    for record in records:
        if writer.done(record["key"]):
            continue
        try:
            density, baseline = _density(binary, record)
            electrons, meta = float(record["electrons"]), {**settings, **record["meta"]}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(
                f"{bundle / INDEX}: the record of {record['key']} is damaged ({error!r}); check it out again"
            ) from None
        writer.add(record["key"], density, electrons=electrons, baseline=baseline, meta=meta)
    if writer.rejected:
        key, reason = next(iter(writer.rejected.items()))
        raise InputError(f"the store {writer.path} refused {key}: {reason}; remove it and unpack again")


def _density(binary: ndarray, record: Mapping[str, Any]) -> tuple[Density, ndarray | None]:
    """The density of a record, and its superposition of atoms where it has one."""
    geometry = _geometry(record)
    (nx, ny, nz), baseline = record["shape"], record["baseline"]
    shape = (nx, ny, nz)
    orbit = orbits(record["symmetry"], shape) if "symmetry" in record else None
    channels = [_unpacked(binary, record[name], shape, orbit) for name in CHANNELS if name in record]
    density = Density(geometry, Grid(geometry.cell, shape), np.stack(channels))
    return density, None if baseline is None else _unpacked(binary, baseline, shape, orbit)


def split_of(records: Iterable[Mapping[str, Any]]) -> Split:
    """Who is in which part."""
    records = list(records)
    return Split(*(tuple(record["key"] for record in records if record["part"] == part) for part in PARTS))


def bundle_report(records: Sequence[Mapping[str, Any]], bundle: Path) -> str:
    """A row for each part (the table of a data card), the size of the bundle's files and the largest rounding error."""
    lines = ["| part | entries | formulas | atoms | voxels | superposition of atoms, mean ε_mae |", "|" + "---|" * 6]
    for part in PARTS:
        chosen = [record for record in records if record["part"] == part]
        formulas = {record["formula"] for record in chosen}
        atoms = sum(len(record["numbers"]) for record in chosen)
        voxels = sum(math.prod(record["shape"]) for record in chosen)
        superposition = f"{100 * np.mean([record['meta']['nmae_sad'] for record in chosen]):.1f} %"
        lines.append(
            "| " + " | ".join(map(str, (part, len(chosen), len(formulas), atoms, voxels, superposition))) + " |"
        )
    size = sum(path.stat().st_size for path in bundle.iterdir())
    worst = max(where["error"] for record in records for where in _places(record))
    return "\n".join([*lines, f"{size / 1e6:.2f} MB; rounding changes a density by at most {100 * worst:.4f} % ε_mae"])


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _packed(binary: IO[bytes], source: Source) -> dict[str, Any]:
    record = dict(source.fields)
    found = _read(source.file, (*STRUCTURE, "density", "n_electrons", "meta", *["density_sad"] * source.baseline))
    record |= {key: found[key].tolist() for key in STRUCTURE}
    if source.compact:
        record |= {key: (np.round(found[key], 8) + 0.0).tolist() for key in ("positions", "cell")}
    total, *magnetisation = found["density"] if found["density"].ndim == 4 else found["density"][None]
    record |= {"shape": list(total.shape), "electrons": float(found["n_electrons"])}
    symmetry = _symmetry(record) if source.compact else []
    orbit = orbits(symmetry, total.shape) if symmetry else None
    record["density"] = _append(binary, total, orbit)
    record["baseline"] = _append(binary, found["density_sad"], orbit) if source.baseline else None
    for values in magnetisation:
        record["magnetisation"] = _append(binary, values, orbit, float(np.abs(total).sum(dtype=np.float64)))
    if any("orbits" in where for where in _places(record)):
        record["symmetry"] = symmetry
    record["meta"] = {key: found["meta"][key] for key in source.meta if key in found["meta"]}
    if source.compact:
        for where in _places(record):
            where["error"] = float(f"{where['error']:.4g}")
        short = {key: float(f"{value:.8g}") for key, value in record["meta"].items() if isinstance(value, float)}
        record["meta"] |= short
    return record


def _moved(binary: IO[bytes], record: Mapping[str, Any], blobs: bytes) -> dict[str, Any]:
    """Copy what a record has in ``blobs`` to the end of the binary."""
    record = dict(record)
    for name in VALUES:
        if record.get(name):
            where = dict(record[name])
            blob = blobs[where["offset"] : where["offset"] + where["bytes"]]
            record[name] = where | {"offset": binary.tell()}
            binary.write(blob)
    return record


def _symmetry(record: Mapping[str, Any]) -> list[Operation]:
    """The operations that the structure of a record, as unpacking will read it, has on its grid."""
    nx, ny, nz = record["shape"]
    return generating_operations(_geometry(record), (nx, ny, nz))


def _geometry(record: Mapping[str, Any]) -> Geometry:
    return Geometry(*(np.array(record[name]) for name in STRUCTURE))


def _append(binary: IO[bytes], values: ndarray, orbit: ndarray | None, norm: float | None = None) -> dict[str, Any]:
    """Write values in the way that takes fewer bytes; returns where they lie."""
    blob, step, error = encode(values, norm)
    by_orbits = {}
    if orbit is not None:
        with suppress(ValueError):  # the density has lower symmetry than the structure
            found = encode_orbits(values, orbit, norm)
            if len(found[0]) < len(blob):
                (blob, step, error), by_orbits = found, {"orbits": True}
    offset = binary.tell()
    binary.write(blob)
    return {"offset": offset, "bytes": len(blob), "step": step, "error": error, **by_orbits}


def _unpacked(binary: ndarray, where: Mapping[str, Any], shape: tuple[int, int, int], orbit: ndarray | None) -> ndarray:
    blob = binary[where["offset"] : where["offset"] + where["bytes"]].tobytes()
    if orbit is not None and where.get("orbits"):
        return decode_orbits(blob, orbit, shape, where["step"])
    return decode(blob, shape, where["step"])
