"""Draw densities, training runs and evaluations; the file name determines the format (png, svg or pdf).

charge3net plot slice CHGCAR predicted.cube -o slice.png
charge3net plot isosurface CHGCAR predicted.cube --level 0.5 -o surface.png
charge3net plot curves runs/* -o curves.pdf
charge3net plot errors evaluation/* -o errors.svg
charge3net plot expected evaluation/delta-gpaw-pbe -o expected.svg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from charge3net.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charge3net.density import Density


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net plot``."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    _add_slice(kinds.add_parser("slice", help="one density on a plane, or two and their difference"))
    surface = kinds.add_parser("isosurface", help="isosurfaces side by side, coloured by the difference from the first")
    surface.add_argument("densities", nargs="+", metavar="FILE", help="CHGCAR, cube or npz; the first is the reference")
    surface.add_argument(
        "--level", type=float, metavar="RHO", help="e/Å³; by default the surface that encloses 80 %% of the electrons"
    )
    curves = kinds.add_parser("curves", help="validation error against training step")
    curves.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders of runs")
    errors = kinds.add_parser("errors", help="error of each material for several models")
    errors.add_argument("evaluations", nargs="+", metavar="DIR", help="folders written by `charge3net evaluate`")
    expected = kinds.add_parser("expected", help="true errors against those that the model expected of itself")
    expected.add_argument("evaluation", metavar="DIR", help="folder written by `charge3net evaluate`")
    for kind in kinds.choices.values():
        kind.add_argument("-o", "--output", required=True, metavar="FIGURE", help="name ending in .png, .svg or .pdf")


def _add_slice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "densities", nargs="+", metavar="FILE", help="one or two CHGCAR, cube or npz files: reference, prediction"
    )
    parser.add_argument(
        "--atoms", type=int, nargs=3, metavar="I", help="three atoms that define the plane, counted from 0"
    )
    parser.add_argument(
        "--size",
        type=float,
        metavar="Å",
        help="side of the window (default: 7, or what the molecule of the atoms needs)",
    )


def run(args: argparse.Namespace) -> int:
    """Draw and save one figure."""
    from charge3net.plot.style import check_figure_name, save_figure

    check_figure_name(args.output)
    draw = {"slice": _slice, "isosurface": _isosurface, "curves": _curves, "errors": _errors, "expected": _expected}[
        args.kind
    ]
    print(save_figure(draw(args), args.output))
    return 0


def _slice(args: argparse.Namespace) -> Figure:
    from charge3net.plot import Plane, density_slice

    if len(args.densities) > 2:
        raise InputError(f"a slice takes one or two densities, found {len(args.densities)}")
    densities = read_densities(args.densities, "plot")
    geometry = densities[0].geometry
    plane = (
        Plane.through_most_atoms(geometry, 7.0 if args.size is None else args.size)
        if args.atoms is None
        else Plane.through_atoms(geometry, args.atoms, args.size)
    )
    names = [*_titles(args.densities), ""]
    return density_slice(densities[0], densities[1] if len(densities) == 2 else None, plane, (names[0], names[1]))


def _isosurface(args: argparse.Namespace) -> Figure:
    from charge3net.plot import isosurfaces

    return isosurfaces(read_densities(args.densities, "plot"), _titles(args.densities), args.level)


def _curves(args: argparse.Namespace) -> Figure:
    from charge3net.plot import Curve, learning_curves
    from charge3net.train.runs import expand_models, read_runs

    runs = read_runs(expand_models(args.runs))
    return learning_curves([Curve(run.name, *run.validation_curve()) for run in runs])


def _errors(args: argparse.Namespace) -> Figure:
    from charge3net.evaluation.comparison import comparison_figure
    from charge3net.evaluation.files import read_evaluation

    folders = [path for path in args.evaluations if not Path(path).is_file()]  # evaluation/* has tables as well
    evaluations = [read_evaluation(folder) for folder in folders or args.evaluations]
    if len({evaluation.facts["name"] for evaluation in evaluations}) < len(evaluations):
        raise InputError("two of these evaluations have the same name; evaluate both models in one command")
    return comparison_figure(evaluations)


def _expected(args: argparse.Namespace) -> Figure:
    from charge3net.evaluation.comparison import expected_figure
    from charge3net.evaluation.files import read_evaluation

    return expected_figure(read_evaluation(args.evaluation))


def read_densities(paths: list[str], command: str) -> list[Density]:
    """The densities; a word on standard error about each that looks like another field."""
    from charge3net.io import read_density
    from charge3net.io.plausible import what_looks_wrong

    densities = [read_density(path) for path in paths]
    for path, density in zip(paths, densities, strict=True):
        if wrong := what_looks_wrong(density):
            print(f"charge3net {command}: warning: {path}: {wrong}", file=sys.stderr)
    return densities


def _titles(paths: list[str]) -> list[str]:
    """File names, with their folders if two names are equal."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
