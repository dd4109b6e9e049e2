"""The files from which pw.x starts with a given density (``startingpot = 'file'``)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Complex
from numpy import ndarray

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.io.qe.atoms import superposed_atoms
from charge3net.io.qe.charge_density import WaveDensity, read_charge_density, write_charge_density
from charge3net.io.qe.gvectors import PlaneWaves
from charge3net.io.qe.paw import format_paw, neutral_occupations
from charge3net.io.qe.pseudopotential import Pseudopotential, read_pseudopotential
from charge3net.io.qe.pw_input import PwInput
from charge3net.io.qe.save_folder import find_charge_density
from charge3net.units import E_PER_BOHR3

logger = logging.getLogger(__name__)

_META_GGA = ("TPSS", "SCAN", "TB09", "M06L", "MGGA", "META")


@dataclass(frozen=True)
class StartFiles:
    """What was written.

    Attributes:
        folder: ``PREFIX.save``.
        files: names of the files in it.
        waves: number of plane waves.
        electrons: of the density.
        scaled_by: factor between the density given and the one written.
        warnings: what the user should know.
    """

    folder: Path
    files: tuple[str, ...]
    waves: int
    electrons: float
    scaled_by: float
    warnings: tuple[str, ...]


def read_potentials(pw_input: PwInput) -> tuple[Pseudopotential, ...]:
    """The pseudopotentials of the species, from pseudo_dir, the folder of the input, or the current folder.

    pw.x takes a relative pseudo_dir from where it is started, which need not be where this is called.

    Raises:
        InputError: for a file that is not there, or cannot be read, or is of another element than its species.
    """
    found = []
    for species in pw_input.species:
        places = [
            pw_input.pseudo_dir / species.pseudopotential,
            pw_input.path.parent / pw_input.pseudo_dir / species.pseudopotential,
            pw_input.path.parent / species.pseudopotential,
        ]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise InputError(
                f"{pw_input.path}: the pseudopotential {species.pseudopotential} is not in {pw_input.pseudo_dir}; "
                "its valence is needed, so set pseudo_dir to its folder"
            )
        potential = read_pseudopotential(path)
        if potential.element != species.element:
            raise InputError(f"{path}: is of {potential.element}, where {pw_input.path} has {species.label}")
        found.append(potential)
    return tuple(found)


def valence_electrons(pw_input: PwInput, potentials: Sequence[Pseudopotential]) -> float:
    """Number of electrons of the run: the valences less tot_charge.

    Raises:
        InputError: if the charge leaves none.
    """
    electrons = sum(potentials[species].valence for species in pw_input.species_of_atom) - pw_input.charge
    if not electrons > 0:
        raise InputError(f"{pw_input.path}: tot_charge = {pw_input.charge:g} leaves {electrons:g} electrons")
    return electrons


def check_supported(pw_input: PwInput, potentials: Sequence[Pseudopotential]) -> None:
    """Refuse runs whose start needs more than a density.

    Raises:
        InputError: for DFT+U (occupations of its orbitals), meta-GGA functionals (density of kinetic energy), and PAW
            together with .gth files.
    """
    if pw_input.hubbard:
        raise InputError(
            f"{pw_input.path}: DFT+U also starts from occupations of its orbitals, which no model predicts"
        )
    functionals = {pw_input.functional} if pw_input.functional else {p.functional for p in potentials}
    for functional in functionals:
        if any(word in functional.upper().replace("-", "") for word in _META_GGA):
            raise InputError(
                f"{pw_input.path}: the meta-GGA functional {functional} also starts from a density of kinetic energy, "
                "which no model predicts"
            )
    kinds = {potential.kind for potential in potentials}
    if "PAW" in kinds and any(potential.file.lower().endswith(".gth") for potential in potentials):
        raise InputError(f"{pw_input.path}: PAW and .gth files in one run are not supported")


def waves_of(pw_input: PwInput, like: str | Path | None = None) -> PlaneWaves:
    """The plane waves of a run, from the input or, with ``like``, from the charge-density file of an earlier run.

    Raises:
        InputError: if the earlier run had another cell, another cutoff, or other k-points at Γ only.
    """
    waves = pw_input.plane_waves()
    if like is None:
        return waves
    file = find_charge_density(like)
    found = read_charge_density(file)
    if found.gamma_only != waves.gamma_only:
        raise InputError(f"{file}: only one of this run and {pw_input.path} has K_POINTS gamma")
    if np.abs(found.reciprocal - waves.reciprocal).max() > 1e-6:
        raise InputError(f"{file}: belongs to another cell than {pw_input.path}")
    if len(found.miller) != len(waves.miller):
        raise InputError(
            f"{file}: has {len(found.miller)} plane waves where {pw_input.path} needs {len(waves.miller)}; "
            "it belongs to another ecutrho"
        )
    return PlaneWaves(waves.cell, found.miller, waves.gamma_only, waves.shape)


def write_start(
    folder: str | Path,
    pw_input: PwInput,
    potentials: Sequence[Pseudopotential],
    density: Density,
    waves: PlaneWaves | None = None,
) -> StartFiles:
    """Write charge-density.dat (and .hdf5 where h5py is installed), and paw.txt of neutral atoms for PAW.

    The density is cut to the plane waves of the run and scaled to its electrons. In a run with spin, a density without
    it gets pw.x's own start of the magnetisation: starting_magnetization times the atoms of the UPF files.

    Args:
        folder: ``PREFIX.save``; made if it is not there. Other files in it stay.
        pw_input: the input of the run.
        potentials: of its species.
        density: of the input's structure, on any grid with the corner at the origin of the cell.
        waves: see :func:`waves_of`.

    Raises:
        InputError: for a density of another cell or with an origin, and runs that need more than a density.
    """
    check_supported(pw_input, potentials)
    folder, waves = Path(folder), waves or pw_input.plane_waves()
    if not np.allclose(density.grid.cell, pw_input.geometry.cell, rtol=0, atol=1e-5) or density.grid.origin.any():
        raise InputError(f"{folder}: the density is on a grid of another cell than {pw_input.path} has")
    found = waves.coefficients(density.values) / E_PER_BOHR3
    electrons = valence_electrons(pw_input, potentials)
    zero = int(np.flatnonzero((waves.miller == 0).all(axis=1))[0])
    held = float(found[0, zero].real) * abs(np.linalg.det(waves.cell))
    if not (np.isfinite(held) and held > 0):
        raise InputError(f"{folder}: the density holds {held:.4g} electrons; it must hold some")
    found[0] *= electrons / held
    channels, warnings = _spin(pw_input, potentials, found, waves)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror or error})") from None
    names = ["charge-density.dat", *(["charge-density.hdf5"] if find_spec("h5py") else [])]
    for name in names:
        write_charge_density(folder / name, WaveDensity.of(waves, channels))
    if any(potential.kind == "PAW" for potential in potentials):
        moments = [species.magnetization for species in pw_input.species] if pw_input.nspin == 2 else None
        write_whole(folder / "paw.txt", format_paw(neutral_occupations(potentials, pw_input.species_of_atom, moments)))
        names.append("paw.txt")
    return StartFiles(folder, tuple(names), len(waves.miller), electrons, float(electrons / held), tuple(warnings))


def _spin(
    pw_input: PwInput,
    potentials: Sequence[Pseudopotential],
    found: Complex[ndarray, "channels waves"],
    waves: PlaneWaves,
) -> tuple[Complex[ndarray, "spins waves"], list[str]]:
    """As many channels as the run has, and warnings."""
    if pw_input.nspin == 1:
        return found[:1], []
    if len(found) == 2:
        return found, []
    moments = [species.magnetization for species in pw_input.species]
    if not any(moments):
        return np.concatenate([found, np.zeros_like(found)]), [
            "the run has spin, the model predicts none, and starting_magnetization is not set: the magnetisation "
            "starts at zero and stays there by symmetry; set starting_magnetization"
        ]
    start = superposed_atoms(waves, potentials, pw_input.species_of_atom, pw_input.geometry.positions, moments)
    return np.stack([found[0], start]), [
        "the model predicts no magnetisation: it starts from starting_magnetization, as pw.x itself would"
    ]
