"""Stores of training data: build one from files, merge, describe, check and split it, export an entry."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from charge3net.cli.parts import part
from charge3net.errors import InputError

if TYPE_CHECKING:
    from charge3net.data.store import StoreEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands build, merge, info, check, split and export."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="{build,merge,info,check,split,export}")
    build = _parser(commands, "build", "read densities from files into a store; every density is checked")
    build.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="folders (searched for densities) or files"
    )
    build.add_argument("-o", "--output", type=Path, required=True, metavar="STORE", help="folder of the store")
    build.add_argument("--jobs", type=int, default=None, metavar="N", help="processes that read (default: all cores)")
    build.add_argument("--resume", action="store_true", help="add to an existing store")
    build.add_argument(
        "--valence", type=Path, metavar="JSON", help='valence electrons, {"Si": 4, …}, to check ∫ρ of each file against'
    )
    build.add_argument(
        "--shuffled", action="store_true", help="voxels in pseudo-random order, for data larger than the memory"
    )
    build.add_argument(
        "--unchecked",
        action="store_true",
        help="also store fields that are probably not electron densities, by their sign or by ∫ρ against ΣZ",
    )
    build.add_argument(
        "--part",
        type=part,
        metavar="K/N",
        help="only the K-th of N equal shares of the files, into STORE.part-K-of-N; `data merge` joins them",
    )
    build.add_argument("--strict", action="store_true", help="exit with status 1 if any file was rejected")
    merge = _parser(commands, "merge", "join the stores of all parts, or any stores, to a new one")
    merge.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="STORE.part-*; they stay as they are")
    merge.add_argument("-o", "--output", type=Path, required=True, metavar="STORE", help="folder of the new store")
    info = _parser(commands, "info", "describe a store")
    info.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    info.add_argument("--keys", action="store_true", help="list the names of the entries only")
    check = _parser(commands, "check", "read all entries and compare checksums")
    check.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    check.add_argument("--quick", action="store_true", help="only check that every entry is there")
    _add_split(_parser(commands, "split", "divide the materials into training, validation and test part"))
    export = _parser(commands, "export", "write one entry as CHGCAR, cube or npz")
    export.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    export.add_argument("key", help="name of the entry")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="CHGCAR, cube or npz file")
    export.add_argument(
        "--baseline", action="store_true", help="the stored superposition of atomic densities (SAD) instead"
    )


def _parser(commands: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    return parser


def _add_split(split: argparse.ArgumentParser) -> None:
    split.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    split.add_argument("-o", "--output", type=Path, required=True, metavar="JSON", help="split file to write")
    how = split.add_mutually_exclusive_group(required=True)
    names = ("TRAIN", "VALIDATION", "TEST")
    how.add_argument("--fractions", nargs=3, type=float, metavar=names, help="e.g. 0.8 0.1 0.1")
    how.add_argument("--counts", nargs=3, type=int, metavar=names, help="numbers of materials")
    how.add_argument("--published", type=Path, metavar="JSON", help="a published split: positions in --file-list")
    split.add_argument(
        "--file-list", type=Path, metavar="TXT", help="file names, one per line, that the positions refer to"
    )
    split.add_argument(
        "--by",
        choices=("key", "formula"),
        default="key",
        help="formula: materials of one reduced formula stay in one part",
    )
    split.add_argument("--seed", type=int, default=0, help="of the random order (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Run a sub-command; returns the exit status."""
    actions = {"build": _build, "merge": _merge, "info": _info, "check": _check, "split": _split, "export": _export}
    return actions[args.action](args)


def _build(args: argparse.Namespace) -> int:
    from charge3net.data.build import build_store, read_valence
    from charge3net.data.find import find_files
    from charge3net.data.merge import PART, PartRecord, hash_of_names, write_part

    files, output = find_files(args.inputs), args.output
    valence = None if args.valence is None else read_valence(args.valence)
    record = None
    if args.part is not None:
        record = PartRecord(args.part.number, args.part.of, hash_of_names(files))
        files = dict(args.part.share(list(files.items())))
        output = output.parent / f"{output.name}.{args.part.label}"
        (output / PART).unlink(missing_ok=True)
    result = build_store(
        files,
        output,
        args.jobs,
        args.resume,
        valence,
        shuffled=args.shuffled or None,
        unchecked=args.unchecked,
    )
    rate = f"{result.read} files in {result.seconds:.1f} s, {result.read / max(result.seconds, 1e-9):.0f} files/s"
    if record is not None:
        write_part(output, record)
    print(f"{output}: {result.stored} entries ({result.added} new), {len(result.rejected)} rejected")
    print(f"read {rate}, {result.jobs} process{'es' if result.jobs > 1 else ''}")
    if result.shares:
        (low, least), (high, most) = result.shares[0], result.shares[-1]
        print(f"∫ρ is {least:.3g} ({low}) to {most:.3g} ({high}) of ΣZ, the electrons of the neutral atoms")
    for key, reason in result.rejected.items():
        print(f"rejected {key}: {reason}", file=sys.stderr)
    nothing = result.stored == 0 and (record is None or bool(files))  # a part of fewer files than parts may have none
    return int(nothing or (args.strict and bool(result.rejected)))


def _merge(args: argparse.Namespace) -> int:
    from charge3net.data.merge import merge_stores

    result = merge_stores(args.stores, args.output)
    print(f"{args.output}: {result.entries} entries, {result.size / 1e6:.1f} MB, {len(result.rejected)} rejected")
    return 0


def _check(args: argparse.Namespace) -> int:
    from charge3net.data.store import Store

    store = Store(args.store)
    problems = store.check(verify_checksums=not args.quick)
    for key, problem in problems.items():
        print(f"{key}: {problem}")
    print(f"{args.store}: {len(store)} entries, {len(problems)} with problems")
    return int(bool(problems))


def _split(args: argparse.Namespace) -> int:
    from charge3net.data.find import entry_name
    from charge3net.data.splits import PARTS, make_split, read_names, read_split
    from charge3net.data.store import Store

    if args.file_list is not None and args.published is None:
        raise InputError("--file-list goes with --published")
    store = Store(args.store)
    keys = store.keys()
    if args.published is not None:
        names = None if args.file_list is None else [entry_name(name) for name in read_names(args.file_list)]
        published = read_split(args.published, names)
        split = published.restricted_to(keys)
        missing = sum(len(getattr(published, part)) - len(getattr(split, part)) for part in PARTS)
        if missing:
            print(f"{missing} materials of the split are not in the store and were left out", file=sys.stderr)
        if not split.train:
            raise InputError(f"none of the training materials of {args.published} is in {args.store}")
    else:
        fractions = None if args.fractions is None else tuple(args.fractions)
        counts = None if args.counts is None else tuple(args.counts)
        groups = {key: store[key].formula for key in keys} if args.by == "formula" else None
        split = make_split(keys, fractions, counts, args.seed, groups)
    split.save(args.output)
    sizes = ", ".join(f"{len(getattr(split, part))} {part}" for part in PARTS)
    print(f"{args.output}: {sizes}; hash {split.hash[:16]}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from charge3net.data.store import Store
    from charge3net.density import Density

    entry = Store(args.store)[args.key]
    density = entry.density()
    if args.baseline:
        if entry.baseline is None:
            raise InputError(f"{args.store}: {args.key} has no superposition of atomic densities stored with it")
        density = Density(entry.geometry, entry.grid, np.array(entry.baseline)[None])
    density.write(args.output)
    print(f"{args.output}: {entry.formula}, {' × '.join(map(str, entry.grid.shape))}, {density.electrons():.4f} e")
    return 0


def _info(args: argparse.Namespace) -> int:
    from charge3net.data.store import Store

    store = Store(args.store)
    if args.keys:
        print("\n".join(store.keys()))
        return 0
    rows = {"store": str(args.store), "entries": f"{len(store)} ({len(store.rejected())} rejected)"}
    if len(store):
        rows |= _describe([_row(store[key]) for key in store])
    rows["voxel order"] = "pseudo-random" if store.shuffled else "C"
    rows["content hash"] = store.hash()
    for name, value in rows.items():
        print(f"{name:<14}{value}")
    return 0


class _Row(NamedTuple):
    """The facts about an entry that ``info`` summarises."""

    formula: str
    elements: frozenset[int]
    atoms: int
    periodic: bool
    shape: tuple[int, int, int]
    spacing: np.ndarray
    channels: int
    electrons: float
    checked: bool
    statistics: dict[str, float]


def _row(entry: StoreEntry) -> _Row:
    geometry, grid = entry.geometry, entry.grid
    return _Row(
        formula=entry.formula,
        elements=frozenset(geometry.numbers.tolist()),
        atoms=len(geometry),
        periodic=bool(geometry.pbc.all()),
        shape=grid.shape,
        spacing=grid.spacing,
        channels=entry.channels,
        electrons=entry.electrons,
        checked=entry.electrons_expected is not None,
        statistics=entry.statistics,
    )


def _describe(rows: list[_Row]) -> dict[str, str]:
    from pymatgen.core import Element

    counts = Counter(z for row in rows for z in row.elements)
    elements = ", ".join(f"{Element.from_Z(z).symbol if z else 'X'} {n}" for z, n in sorted(counts.items()))
    shapes = sorted((row.shape for row in rows), key=math.prod)
    smallest, median, largest = ("×".join(map(str, shapes[i])) for i in (0, len(shapes) // 2, -1))
    periodic, spin = sum(row.periodic for row in rows), sum(row.channels == 2 for row in rows)
    lowest, highest = (f(row.statistics[name] for row in rows) for f, name in ((min, "minimum"), (max, "maximum")))
    errors = [row.statistics["baseline_error"] for row in rows if "baseline_error" in row.statistics]
    checked = sum(row.checked for row in rows)
    mean_error = f", ε_mae {100 * sum(errors) / len(errors):.2f} % (mean)" if errors else ""
    return {
        "elements": f"{len(counts)}: {elements} (entries that hold them)",
        "formulas": str(len({row.formula for row in rows})),
        "atoms": _range(np.array([row.atoms for row in rows]), "d") + " per entry",
        "periodic": f"{periodic} in three directions, {len(rows) - periodic} in fewer",
        "grids": f"smallest {smallest}, median {median}, largest {largest}",
        "spacing": _range(np.concatenate([row.spacing for row in rows]), ".3f") + " Å",
        "voxels": f"{sum(map(math.prod, shapes)):,} in all",
        "channels": f"{len(rows) - spin} with the density, {spin} with density and magnetisation",
        "density": f"{lowest:.4g} … {highest:.4g} e/Å³",
        "electrons": _range(np.array([row.electrons for row in rows]), ".3f")
        + f" per entry; {checked} of {len(rows)} checked against a known number",
        "baseline": f"{len(errors)} entries have a superposition of atomic densities{mean_error}",
    }


def _range(values: np.ndarray, form: str) -> str:
    return f"{values.min():{form}} … {values.max():{form}}, mean {values.mean():.4g}"
