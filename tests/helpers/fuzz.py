"""Damaged files by the thousand: each must be read or refused with one sentence, in bounded time.

    python -m tests.helpers.fuzz [--cases 100000] [--seed 0] [--only cube] [--keep FOLDER]

Seeds are small files of every format, mutators change bytes, numbers, lines or the members of an archive. Counted are
files that were read, that were refused (InputError with the file's name, one line), and anything else, which is
printed with the number that reproduces it.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import logging
import lzma
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from charge3net.data.build import read_valence
from charge3net.data.splits import read_split
from charge3net.data.store import Store, StoreWriter
from charge3net.errors import InputError
from charge3net.io import read_density, read_grid, read_structures
from tests.helpers import dft_files

CASES = Path(__file__).parents[1] / "io" / "cases"
#: Files are made in memory where that is possible.
MEMORY = Path("/dev/shm")
#: Longest time for one file, s.
SLOW = 10.0

Random = np.random.Generator
_TOKENS = (
    b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-400", b"9" * 30, b"*" * 12, b"1_000", b"0x1F", b"1.0.0", b"\0", b"1e5",
    b"99999999", b"-99999999", b"4294967296", b"T", b"X", b"Q1", b"\xff\xfe", b"'", b'"', b";", b"loop_", b"data_",
    b"{", b"[", b"1,5", b"0.5-101", b"1D2", b"Lattice=", b"null", b"true", b"-", b"+", b".", b"?",
    b"augmentation occupancies   1  1",
)  # fmt: skip


def flip_bytes(data: bytes, random: Random) -> bytes:
    """Up to four bytes become others."""
    found = bytearray(data)
    for place in random.integers(len(data), size=random.integers(1, 5)):
        found[place] = random.integers(256)
    return bytes(found)


def cut(data: bytes, random: Random) -> bytes:
    """The end is missing."""
    return data[: random.integers(len(data))]


def drop_or_repeat(data: bytes, random: Random) -> bytes:
    """A piece is missing, or stands there twice."""
    start = int(random.integers(len(data)))
    stop = start + int(random.integers(1, 200))
    return data[:start] + (data[start:stop] * 2 if random.random() < 0.5 else b"") + data[stop:]


def change_lines(data: bytes, random: Random) -> bytes:
    """Lines are lost, doubled, exchanged, blank, or from elsewhere."""
    lines = data.splitlines(keepends=True)
    i, j = random.integers(len(lines), size=2)
    kind = random.integers(5)
    if kind == 0:
        del lines[i]
    elif kind == 1:
        lines.insert(j, lines[i])
    elif kind == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == 3:
        lines.insert(i, b"\n" * int(random.choice([1, 2, 50, 1000])))
    else:
        lines[i] = lines[i].rstrip(b"\n") + b" " + lines[j]
    return b"".join(lines)


def change_words(data: bytes, random: Random) -> bytes:
    """One or two words become others."""
    for _ in range(random.integers(1, 3)):
        words = data.split(b" ")
        place = int(random.integers(min(len(words), 80) if random.random() < 0.7 else len(words)))
        end = b"\n" if words[place].endswith(b"\n") else b""
        words[place] = _TOKENS[random.integers(len(_TOKENS))] + end
        data = b" ".join(words)
    return data


def change_digits(data: bytes, random: Random) -> bytes:
    """A digit, a point or a sign becomes another."""
    places = [i for i, code in enumerate(data[:4000]) if code in b"0123456789.-+Ee"]
    found = bytearray(data)
    for place in random.choice(places, size=min(2, len(places))):
        found[place] = random.choice(list(b"0123456789.-+Ee _"))
    return bytes(found)


def change_members(data: bytes, random: Random) -> bytes:
    """An array of an archive has another shape, type or content."""
    with np.load(io.BytesIO(data)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = str(random.choice(list(arrays)))
    values = arrays[name]
    changes: list[Callable[[], np.ndarray]] = [
        lambda: values.reshape(-1),
        lambda: values[None],
        lambda: values.astype("U8"),
        lambda: np.array("{" * 5000),
        lambda: np.full(values.shape, np.nan),
        lambda: np.full(values.shape, -1),
        lambda: np.zeros(0),
        lambda: values.astype(complex) if values.dtype.kind in "iufb" else values,
        lambda: np.full(values.shape, 2**62),
        lambda: np.zeros((0, 3)),
    ]
    arrays[name] = changes[random.integers(len(changes))]()
    if random.random() < 0.1:
        del arrays[name]
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


BYTES = (flip_bytes, cut, drop_or_repeat)
TEXT = (*BYTES, change_lines, change_words, change_words, change_digits, change_digits)


def seeds(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Format → names and contents of whole files."""
    found: dict[str, list[tuple[str, bytes]]] = {"chgcar": [], "cube": [], "npz": [], "compressed": []}
    one, two = dft_files.density(), dft_files.density(channels=2)
    for density, tag in ((one, "a"), (two, "b")):
        for name in (f"{tag}.chgcar", f"{tag}.cube", f"{tag}.npz"):
            density.write(folder / name)
            data = (folder / name).read_bytes()
            found["chgcar" if name.endswith("chgcar") else name[-4:].strip(".")].append((name, data))
    aug = dft_files.augmentation(0.0)
    text = dft_files.head() + "\n 3 4 5\n" + dft_files.body(dft_files.values()) + aug
    spin = text + dft_files.MOMENTS + " 3 4 5\n" + dft_files.body(dft_files.values()) + aug
    found["chgcar"] += [("CHGCAR_aug", text.encode()), ("CHGCAR_spin", spin.encode())]
    found["chgcar"].append(("CHGCAR_sum", (CASES / "CHGCAR_sum").read_bytes()))
    found["cube"].append(("plain.cube", (CASES / "plain.cube").read_bytes()))
    packers = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zz": zlib.compress}
    found["compressed"] = [(f"a.chgcar.{suffix}", pack(text.encode())) for suffix, pack in packers.items()]
    found["poscar"] = [("POSCAR", dft_files.head().encode())]
    found["poscar"] += [(f"{name}.vasp", (CASES / name).read_bytes()) for name in ("wrap20.vasp", "POSCAR_CNC")]
    found["cif"] = [(path.name, path.read_bytes()) for path in sorted(CASES.glob("*.cif"))]
    found["xyz"] = [(path.name, path.read_bytes()) for path in sorted(CASES.glob("*xyz"))]
    chgcar = {"@class": "Chgcar", "data": {"total": {"data": (one.values[0] * one.grid.volume).tolist()}}}
    chgcar["poscar"] = {"structure": one.structure.as_dict()}
    found["json"] = [("a.json", json.dumps(chgcar, default=float).encode())]
    split = {"train": ["a", "b"], "validation": ["c"], "test": []}
    found["split"] = [("split.json", json.dumps(split, indent=1).encode()), ("valence.json", b'{"Li": 1, "O": 6.0}')]
    with StoreWriter(folder / "store") as writer:
        writer.add("one", one)
        writer.add("two", two, meta={"file": "x"})
    found["store"] = [("index.jsonl", (folder / "store" / "index.jsonl").read_bytes())]
    return found


def use(path: Path, kind: str, store: Path) -> None:
    """Read a file in every way that its format allows."""
    if kind == "split":
        (read_valence if path.name.startswith("valence") else read_split)(path)
    elif kind == "store":
        shutil.copyfile(path, store / "index.jsonl")
        opened = Store(store)
        if problems := opened.check():
            raise InputError(f"{path}: {next(iter(problems.values()))}")
        opened.hash()
    elif kind in ("poscar", "cif", "xyz"):
        assert all(np.isfinite(one.positions).all() for one in read_structures(path))
    else:
        try:
            read_grid(path)
            read_structures(path)
        finally:
            assert np.isfinite(read_density(path).values).all()


def run(cases: int, seed: int = 0, only: str | None = None, keep: Path | None = None) -> dict[str, Counter[str]]:
    """Counts of ``read``, ``refused``, and what else happened, by format."""
    counts: dict[str, Counter[str]] = {}
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = Path(scratch)
            files = seeds(folder)
            kinds = [only] if only else list(files)
            for case in range(cases):
                kind = kinds[case % len(kinds)]
                outcome = _one(case, seed, kind, files[kind], folder, keep)
                counts.setdefault(kind, Counter())[outcome] += 1
                if (case + 1) % 10_000 == 0:
                    print(f"{case + 1} files", *_table(counts)[-1:], file=sys.stderr)
    finally:
        logging.disable(logging.NOTSET)
    return counts


def _one(case: int, seed: int, kind: str, files: list[tuple[str, bytes]], folder: Path, keep: Path | None) -> str:
    random = np.random.default_rng((seed, case))
    name, data = files[random.integers(len(files))]
    mutators = {"npz": (*BYTES, change_members, change_members), "compressed": BYTES}.get(kind, TEXT)
    for _ in range(int(random.choice([0, 1, 1, 1, 1, 2, 3]))):
        if data:
            try:
                data = mutators[random.integers(len(mutators))](data, random)
            except (ValueError, OSError, EOFError, zlib.error, IndexError):  # too damaged for this mutator
                break
            except Exception:  # of zipfile
                break
    path = folder / "mutated" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    start = time.perf_counter()
    try:
        use(path, kind, folder / "store")
        outcome = "read"
    except InputError as error:
        outcome = "refused" if "\n" not in str(error) and len(str(error)) < 2000 else f"message {str(error)[:80]!r}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {str(error)[:80]}"
    if time.perf_counter() - start > SLOW:
        outcome = f"slow, {outcome}"
    if outcome not in ("read", "refused"):
        print(f"case {case}, seed {seed}, {kind}, {name}: {outcome}", file=sys.stderr)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{case}-{name}").write_bytes(data)
    return outcome


def main() -> int:
    """Command line; returns 1 if anything but reading and refusing happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="FORMAT")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to put the files of unexpected outcomes")
    args = parser.parse_args()
    counts = run(args.cases, args.seed, args.only, args.keep)
    print("\n".join(_table(counts)))
    return int(any(set(found) - {"read", "refused"} for found in counts.values()))


def _table(counts: dict[str, Counter[str]]) -> list[str]:
    """A line for each format and one for all of them."""
    total: Counter[str] = sum(counts.values(), Counter())
    return [
        f"{kind:<12}{found['read']:>8} read {found['refused']:>8} refused "
        f"{sum(found.values()) - found['read'] - found['refused']:>6} else"
        for kind, found in {**counts, "all": total}.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
