"""Data sets published as tar files with a list of positions for the split: fetch, store, split.

    python -m data_prep.published.tar_sets SET --tars DIR -o STORE

SET is ``qm9_vasp``, ``nmc`` or ``ethylene_carbonate``. DIR holds the tar files as published, the text file that lists
them, and the split; see docs/data_sets.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from charge3net.data.build import BuildResult, build_store, read_valence
from charge3net.data.splits import PARTS, Split, read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.pretrained.download import download
from data_prep.command import guarded
from data_prep.published.tar_members import TarFiles, find_tars, list_members, name_members, read_member

#: Names under which the sets' splits are published.
SPLIT_NAMES = ("datasplits.json", "splits.json", "split.json")


@dataclass(frozen=True)
class TarSet:
    """A published set.

    Attributes:
        title: what it holds.
        doi: of the data.
        valence: valence electrons per element of the potentials; empty where they are not known.
    """

    title: str
    doi: str
    valence: dict[str, float] = field(default_factory=dict)


#: Name → set. Valence electrons are the same in the standard, soft and hard PAW potentials of the elements listed.
SETS = {
    "qm9_vasp": TarSet(
        "densities of the QM9 molecules, VASP, DTU data",
        "10.11583/DTU.16794500",
        {"H": 1.0, "C": 4.0, "N": 5.0, "O": 6.0, "F": 7.0},
    ),
    # the valence of Li, Ni, Mn and Co depends on the potential (Li 1 or 3, Mn 7 or 13, …): give it with --valence
    "nmc": TarSet("densities of Li(Ni, Mn, Co)O2 battery cathodes, VASP, DTU data", "10.11583/DTU.16837721"),
    "ethylene_carbonate": TarSet(
        "densities of liquid ethylene carbonate, VASP, DTU data",
        "10.11583/DTU.16691825",
        {"H": 1.0, "C": 4.0, "O": 6.0},
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = _parser()
    return guarded(parser.prog, lambda: _run(parser.parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.published.tar_sets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )
    add = parser.add_argument
    sets = "; ".join(f"{name}: {known.title}, doi:{known.doi}" for name, known in SETS.items())
    add("set", choices=SETS, metavar="SET", help=sets)
    add("--tars", type=Path, required=True, metavar="DIR", help="folder of the tar files, or the list of them (.txt)")
    add("-o", "--output", type=Path, required=True, metavar="STORE", help="folder of the store")
    add("--jobs", type=int, default=None, help="reading processes (default: all cores)")
    add("--resume", action="store_true", help="continue with a store that exists; its entries stay")
    add("--split", type=Path, metavar="JSON", help=f"published positions (default: {SPLIT_NAMES[0]} beside the tars)")
    add("--valence", type=Path, metavar="JSON", help='valence electrons to check ∫ρ against, {"Li": 1, "O": 6, …}')
    add(
        "--url",
        action="append",
        default=[],
        metavar="URL#md5=…&name=…",
        help="download a file into DIR first; repeat it, or list --url=… lines in a file and give @FILE",
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    for url in args.url:
        print(download(url, args.tars.parent if args.tars.suffix == ".txt" else args.tars))
    found = find_tars(args.tars)
    published = find_split(found, args.split)
    members = name_members(list_members(found.tars))
    split = None if published is None else _positions(found, published, list(members))
    known = {} if args.valence is not None else SETS[args.set].valence
    given = None if args.valence is None else read_valence(args.valence)
    reader = partial(read_member, valence=known, origin=args.set)
    print(f"{len(members)} files in {len(found.tars)} tars")
    result = build_store(members, args.output, args.jobs, args.resume, given, read=reader)
    _report(args.output, result)
    if split is not None and result.stored:
        write_split(split, len(members), args.output)
    return int(result.stored == 0)


def find_split(found: TarFiles, given: Path | None) -> Path | None:
    """The published split: the one that is given, else one of the known names beside the tars, else None."""
    if given is not None:
        return given
    folder = (found.listing or found.tars[0]).parent
    return next((folder / name for name in SPLIT_NAMES if (folder / name).is_file()), None)


def write_split(split: Split, members: int, store: Path) -> None:
    """Write ``split.json`` into the store, without the materials that it lacks, and say how many those are.

    Raises:
        InputError: if no training material is in the store.
    """
    kept = split.restricted_to(Store(store).keys())
    total = sum(len(getattr(split, part)) for part in PARTS)
    if total != members:
        print(f"the split names {total} of {members} files; the others are in no part", file=sys.stderr)
    for part in PARTS:
        lost = len(getattr(split, part)) - len(getattr(kept, part))
        if lost:
            print(f"{lost} {part} materials were rejected and are left out of the split", file=sys.stderr)
    if not kept.train:
        raise InputError(f"none of the training materials is in {store}; is it the split of this data set?")
    kept.save(store / "split.json")
    sizes = ", ".join(f"{len(getattr(kept, part))} {part}" for part in PARTS)
    print(f"{store / 'split.json'}: {sizes}; hash {kept.hash[:16]}")


def _positions(found: TarFiles, published: Path, names: list[str]) -> Split:
    if not found.ordered:
        raise InputError(
            f"positions in {published} need the order of the {len(found.tars)} tars: put the text file that lists them "
            f"beside them"
        )
    return read_split(published, names)


def _report(output: Path, result: BuildResult) -> None:
    for key, reason in result.rejected.items():
        print(f"rejected {key}: {reason}", file=sys.stderr)
    print(f"{output}: {result.stored} entries ({result.added} new), {len(result.rejected)} rejected")


if __name__ == "__main__":
    sys.exit(main())
