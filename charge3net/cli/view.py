"""Write an HTML page with isosurfaces, atoms, bonds and cell that can be turned; it needs no other file and no network.

charge3net view CHGCAR -o density.html
charge3net view CHGCAR_spin --spin -o spin.html
charge3net view predicted.cube CHGCAR --level 0.02 -o difference.html
"""

from __future__ import annotations

import argparse

from charge3net.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net view``."""
    parser.add_argument(
        "densities", nargs="+", metavar="FILE", help="a density; or two: the difference of the first from the second"
    )
    parser.add_argument(
        "--level", type=float, nargs="+", metavar="RHO", help="e/Å³: one or two; of spin and difference one, shown as ±"
    )
    parser.add_argument("--spin", action="store_true", help="the magnetisation instead of the density")
    parser.add_argument("--title", help="by default the formula")
    parser.add_argument("-o", "--output", required=True, metavar="PAGE", help="name ending in .html")


def run(args: argparse.Namespace) -> int:
    """Write the page and print its size.

    Raises:
        InputError: for files that cannot be read, levels without a surface, or a name that is not HTML's.
    """
    from charge3net.cli.plot import read_densities
    from charge3net.plot.view import density_view

    if len(args.densities) > 2:
        raise InputError(f"a view takes one or two densities, found {len(args.densities)}")
    densities = read_densities(args.densities, "view")
    view = density_view(
        densities[0],
        densities[1] if len(densities) == 2 else None,
        channel="magnetisation" if args.spin else "total",
        levels=args.level,
        title=args.title,
    )
    path = view.save(args.output)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
    return 0
