"""``charge3net predict`` for VASP: valence and grid from its files, augmentation charges of other calculations."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from charge3net.errors import InputError
from charge3net.io.augmentation import augmentation_of
from charge3net.io.vasp import (
    read_vasp_grid,
    read_vasp_potentials,
    same_structure,
    spherical_augmentation,
    valence_electrons,
)

if TYPE_CHECKING:
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.io.vasp import VaspPotential
    from charge3net.predict.electrons import Electrons

NO_RESTART = (
    "no augmentation charges: to VASP such a CHGCAR is no restart, it starts from wavefunctions; "
    "--augmentation-from gives some (docs/restart.md)"
)
NOT_AT_FIXED_DENSITY = (
    "good for ICHARG = 1; with ICHARG = 11 they would stay, and the bands would be those of a mixture"
)


def potentials_of(args: argparse.Namespace) -> dict[str, VaspPotential] | None:
    """What ``--potcar`` names."""
    return None if args.potcar is None else read_vasp_potentials(args.potcar)


def electrons_of(
    args: argparse.Namespace, geometry: Geometry, potentials: Mapping[str, VaspPotential] | None
) -> Electrons:
    """``--electrons``, or the valence by ``--potcar``."""
    if args.electrons is not None or potentials is None:
        return args.electrons
    return valence_electrons(geometry, potentials)


def grid_of(
    args: argparse.Namespace, geometry: Geometry, potentials: Mapping[str, VaspPotential] | None
) -> Grid | None:
    """The grid of the INCAR or OUTCAR that ``--like`` names; None where it names a density."""
    if not is_vasp_settings(args):
        return None
    return read_vasp_grid(args.like, np.asarray(geometry.cell), potentials)


def is_vasp_settings(args: argparse.Namespace) -> bool:
    """Whether ``--like`` names an INCAR or OUTCAR."""
    return args.like is not None and any(word in args.like.name.upper() for word in ("INCAR", "OUTCAR"))


def augmented(
    density: Density, donor: Density, potentials: Mapping[str, VaspPotential] | None, required: bool
) -> tuple[Density, list[str]]:
    """The density with augmentation charges of another calculation, and what the user should know.

    Of the same structure they are taken as they stand. Of another one only spherical averages per element are, since
    the rest rotates with the surroundings of each atom; these need the channels of the POTCAR.

    Raises:
        InputError: if they do not fit and ``required``; else none are taken, and the lines say why.
    """
    name = donor.provenance.get("file", "the file")
    channels = len(density.values)
    if same_structure(density.geometry, donor.geometry):
        texts = augmentation_of(donor, channels)
        if texts:
            return replace(density, augmentation=texts), [f"augmentation charges copied: {NOT_AT_FIXED_DENSITY}"]
        problem = f"{name} holds no augmentation charges for the magnetisation"
    elif potentials is None:
        problem = (
            f"the augmentation charges of {name} belong to other atoms, another order of them, or another structure, "
            "and rotate with the surroundings"
        )
    else:
        try:
            texts = spherical_augmentation(donor, density.geometry, potentials, channels)
        except InputError as error:
            problem = str(error)
        else:
            line = f"augmentation charges: spherical averages per element of {name}; {NOT_AT_FIXED_DENSITY}"
            return replace(density, augmentation=texts), [line]
    if required:
        raise InputError(f"{problem}; give a CHGCAR of this structure, or --potcar for averages over each element")
    return density, [f"{problem}: none are written"]
