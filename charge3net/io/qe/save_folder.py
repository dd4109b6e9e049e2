"""The folder that pw.x leaves behind (``PREFIX.save``): density, structure, energy and pseudopotentials of a run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.gvectors import grid_values, reciprocal_vectors
from charge3net.io.qe.pseudopotential import one_per_element, read_pseudopotential
from charge3net.units import BOHR, E_PER_BOHR3, HARTREE

SCHEMA = "data-file-schema.xml"
CHARGE_DENSITIES = ("charge-density.dat", "charge-density.hdf5")


def find_charge_density(path: str | Path) -> Path:
    """The charge-density file of a save folder, or the file itself.

    Raises:
        InputError: if there is none.
    """
    path = Path(path)
    if path.name in CHARGE_DENSITIES and path.is_file():
        return path
    for name in CHARGE_DENSITIES:
        if (path / name).is_file():
            return path / name
    raise InputError(f"{path}: holds no {' or '.join(CHARGE_DENSITIES)}; give the folder PREFIX.save of a run of pw.x")


def read_save_folder(path: str | Path) -> Density:
    """The density of a run of pw.x on its FFT grid, in e/Å³, with its structure.

    The provenance has the number of electrons, the total energy (eV), whether the run converged, the cutoffs (eV), and
    what is known of the pseudopotentials (of those that pw.x copied into the folder).

    Args:
        path: the folder ``PREFIX.save``, or the charge-density file in it.

    Raises:
        InputError: if the folder lacks the density or its description, or they do not belong together.
    """
    file = find_charge_density(path)
    folder = file.parent
    root = _schema(folder)
    geometry, grid = _structure(root, folder)
    waves = read_charge_density(file)
    expected = 2 * np.pi * reciprocal_vectors(geometry.cell / BOHR)
    if np.abs(waves.reciprocal - expected).max() > 1e-5:
        raise InputError(f"{file}: belongs to another cell than {SCHEMA} in the same folder")
    with np.errstate(over="ignore", invalid="ignore"):
        values = grid_values(waves.values, waves.miller, grid.shape) * E_PER_BOHR3
    if not np.isfinite(values).all():
        raise InputError(f"{file}: its coefficients are so large that the density is not finite")
    return Density(geometry, grid, values, provenance={"file": str(folder), "format": "qe", **_about(root, folder)})


def read_save_grid(path: str | Path) -> Grid:
    """The FFT grid of a save folder; its density is not read. Errors as in :func:`read_save_folder`."""
    folder = find_charge_density(path).parent
    return _structure(_schema(folder), folder)[1]


def read_save_geometry(path: str | Path) -> Geometry:
    """The structure of a save folder. Errors as in :func:`read_save_folder`."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return _structure(_schema(folder), folder)[0]


def _schema(folder: Path) -> ET.Element:
    """The part of the description that says what pw.x did."""
    path = folder / SCHEMA
    try:
        output = ET.parse(path).getroot().find("output")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); it describes the density") from None
    except ET.ParseError as error:
        raise InputError(f"{path}: is cut short or no XML ({error})") from None
    if output is None:
        raise InputError(f"{path}: has no part <output>: the run did not end")
    return output


def _structure(root: ET.Element, folder: Path) -> tuple[Geometry, Grid]:
    from ase.data import atomic_numbers
    from ase.io.espresso import label_to_symbol

    try:
        cell = np.array([_floats(root, f"atomic_structure/cell/a{i}") for i in (1, 2, 3)]) * BOHR
        atoms = root.findall("atomic_structure/atomic_positions/atom")
        positions = np.array([[float(word) for word in (atom.text or "").split()] for atom in atoms]) * BOHR
        numbers = np.array([atomic_numbers[label_to_symbol(atom.attrib["name"])] for atom in atoms])
        mesh = _find(root, "basis_set/fft_grid").attrib
        shape = (int(mesh["nr1"]), int(mesh["nr2"]), int(mesh["nr3"]))
        return Geometry(numbers, positions, cell, np.ones(3, dtype=bool)), Grid(cell, shape)
    except (KeyError, ValueError, InputError) as error:
        raise InputError(f"{folder / SCHEMA}: the structure cannot be read ({error})") from None


def _about(root: ET.Element, folder: Path) -> dict[str, Any]:
    """What is worth keeping of the run."""
    from ase.io.espresso import label_to_symbol

    energy = root.findtext("total_energy/etot")
    converged = root.findtext("convergence_info/scf_conv/convergence_achieved")
    electrons = root.findtext("band_structure/nelec")
    potentials: list[tuple[str, dict[str, Any]]] = []
    for species in root.findall("atomic_species/species"):
        file = (species.findtext("pseudo_file") or "").strip()
        name = species.attrib.get("name", "").strip()
        try:
            found = read_pseudopotential(folder / file)
        except InputError:
            potentials.append((label_to_symbol(name), {"file": file}))
        else:
            potentials.append((found.element, found.record()))
    return {
        "code": "Quantum ESPRESSO",
        "electrons_expected": None if electrons is None else float(electrons),
        "energy": None if energy is None else float(energy) * HARTREE,
        "converged": None if converged is None else converged.strip() == "true",
        "ecutwfc": _floats(root, "basis_set/ecutwfc")[0] * HARTREE,
        "ecutrho": _floats(root, "basis_set/ecutrho")[0] * HARTREE,
        "functional": (root.findtext("dft/functional") or "").strip(),
        "potentials": one_per_element(potentials),
    }


def _find(root: ET.Element, path: str) -> ET.Element:
    found = root.find(path)
    if found is None:
        raise KeyError(f"no {path}")
    return found


def _floats(root: ET.Element, path: str) -> list[float]:
    return [float(word) for word in (_find(root, path).text or "").split()]
