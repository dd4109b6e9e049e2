"""More cathode cells to train on than the bundled set has, in one store with it.

    python -m data_prep.nmc_set.more DIR -o OUT

DIR is what ``open_dft/generate.py nmc_unpolarised -o DIR --count N`` leaves; the first 60 cells are those of the
bundle and need not be there. OUT gets ``store`` and ``split.json`` as ``data_prep.bundles.unpack nmc_set`` makes them,
with the other cells in the training part, and the longer bundle.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from data_prep.bundles.bundle import Source, bundle_report, change_bundle, read_facts, read_index, shared_settings
from data_prep.bundles.unpack import unpack
from data_prep.command import make_command
from data_prep.nmc_set.build import BUNDLE, META, SETTINGS


def more(folder: Path, out: Path) -> str:
    """Write the longer bundle, the store and the split; returns a report.

    Raises:
        ValueError: for a folder without further cells, or with files of other settings than the bundle's.
    """
    header, records = read_index(BUNDLE)
    known = {record["key"] for record in records}
    names = sorted(path.stem for path in folder.glob("nmc-*.npz") if path.stem not in known)
    if not names:
        raise ValueError(f"{folder} holds no cell nmc-….npz that the bundle lacks; make more")
    facts = {name: read_facts(folder / f"{name}.npz") for name in names}
    if shared_settings(folder, [about for _, about in facts.values()], SETTINGS) != header["settings"]:
        raise ValueError(f"the files in {folder} were made with other settings than those of the bundle")
    bundle = out / "bundle"
    shutil.copytree(BUNDLE, bundle, dirs_exist_ok=True)
    sources = [
        Source(folder / f"{name}.npz", {"key": name, "part": "train", "formula": facts[name][0].formula}, False, META)
        for name in names
    ]
    records = change_bundle(bundle, sources)
    unpack(bundle, out)
    return bundle_report(records, bundle)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    return make_command(more, __doc__, Path("nmc"), arguments)


if __name__ == "__main__":
    sys.exit(main())
