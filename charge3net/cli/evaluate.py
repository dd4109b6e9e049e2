"""Errors of one or more models on every voxel of stored densities.

  charge3net evaluate --model runs/demo --data store --split split.json -o evaluation

writes evaluation.csv (per material), elements.csv, evaluation.json and figures, and prints a table.
An interrupted evaluation is resumed by the same command.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Materials with expected errors that are printed; all are in the table on disk.
SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net evaluate``."""
    parser.add_argument(
        "--model",
        nargs="+",
        required=True,
        metavar="M",
        help="run folders, checkpoint folders, released weights, or names that `charge3net models` lists",
    )
    parser.add_argument("--data", required=True, metavar="STORE", help="folder made by `charge3net data build`")
    parser.add_argument("--split", metavar="FILE", help="split file; without it every material is evaluated")
    parser.add_argument("--part", default="test", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="where to write; one folder per model if there are several"
    )
    parser.add_argument(
        "--zeta", action="store_true", help="also compute the angular variation ζ of the true densities"
    )
    parser.add_argument("--device", help="cpu, cuda, …; default: a GPU if there is one")
    parser.add_argument("--no-figures", action="store_true", help="tables only; matplotlib is not needed then")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, print; 1 if some material could not be predicted."""
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet, evaluate_checkpoint
    from charge3net.train.runs import expand_models, unique_names

    test = TestSet.of(Store(args.data), read_split(args.split) if args.split else None, args.part)
    models = expand_models(args.model)
    names = unique_names(models)
    folders = [Path(args.output) / name for name in names] if len(names) > 1 else [Path(args.output)]
    evaluations = []
    for model, name, folder in zip(models, names, folders, strict=True):
        with warnings.catch_warnings(record=True) as caught:
            evaluation = evaluate_checkpoint(
                model,
                test,
                folder,
                angular=args.zeta,
                device=args.device,
                figures=not args.no_figures,
                name=name if len(names) > 1 else None,
            )
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            print(f"{name}: warning: {message}", file=sys.stderr)
        for key, reason in evaluation.failed.items():
            print(f"{key}: not evaluated: {reason}", file=sys.stderr)
        evaluations.append(evaluation)
    _report(evaluations, Path(args.output), figures=not args.no_figures)
    return 1 if any(e.failed for e in evaluations) else 0


def _report(evaluations: Sequence[Any], output: Path, figures: bool) -> None:
    from charge3net.evaluation.comparison import comparison_figure, comparison_rows
    from charge3net.evaluation.files import write_table

    rows = comparison_rows(evaluations)
    print(format_table(rows))
    if len(evaluations) > 1:
        write_table(output / "comparison.csv", rows)
        if figures:
            from charge3net.plot import save_figure

            save_figure(comparison_figure(evaluations), output / "comparison.png")
    else:
        print(format_elements(evaluations[0]))
        print(format_expected(evaluations[0]), end="")
    print(f"written to {output}")


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as text, best model first; SAD is the superposition of atomic densities."""
    several = len(rows) > 1
    head = ["model", "ε_mae (%)", "SAD (%)", "|Δ electrons|", "materials", "s/material"]
    table = [head + (["above the best, 95 % interval"] if several else [])]
    for row in rows:
        baseline, error = row["baseline_nmae_percent"], row["standard_error"]
        cells = [
            row["model"],
            f"{row['nmae_percent']:.3f}" + ("" if error != error else f" ± {error:.3f}"),
            "" if baseline != baseline else f"{baseline:.2f}",
            f"{row['absolute_electron_error']:.3g}",
            str(row["materials"]),
            f"{row['seconds_per_material']:.2f}",
        ]
        if several and row["difference"] is not None:
            cells.append(f"{row['difference']:+.3f}  ({row['difference_low']:+.3f} … {row['difference_high']:+.3f})")
        table.append(cells + [""] * (len(table[0]) - len(cells)))
    return _aligned(table)


def format_elements(evaluation: Any) -> str:
    """Errors by element as text."""
    from ase.data import chemical_symbols

    table = [["near", "ε_mae (%)", "SAD (%)", "materials"]]
    for z, errors in evaluation.by_element().items():
        baseline = "" if errors.baseline is None else f"{errors.baseline.nmae:.2f}"
        table.append([chemical_symbols[z], f"{errors.pooled.nmae:.3f}", baseline, str(errors.nmae.count)])
    return _aligned(table)


def format_expected(evaluation: Any) -> str:
    """Expected beside true errors as text, largest expected error first; empty if the model expects none."""
    from charge3net.evaluation.expectations import Honesty, expected_of

    told = sorted(expected_of(evaluation.materials), key=lambda pair: -pair[1][0])
    if not told:
        return ""
    table = [["material", "ε_mae (%)", "expected", "90 % interval", "group", "distance", "flags"]]
    for material, (expected, low, high) in told[:SHOWN]:
        said, outside = material.expectation, not low <= material.total.nmae <= high
        table.append(
            [
                material.key,
                f"{material.total.nmae:.3f}" + ("*" if outside else " "),
                f"{expected:.3f}",
                f"{low:.2f} … {high:.2f}",
                str(said.group),
                "" if said.distance is None else f"{said.distance:.2f}",
                str(len(said.flags) or ""),
            ]
        )
    more = f"and {len(told) - SHOWN} more in evaluation.csv, with the flags in words\n" if len(told) > SHOWN else ""
    return f"{_aligned(table)}{more}* outside the interval. {Honesty.of(evaluation.materials)}\n\n"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """Align the first column left and the others right, with a line under the head."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join(
        [lines[0].rstrip(), "  ".join("-" * w for w in widths), *(line.rstrip() for line in lines[1:]), ""]
    )
