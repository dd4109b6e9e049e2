"""``charge3net predict`` for codes that start from a prediction: Quantum ESPRESSO and ABINIT."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.io.formats import CHARGE_DENSITIES, density_format, structure_format

if TYPE_CHECKING:
    from charge3net.cli.targets import Target
    from charge3net.density import Density

#: A prediction whose number of electrons is off by more, relative to the valence, is refused or warned about.
REFUSED, DOUBTFUL = 0.1, 0.02

#: Formats that are the start of a run.
STARTS = ("qe", "abinit")

_GRIDS = ("spacing", "shape", "encut", "electrons", "augmentation_from", "potcar")


@dataclass(frozen=True)
class Start:
    """What a run needs and how it is written.

    Attributes:
        shape: of the code's grid.
        electrons: of the run.
        potentials: element → what is known of its pseudopotential.
        write: writes the density; returns lines for the user and warnings.
    """

    shape: tuple[int, int, int]
    electrons: float
    potentials: Mapping[str, Mapping[str, Any]]
    write: Callable[[Density], tuple[list[str], list[str]]]


def prepare_start(target: Target, args: argparse.Namespace) -> Start | None:
    """The start of the run that a target describes; None for formats that are only densities.

    Raises:
        InputError: if the target's file describes no run, or options do not go with one.
    """
    kind = density_format(target.output, args.format)
    if kind not in STARTS:
        return None
    options = _GRIDS if kind == "qe" else (*_GRIDS, "like")
    wrong = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name) is not None]
    if wrong:
        raise InputError(f"{', '.join(wrong)} cannot be given here: grid and number of electrons are those of the run")
    return _espresso(target, args.like) if kind == "qe" else _abinit(target)


def check_electrons(found: float, expected: float, source: str) -> list[str]:
    """Warnings about a prediction that holds another number of electrons than the run.

    Raises:
        InputError: if the numbers have nothing to do with each other.
    """
    deviation = abs(found - expected) / expected
    if deviation > REFUSED:
        raise InputError(
            f"{source}: the model predicts {found:.2f} electrons where the pseudopotentials of this run have "
            f"{expected:g}: it was trained with pseudopotentials of another kind, or is not good enough"
        )
    if deviation > DOUBTFUL:
        return [f"the model predicts {found:.2f} electrons where the run has {expected:g}; it is scaled"]
    return []


def espresso_folder(target: Target, output: str) -> Path:
    """``PREFIX.save`` of an input of pw.x: the output itself if it ends so, or its folder if it is the file in it, else
    in the folder ``output``.

    Raises:
        InputError: if the target is no input of pw.x, or the output is a file that pw.x would not find.
    """
    from charge3net.io.qe.pw_input import read_pw_input

    folder = Path(output)
    if folder.name in CHARGE_DENSITIES:
        folder = folder.parent
        if folder.suffix != ".save":
            raise InputError(f"{output}: pw.x reads it from the folder PREFIX.save; give that folder as output")
    return folder if folder.suffix == ".save" else folder / f"{read_pw_input(target.source).prefix}.save"


def _espresso(target: Target, like: Path | None) -> Start:
    from charge3net.io.qe.pseudopotential import one_per_element
    from charge3net.io.qe.pw_input import read_pw_input
    from charge3net.io.qe.start import check_supported, read_potentials, valence_electrons, waves_of, write_start

    pw_input = read_pw_input(target.source)
    potentials = read_potentials(pw_input)
    check_supported(pw_input, potentials)
    records = one_per_element((potential.element, potential.record()) for potential in potentials)
    waves, folder = waves_of(pw_input, like), target.output.parent

    def write(density: Density) -> tuple[list[str], list[str]]:
        written = write_start(folder, pw_input, potentials, density, waves)
        paw = "paw.txt" in written.files
        lines = [
            f"{len(waves.miller)} plane waves, scaled by {written.scaled_by:.6f}; {', '.join(written.files)}",
            "in the input of pw.x:",
            f"  &CONTROL    prefix = '{folder.name.removesuffix('.save')}', outdir = '{folder.parent}'",
            "  &ELECTRONS  startingpot = 'file', diago_thr_init = 1d-5, diago_david_ndim = 4"
            + (", mixing_ndim = 2" if paw else ""),
            'its output must say "The initial density is read from file"; without that line it started from atoms',
        ]
        if paw:
            lines.append("PAW: the occupations in paw.txt are those of neutral atoms; docs/restart.md has better ones")
        return lines, list(written.warnings)

    return Start(waves.shape, valence_electrons(pw_input, potentials), records, write)


def _abinit(target: Target) -> Start:
    from charge3net.io.abinit import read_abinit_head, write_abinit
    from charge3net.io.files import open_source

    if structure_format(target.source) != "abinit":
        raise InputError(
            f"{target.source}: a start for ABINIT is made from a *_DEN file of the same input, "
            "e.g. of a run with nstep 1"
        )
    with open_source(target.source) as source:
        head = read_abinit_head(source)
    if head.paw:
        raise InputError(f"{target.source}: PAW runs of ABINIT also start from occupations, which no model predicts")

    def write(density: Density) -> tuple[list[str], list[str]]:
        factor = write_abinit(target.output, target.source, density)
        spin = head.components == 2 and density.spin is None
        return [
            f"scaled by {factor:.6f}",
            "in the input of ABINIT, wavefunctions first at this density, then the run:",
            f'  ndtset 2  getden_filepath "{target.output}"  iscf1 -2 tolwfr1 1e-7 nstep1 50  getwfk2 1',
        ], ["the run has spin and the model predicts none: it starts unpolarised"] if spin else []

    return Start(head.grid.shape, head.electrons, head.potentials, write)
