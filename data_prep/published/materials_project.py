"""Materials Project: charge densities of crystals, through its API.

    export MP_API_KEY=…
    python -m data_prep.published.materials_project -o STORE --task-ids mpid_to_task_id_map.json \
        --split split.json --file-list filelist.txt

Without --task-ids the latest density of every material that has one is taken. See docs/data_sets.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from charge3net.data.build import read_valence
from charge3net.data.splits import PARTS, Split, make_split, read_names, read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from data_prep.command import guarded
from data_prep.published.mp_client import MaterialsProject
from data_prep.published.mp_fetch import Manifest, Record, distinct, fetch_all

PROG = "python -m data_prep.published.materials_project"
#: Test materials with more Å³ per atom are left out: mostly empty cells.
LARGEST_TEST_VOLUME = 100.0


def main(argv: Sequence[str] | None = None, project: MaterialsProject | None = None) -> int:
    """The command line; returns the exit status.

    Args:
        argv: arguments; None for the program's.
        project: answers; None for ``mp_api.client.MPRester`` with the key in ``MP_API_KEY``.
    """
    args = _parser().parse_args(argv)
    return guarded(PROG, lambda: _run(args, project or MaterialsProject(real_rester)))


def real_rester() -> Any:
    """``mp_api.client.MPRester`` with the key in ``MP_API_KEY``.

    Raises:
        InputError: without the package or the key.
    """
    try:
        from mp_api.client import MPRester
    except ImportError:
        raise InputError("mp-api is not installed; `pip install mp-api` (0.46 or newer)") from None
    key = os.environ.get("MP_API_KEY", "")
    if not key:
        raise InputError("the environment variable MP_API_KEY is not set; registered users find their key on the site")
    return MPRester(key, mute_progress_bars=True)


def read_task_ids(path: str | Path) -> dict[str, str]:
    """The published map, ``{"mp-1": "mp-1439955", …}``: material → task.

    Raises:
        InputError: if the file is not that.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or not content or not all(isinstance(task, str) for task in content.values()):
        raise InputError(f'{path} must be a JSON file of task ids per material, {{"mp-1": "mp-1439955", …}}')
    return content


def published_split(split: Split, records: dict[str, Record], keys: Sequence[str]) -> Split:
    """A published split without what the store lacks and without test materials above 100 Å³ per atom."""
    kept = split.restricted_to(keys)
    return replace(kept, test=tuple(key for key in kept.test if not _too_empty(records[key])))


def new_split(records: dict[str, Record], held_out: tuple[int, int], seed: int) -> Split:
    """A split of the distinct materials.

    Args:
        records: of the materials in the store.
        held_out: numbers of validation and test materials; the test part loses those above 100 Å³ per atom.
        seed: of the order.

    Raises:
        InputError: if there are too few materials.
    """
    keys = distinct(records)
    train = len(keys) - sum(held_out)
    if train < 1:
        raise InputError(f"there are {len(keys)} distinct materials, too few to hold out {sum(held_out)}")
    return published_split(make_split(keys, counts=(train, *held_out), seed=seed), records, keys)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="STORE", help="folder of the store")
    add("--task-ids", type=Path, metavar="JSON", help='published map {"mp-1": "mp-1439955", …}: take these tasks')
    add("--split", type=Path, metavar="JSON", help="published positions; only these materials are fetched")
    add("--file-list", type=Path, metavar="TXT", help="the list that positions count in")
    add("--held-out", type=int, nargs=2, metavar=("VALIDATION", "TEST"), help="make a split of distinct materials")
    add("--seed", type=int, default=0, help="of the split")
    add("--limit", type=int, help="only the first so many materials")
    add("--jobs", type=int, default=4, help="questions under way at once (default: 4)")
    add("--resume", action="store_true", help="go on with a store that exists; what it has is kept")
    add("--again", action="store_true", help="ask again for what was missing or rejected")
    add("--valence", type=Path, metavar="JSON", help='valence electrons to check ∫ρ against, {"Li": 3, "O": 6, …}')
    return parser


def _run(args: argparse.Namespace, project: MaterialsProject) -> int:
    if args.split is not None and args.held_out is not None:
        raise InputError("a split is either published (--split) or made (--held-out)")
    names = None if args.file_list is None else read_names(args.file_list)
    split = None if args.split is None else read_split(args.split, names)
    tasks = None if args.task_ids is None else read_task_ids(args.task_ids)
    valence = None if args.valence is None else read_valence(args.valence)
    wanted = _wanted(project, split, tasks)
    wanted = dict(islice(wanted.items(), args.limit))
    print(f"{len(wanted)} materials")
    manifest = fetch_all(project, wanted, args.output, args.jobs, args.resume, args.again, valence)
    return _finish(args, split, manifest)


def _wanted(project: MaterialsProject, split: Split | None, tasks: dict[str, str] | None) -> dict[str, str | None]:
    """Material → task to take, None for the latest: what the split names, else what the map has, else everything."""
    if split is not None:
        return {key: (tasks or {}).get(key) for part in PARTS for key in getattr(split, part)}
    if tasks is not None:
        return dict(tasks)
    return dict.fromkeys(project.materials_with_density())


def _finish(args: argparse.Namespace, split: Split | None, manifest: Manifest) -> int:
    """Say what was had, write the split; the exit status is 1 if a material failed or nothing is there."""
    keys = Store(args.output).keys()
    counts = manifest.counts()
    known = ", ".join(f"{counts[status]} {status}" for status in sorted(counts))
    print(f"{args.output}: {len(keys)} entries; {known or 'nothing asked for'} ({manifest.path})")
    records = {key: manifest.records[key] for key in keys}
    made = None
    if split is not None:
        made = published_split(split, records, keys)
    elif args.held_out is not None and not counts.get("failed"):  # what comes later would change the parts
        made = new_split(records, tuple(args.held_out), args.seed)
    if made is not None and made.train:
        made.save(args.output / "split.json")
        sizes = ", ".join(f"{len(getattr(made, part))} {part}" for part in PARTS)
        print(f"{args.output / 'split.json'}: {sizes}; hash {made.hash[:16]}")
    elif made is not None:
        print("no training material is in the store, so no split was written", file=sys.stderr)
    if counts.get("failed"):
        print(f"{counts['failed']} materials failed; the same command with --resume asks again", file=sys.stderr)
    return int(not keys or bool(counts.get("failed")))


def _too_empty(record: Record) -> bool:
    return record.volume_per_atom is not None and record.volume_per_atom > LARGEST_TEST_VOLUME


if __name__ == "__main__":
    sys.exit(main())
