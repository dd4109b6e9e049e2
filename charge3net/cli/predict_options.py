"""What ``charge3net predict`` takes, in groups as ``--help`` shows them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from charge3net.cli.parts import part
from charge3net.io.formats import DENSITY_FORMATS

if TYPE_CHECKING:
    from charge3net.predict.electrons import Electrons


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of the command."""
    parser.add_argument(
        "structures",
        nargs="+",
        type=Path,
        metavar="STRUCTURE",
        help="POSCAR, CIF, xyz, cube, CHGCAR, …, or a quoted pattern; of a file with several frames every frame",
    )
    parser.add_argument(
        "-m",
        "--model",
        help="run folder, checkpoint folder, released weight file, or a name that `charge3net models` lists; "
        "by default the shipped model that covers the elements",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    _output_arguments(parser)
    _grid_arguments(parser)
    _start_arguments(parser)
    _trust_arguments(parser)
    _many_arguments(parser)
    _machine_arguments(parser)


def _output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        required=True,
        help="file (CHGCAR, rho.cube, rho.npz, also .gz .xz .bz2 .lz4); for many structures a folder or a pattern with "
        "{stem}, {formula}, {index}",
    )
    group.add_argument(
        "--format",
        choices=DENSITY_FORMATS,
        help="when the name of the output does not say; qe and abinit write the start of a run, from the input of pw.x "
        "or a _DEN file of ABINIT",
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _grid_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("grid", "one of")
    grid = group.add_mutually_exclusive_group()
    grid.add_argument(
        "--spacing", type=float, metavar="Å", help="largest distance of neighbouring voxels (default 0.1)"
    )
    grid.add_argument("--shape", type=int, nargs=3, metavar=("NX", "NY", "NZ"), help="number of voxels")
    grid.add_argument("--encut", type=float, metavar="eV", help="VASP's fine grid for this cutoff, PREC = Accurate")
    grid.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        help="the grid of this CHGCAR, cube or npz; its augmentation charges too; for qe the plane waves of this run; "
        "of an INCAR or OUTCAR the grid of the CHGCAR of its run",
    )


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("electrons, and the start of a VASP run")
    group.add_argument(
        "--electrons",
        type=_electrons,
        metavar="N",
        help="scale the total density to N electrons; valence: add λ√ρ such that it holds the neutral structure's "
        "valence, where the model knows it (the shipped model does so unless told otherwise); none: leave it as it is",
    )
    group.add_argument(
        "--potcar",
        type=Path,
        metavar="FILE",
        help="POTCAR, POTCAR.spec or vasprun.xml: check and set the number of electrons by its valences",
    )
    group.add_argument(
        "--augmentation-from",
        type=Path,
        metavar="CHGCAR",
        help="its augmentation charges: as they stand if of this structure, else (with --potcar) averages per element",
    )


def _trust_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("uncertainty and checks")
    group.add_argument(
        "--uncertainty",
        metavar="FILE",
        help="also write the standard deviation between the members of an ensemble; a pattern as for --output",
    )
    group.add_argument(
        "--max-error",
        type=_positive,
        metavar="PERCENT",
        help="do not write predictions whose expected ε_mae is above this; needs a model with a calibrated ensemble",
    )
    group.add_argument("--strict-elements", action="store_true", help="refuse elements the model was not trained on")
    group.add_argument(
        "--unchecked",
        action="store_true",
        help="also predict two atoms of one element within 0.1 Å (asked about, or refused), and write a "
        "density whose number of electrons cannot be that of the atoms",
    )


def _many_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("many structures")
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out structures whose file is there, made by the same model with the same settings",
    )
    group.add_argument(
        "--part", type=part, metavar="K/N", help="only the K-th of N equal shares of the structures, e.g. of one job"
    )
    group.add_argument(
        "--slurm", type=int, metavar="N", help="share the structures among N jobs of Slurm, and wait for them"
    )
    group.add_argument(
        "--job",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of a job: partition=gpu, account=…, gpus_per_node=1, cpus_per_task=8, mem_gb=16, timeout_min=600, …",
    )


def _machine_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computer")
    group.add_argument("--device", help="cpu, cuda, cuda:1, …; by default a GPU if there is one")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads; by default as many as there are cores")
    group.add_argument("--profile", action="store_true", help="print where the time goes")
    group.add_argument("--no-symmetry", action="store_true", help="evaluate every voxel, also symmetric ones")
    group.add_argument("--no-kernels", action="store_true", help="plain torch path, without compiled kernels")


def _electrons(text: str) -> Electrons:
    """What ``--electrons`` takes.

    Raises:
        ArgumentTypeError: if it is something else.
    """
    if text in ("valence", "none"):
        return text  # type: ignore[return-value]
    try:
        return _positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"a positive number, valence or none, not {text!r}") from None


def _positive(text: str) -> float:
    """A positive, finite number.

    Raises:
        ArgumentTypeError: if it is something else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a positive number, not {text!r}")
    return value
