"""Make benchmark set v1 from the generator's npz files.

    python -m data_prep.benchmark_set.build --crystals DIR… --molecules DIR… --liquids DIR… [-o BUNDLE]
    python -m data_prep.benchmark_set.build --again DIR -o BUNDLE
    python -m data_prep.benchmark_set.build --extend [--crystals DIR…] [--liquids DIR…] [--drop KEY…] [-o BUNDLE]

The second form takes the entries and parts of the committed bundle and the densities that
``open_dft/generate.py benchmark_set -o DIR`` computed anew. The third takes entries out of a bundle and adds those that
it lacks: a crystal goes where its formula is, new formulas are divided as in the first form, configurations of the
liquid are trained on. What stays keeps its part and its bytes. Molecules that the demo set holds are not stored again,
the index refers to them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.geometry import Geometry
from data_prep.benchmark_set.divide import divide_crystals, divide_liquids, divide_molecules
from data_prep.bundles.bundle import BINARY, VALUES, Source, change_bundle, file_hash, read_index, write_bundle

BUNDLE = Path(__file__).resolve().parent / "bundle"
DEMO = Path(__file__).resolve().parents[1] / "demo_set" / "bundle"
KINDS = ("crystals", "molecules", "liquids")
HEADER = {"format": "charge3net-benchmark-set", "version": 1}
SHARED = {"density": "nt - nct + sum_aL Q_aL g_L, rc=1.0 bohr", "xc": "PBE", "mode": "PW 500 eV"}
META = ("code", "energy_eV", "scf_iterations", "nk_ibz", "nmae_sad", "rho_min", "rho_max", "magnetisation", "source")
SMEARING = {"crystals": 0.1, "molecules": 0.01, "liquids": 0.05}  # eV, where a file does not say


def build(folders: Mapping[str, Sequence[Path]], bundle: Path) -> list[dict[str, Any]]:
    """Divide what the folders hold and write the bundle; returns its records.

    Raises:
        ValueError: for two files of one name.
    """
    demo = {record["key"]: record for record in read_index(DEMO)[1]}
    files: dict[str, dict[str, Path]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for path in sorted(path for folder in folders[kind] for path in folder.glob("*.npz")):
            if any(path.stem in found for found in files.values()):
                raise ValueError(f"{path} and another file have one name")
            if path.stem not in demo:
                files[kind][path.stem] = path
    geometries = {key: _geometry(path) for found in files.values() for key, path in found.items()}
    testable = {key for found in files.values() for key, path in found.items() if _has_superposition(path)}
    formulas = {key: geometries[key].formula for key in files["crystals"]}
    elements = {formula: frozenset(geometries[key].numbers.tolist()) for key, formula in formulas.items()}
    molecules = {key: _formula(geometries[key]) for key in files["molecules"]}
    parts = {
        "crystals": divide_crystals(formulas, elements),
        "molecules": divide_molecules(molecules, {r["formula"]: r["part"] for r in demo.values()}, testable),
        "liquids": divide_liquids(files["liquids"], testable & set(files["liquids"])),
    }
    sources = [
        _source(path, kind, parts[kind][key], key in testable and (kind == "crystals" or parts[kind][key] != "train"))
        for kind in KINDS
        for key, path in files[kind].items()
        if key in parts[kind]
    ]
    return _write(sources, demo, bundle)


def build_again(folder: Path, bundle: Path, committed: Path = BUNDLE) -> list[dict[str, Any]]:
    """The bundle with the committed entries and parts and the densities in ``folder``; returns its records.

    Raises:
        ValueError: when a density is missing.
    """
    demo = {record["key"]: record for record in read_index(DEMO)[1]}
    records = [record for record in read_index(committed)[1] if "from" not in record]
    missing = [record["key"] for record in records if not (folder / f"{record['key']}.npz").exists()]
    if missing:
        raise ValueError(f"{folder} lacks {len(missing)} entries (first: {missing[0]}); run generate.py again")
    sources = [_source(folder / f"{r['key']}.npz", r["kind"], r["part"], r["baseline"] is not None) for r in records]
    return _write(sources, demo, bundle)


def extend(folders: Mapping[str, Sequence[Path]], drop: Sequence[str], bundle: Path) -> list[dict[str, Any]]:
    """Take entries out of a bundle and add the crystals and liquids that it lacks; returns all records.

    Raises:
        ValueError: when nothing would change, or for an entry that is not there.
    """
    records = read_index(bundle)[1]
    kept = [record for record in records if record["key"] not in drop]
    taken = {record["key"] for record in records}
    new = {
        kind: {p.stem: p for folder in folders[kind] for p in sorted(folder.glob("*.npz")) if p.stem not in taken}
        for kind in ("crystals", "liquids")
    }
    if not drop and not any(new.values()):
        raise ValueError(f"the folders hold nothing that {bundle} lacks")
    known = {record["formula"]: record["part"] for record in kept if record["kind"] == "crystals"}
    elements = {r["formula"]: frozenset(r["numbers"]) for r in kept if r["kind"] == "crystals"}
    geometries = {key: _geometry(path) for key, path in new["crystals"].items()}
    formulas = {key: geometry.formula for key, geometry in geometries.items()}
    elements |= {formulas[key]: frozenset(geometry.numbers.tolist()) for key, geometry in geometries.items()}
    parts = divide_crystals(formulas, elements, known)
    sources = [_source(path, "crystals", parts[key], _has_superposition(path)) for key, path in new["crystals"].items()]
    sources += [_source(path, "liquids", "train", False) for path in new["liquids"].values()]
    return change_bundle(bundle, sources, drop)


def _write(sources: Sequence[Source], demo: Mapping[str, Mapping[str, Any]], bundle: Path) -> list[dict[str, Any]]:
    references = [
        {"key": key, "kind": "molecules", "part": record["part"], "formula": record["formula"], "from": "demo_set"}
        for key, record in demo.items()
    ]
    header = {**HEADER, "settings": SHARED, "demo_set_sha256": file_hash(DEMO / BINARY)}
    return write_bundle(bundle, header, sources, references)


def _source(path: Path, kind: str, part: str, baseline: bool) -> Source:
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
    smearing = float(meta["smearing"].split()[1]) if "smearing" in meta else SMEARING[kind]
    settings = {"kpts_density": meta.get("kpts_density", 0.0), "smearing": smearing}
    geometry = _geometry(path)
    formula = geometry.formula if kind == "crystals" else _formula(geometry)
    fields = {"key": path.stem, "kind": kind, "part": part, "formula": formula, "settings": settings}
    return Source(path, fields, baseline, META)


def _geometry(path: Path) -> Geometry:
    with np.load(path) as file:
        return Geometry(*(file[name] for name in ("numbers", "positions", "cell", "pbc")))


def _has_superposition(path: Path) -> bool:
    with np.load(path) as file:
        return "density_sad" in file


def _formula(geometry: Geometry) -> str:
    """Formula with every atom, in Hill's order, as the demo set writes it."""
    return str(geometry.to_structure().composition.hill_formula).replace(" ", "")


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """The table of the data card."""
    demo = {record["key"]: record for record in read_index(DEMO)[1]}
    lines = ["| kind | part | entries | formulas | elements | atoms | voxels | superposition of atoms, mean ε_mae |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for part in ("train", "validation", "test"):
            chosen = [
                demo[record["key"]] if "from" in record else record
                for record in records
                if (record["kind"], record["part"]) == (kind, part)
            ]
            formulas = {record["formula"] for record in chosen}
            elements = {z for record in chosen for z in record["numbers"]}
            atoms = sum(len(record["numbers"]) for record in chosen)
            voxels = sum(math.prod(record["shape"]) for record in chosen)
            superposition = 100 * np.mean([record["meta"]["nmae_sad"] for record in chosen])
            row = (kind, part, len(chosen), len(formulas), len(elements), atoms, voxels, f"{superposition:.1f} %")
            lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--again", type=Path, metavar="DIR")
    parser.add_argument("--extend", action="store_true")
    parser.add_argument("--drop", nargs="+", default=[], metavar="KEY")
    parser.add_argument("-o", "--out", type=Path, default=BUNDLE, help="folder of the bundle")
    options = parser.parse_args(arguments)
    folders = {kind: getattr(options, kind) for kind in KINDS}
    whole = all(folders.values()) and not options.extend
    if [whole, options.again is not None, options.extend].count(True) != 1 or (options.drop and not options.extend):
        parser.error("give --crystals, --molecules and --liquids, or --again, or --extend (with --drop)")
    if options.extend and folders["molecules"]:
        parser.error("--extend adds crystals and liquids; molecules stand in the demo set")
    try:
        if options.extend:
            records = extend(folders, options.drop, options.out)
        elif options.again is not None:
            records = build_again(options.again, options.out)
        else:
            records = build(folders, options.out)
    except ValueError as error:
        parser.error(str(error))
    print(report(records))
    packed = [record for record in records if "from" not in record]
    size = sum(path.stat().st_size for path in options.out.iterdir())
    worst = max(record[name]["error"] for record in packed for name in VALUES if record.get(name))
    print(f"{len(records)} entries, {len(packed)} of them packed here in {size / 1e6:.2f} MB")
    print(f"rounding changes a density by at most {100 * worst:.4f} % ε_mae")
    return 0


if __name__ == "__main__":
    sys.exit(main())
