"""Work with density files of any format that is read: CHGCAR, AECCAR, cube, npz, PREFIX.save, *_DEN, pymatgen's JSON.

charge3net density show CHGCAR predicted.cube
charge3net density convert CHGCAR.gz -o rho.cube
charge3net density sum AECCAR0 AECCAR2 -o CHGCAR_sum
charge3net density subtract predicted.cube CHGCAR -o difference.cube
charge3net density split CHGCAR_spin --up up.cube --down down.cube
charge3net density resample CHGCAR --spacing 0.2 -o coarse.npz
charge3net density error predicted.cube CHGCAR
charge3net density bader CHGCAR
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from charge3net.errors import InputError

if TYPE_CHECKING:
    from charge3net.density import Density


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net density``."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    show = kinds.add_parser("show", help="one line about each file")
    show.add_argument("files", nargs="+", metavar="FILE")
    convert = kinds.add_parser("convert", help="write in another format, with the augmentation where both hold one")
    convert.add_argument("file", metavar="FILE")
    total = kinds.add_parser("sum", help="add densities on one grid, e.g. AECCAR0 and AECCAR2")
    total.add_argument("files", nargs="+", metavar="FILE")
    subtract = kinds.add_parser("subtract", help="the first minus the second, on one grid")
    subtract.add_argument("files", nargs=2, metavar="FILE")
    _add_split(kinds.add_parser("split", help="write the parts of a density with spin"))
    resample = kinds.add_parser("resample", help="to another grid of the same cell; the electrons stay")
    resample.add_argument("file", metavar="FILE")
    grid = resample.add_mutually_exclusive_group(required=True)
    grid.add_argument("--shape", type=int, nargs=3, metavar=("NX", "NY", "NZ"), help="number of voxels")
    grid.add_argument("--spacing", type=float, metavar="Å", help="largest distance of neighbouring voxels")
    grid.add_argument("--like", metavar="FILE", help="the grid of this file")
    error = kinds.add_parser("error", help="ε_mae of a density against a reference on the same grid")
    error.add_argument("files", nargs=2, metavar="FILE", help="density, reference")
    bader = kinds.add_parser("bader", help="Bader charges; says which cores it adds to find the volumes")
    bader.add_argument("file", metavar="FILE")
    bader.add_argument(
        "--valence", nargs="+", default=[], metavar="EL=N", help="electrons of an element that the density holds, O=6"
    )
    for name in ("convert", "sum", "subtract", "resample"):
        kinds.choices[name].add_argument("-o", "--output", required=True, metavar="FILE", help="what to write")
    for name in ("convert", "sum", "subtract", "split", "resample"):
        chosen = kinds.choices[name]
        chosen.add_argument("--format", choices=("chgcar", "cube", "npz"), help="when the output's name does not say")
        chosen.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--up", metavar="FILE", help="density of the spin-up electrons, (ρ + m)/2")
    parser.add_argument("--down", metavar="FILE", help="density of the spin-down electrons, (ρ − m)/2")
    parser.add_argument("--total", metavar="FILE", help="ρ alone")
    parser.add_argument("--magnetisation", metavar="FILE", help="m = up − down alone")


def run(args: argparse.Namespace) -> int:
    """Read, compute, write, and say what was written.

    Raises:
        InputError: for files that cannot be read or written, or do not fit together.
    """
    if args.kind == "show":
        from charge3net.cli.plot import read_densities

        for path in args.files:
            print(f"{path}: {read_densities([path], 'density')[0]!r}")
    elif args.kind == "error":
        first, second = map(_read, args.files)
        print(first.error(second))
    elif args.kind == "bader":
        print(_read(args.file).bader(_valence(args.valence) or None))
    elif args.kind == "split":
        _split(args)
    else:
        _check_outputs([args.output], args)
        _write({args.output: _computed(args)}, args)
    return 0


def _computed(args: argparse.Namespace) -> Density:
    if args.kind == "convert":
        return _read(args.file)
    if args.kind == "resample":
        return _resampled(_read(args.file), args)
    densities = [_read(path) for path in args.files]
    if any(density.augmentation for density in densities):
        print("the augmentation of the files is left out: it does not add up")
    if args.kind == "sum":
        if len(densities) < 2:
            raise InputError("a sum needs two files or more")
        found, sign = reduce(add, densities), " + "
    else:
        found, sign = densities[0] - densities[1], " - "
    title = sign.join(Path(path).name for path in args.files)
    return replace(found, provenance={"title": title, "files": [str(path) for path in args.files]})


def _resampled(density: Density, args: argparse.Namespace) -> Density:
    from charge3net.grid import Grid

    if args.like is not None:
        return density.resample(Grid.like(args.like))
    if args.spacing is not None:
        return density.resample(Grid.from_spacing(density.grid.cell, args.spacing).shape)
    return density.resample(args.shape)


def _split(args: argparse.Namespace) -> None:
    wanted = {name: getattr(args, name) for name in ("up", "down", "total", "magnetisation") if getattr(args, name)}
    if not wanted:
        raise InputError("nothing to write; give one of --up, --down, --total, --magnetisation with a file")
    _check_outputs(list(wanted.values()), args)
    density = _read(args.file)
    up, down = density.up(), density.down()
    parts = {"up": up, "down": down, "total": up + down, "magnetisation": up - down}
    made = {path: parts[name] for name, path in wanted.items()}
    titles = {path: f"{name} of {Path(args.file).name}" for name, path in wanted.items()}
    _write({path: replace(part, provenance={"title": titles[path]}) for path, part in made.items()}, args)


def _check_outputs(paths: list[str], args: argparse.Namespace) -> None:
    """Refuse, before anything is read, outputs that exist, agree, or have no known format."""
    from charge3net.io.formats import density_format

    if len(set(paths)) < len(paths):
        raise InputError(f"{paths[0]}: is named twice; give each part a file of its own")
    for path in paths:
        density_format(path, args.format)
        if Path(path).exists() and not args.overwrite:
            raise InputError(f"{path}: exists; give --overwrite or another output")
        if not Path(path).parent.is_dir():
            raise InputError(f"{path}: the folder {Path(path).parent} does not exist; make it first")


def _write(densities: Mapping[str, Density], args: argparse.Namespace) -> None:
    for path, density in densities.items():
        density.write(path, args.format)
        print(f"{path}: {density!r}")


def _read(path: str) -> Density:
    from charge3net.io import read_density

    return read_density(path)


def _valence(given: list[str]) -> dict[str, int]:
    found = {}
    for text in given:
        symbol, _, count = text.partition("=")
        if not count.isdigit():
            raise InputError(f"--valence takes ELEMENT=NUMBER, such as O=6; found {text!r}")
        found[symbol] = int(count)
    return found
