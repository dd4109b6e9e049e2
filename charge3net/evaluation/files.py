"""The files of an evaluation: a log to resume from, tables, a summary; writing and reading.

In the folder: ``materials.jsonl`` (everything, one material a line), ``evaluation.csv`` (per material),
``elements.csv``, ``evaluation.json`` (summary and facts). docs/evaluation.md lists the columns.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charge3net.analysis.metrics import ErrorSums
from charge3net.errors import InputError
from charge3net.evaluation.expectations import COLUMNS as EXPECTED
from charge3net.evaluation.expectations import Expectation
from charge3net.evaluation.materials import Evaluation, MaterialErrors
from charge3net.io.files import write_whole

LOG, TABLE, ELEMENTS, SUMMARY = "materials.jsonl", "evaluation.csv", "elements.csv", "evaluation.json"

#: Version of these files.
FORMAT_VERSION = 1

COLUMNS = (
    "key",
    "formula",
    "atoms",
    "voxels",
    "nmae_percent",
    "baseline_nmae_percent",
    "electron_error",
    "rmse",
    "max_error",
    "magnetisation_nmae_percent",
    "unsigned_magnetisation_nmae_percent",
    "zeta",
    "seconds",
    *EXPECTED,
)


class EvaluationLog:
    """``materials.jsonl``: the finished materials, so that an interrupted evaluation can be resumed.

    The first line identifies model, store and settings; a folder with another evaluation is refused, and an incomplete
    last line is dropped.

    Args:
        folder: made if it does not exist.
        subject: plain JSON values on which the numbers depend (weights, store, with ζ or without).

    Raises:
        InputError: if the folder holds an evaluation of something else.
    """

    def __init__(self, folder: str | Path, subject: Mapping[str, Any]) -> None:
        self.path = Path(folder) / LOG
        self._head = json.dumps({"format_version": FORMAT_VERSION, **subject}, sort_keys=True, ensure_ascii=False)
        self.finished: dict[str, MaterialErrors] = {}
        lines = self._whole_lines()
        if lines and lines[0] != self._head:
            raise InputError(
                f"{folder} holds an evaluation of another model, store or setting; choose another -o or remove it"
            )
        for line in lines[1:]:
            material = _material(json.loads(line))
            self.finished[material.key] = material
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "\n".join(lines or [self._head]) + "\n")

    def append(self, material: MaterialErrors) -> None:
        """Add a material; it is on disk when this returns."""
        self.finished[material.key] = material
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(material), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Write ``evaluation.csv``, ``elements.csv`` and ``evaluation.json``, each completely or not at all."""
    from ase.data import chemical_symbols

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TABLE, _csv(COLUMNS, [_row(m) for m in evaluation.materials]))
    rows = []
    for z, errors in evaluation.by_element().items():
        rows.append(
            {
                "element": chemical_symbols[z],
                "materials": errors.nmae.count,
                "voxels": errors.pooled.voxels,
                "nmae_percent": errors.pooled.nmae,
                "mean_nmae_percent": errors.nmae.mean,
                "standard_error": errors.nmae.standard_error,
                "baseline_nmae_percent": None if errors.baseline is None else errors.baseline.nmae,
            }
        )
    if rows:
        write_table(folder / ELEMENTS, rows)
    content = {
        "format_version": FORMAT_VERSION,
        **evaluation.facts,
        "summary": evaluation.summary(),
        "failed": evaluation.failed,
    }
    write_whole(folder / SUMMARY, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as comma-separated values."""
    write_whole(path, _csv(tuple(rows[0]), rows))


def read_evaluation(folder: str | Path) -> Evaluation:
    """Read an evaluation written by :func:`write_evaluation` and the log.

    Raises:
        InputError: if the folder holds no finished evaluation, or one of another version.
    """
    folder = Path(folder)
    try:
        facts = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()[1:]
    except OSError as error:
        raise InputError(f"{folder} holds no finished evaluation; make one with `charge3net evaluate`") from error
    except ValueError as error:
        raise InputError(f"{folder / SUMMARY} is damaged ({error}); evaluate again") from error
    if facts.pop("format_version", None) != FORMAT_VERSION:
        raise InputError(f"{folder / SUMMARY} has another format than version {FORMAT_VERSION}; evaluate again")
    facts.pop("summary")
    found = {m.key: m for m in map(_material, map(json.loads, lines))}
    keys = facts.get("keys", list(found))
    return Evaluation(tuple(found[k] for k in keys if k in found), facts.pop("failed"), facts)


def _row(material: MaterialErrors) -> dict[str, Any]:
    total = material.total
    return {
        "key": material.key,
        "formula": material.formula,
        "atoms": material.atoms,
        "voxels": total.voxels,
        "nmae_percent": total.nmae,
        "baseline_nmae_percent": None if material.baseline is None else material.baseline.nmae,
        "electron_error": total.electron_error(material.voxel_volume),
        "rmse": total.rmse,
        "max_error": total.largest,
        "magnetisation_nmae_percent": None if material.spin is None else material.spin.nmae,
        "unsigned_magnetisation_nmae_percent": (
            None if material.unsigned_spin is None else material.unsigned_spin.nmae
        ),
        "zeta": material.zeta,
        "seconds": material.seconds,
        **material.expectation.row(),
    }


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Comma-separated; numbers with 7 digits; None and NaN are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _material(record: dict[str, Any]) -> MaterialErrors:
    """A material from a line of the log."""
    for name in ("total", "baseline", "spin", "unsigned_spin"):
        record[name] = None if record.get(name) is None else ErrorSums(**record[name])
    for name in ("elements", "baseline_elements"):
        record[name] = {int(z): ErrorSums(**sums) for z, sums in record[name].items()}
    said = record.get("expectation", {})
    record["expectation"] = Expectation(**{**said, "flags": tuple(said.get("flags", ()))})
    record["parity"] = {int(i): n for i, n in record["parity"].items()}
    return MaterialErrors(**record)
