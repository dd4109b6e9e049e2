"""Write a self-contained HTML page about a set of training runs.

charge3net evaluate --model runs/* --data store --split split.json -o evaluation
charge3net report --runs runs --data store --split split.json --evaluation evaluation -o report.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from charge3net.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net report``."""
    parser.add_argument(
        "--runs", required=True, metavar="DIR", help="folder that contains the finished runs, at any depth"
    )
    parser.add_argument(
        "--data", required=True, metavar="STORE", help="the densities that the models were evaluated on"
    )
    parser.add_argument("--split", required=True, metavar="FILE", help="split file")
    parser.add_argument("--part", default="test", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument(
        "--evaluation", metavar="DIR", help="output of `charge3net evaluate`, at any depth (default: inside --runs)"
    )
    parser.add_argument("--title", default="Electron densities from equivariant networks", help="title of the page")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="default: report.html")


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from charge3net.data.splits import read_split
    from charge3net.data.store import Store
    from charge3net.evaluation.run import TestSet
    from charge3net.report import write_report

    if Path(args.output).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"a report is an HTML file; -o {args.output} must end in .html")
    test = TestSet.of(Store(args.data), read_split(args.split), args.part)
    print(write_report(args.runs, test, args.split, args.evaluation or args.runs, args.output, title=args.title))
    return 0
