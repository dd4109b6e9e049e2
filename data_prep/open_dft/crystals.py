"""Crystals of few atoms: AFLOW prototypes and magnetic 3d oxides, with other elements, strained and rattled.

The prototypes are the ones that pymatgen bundles (Mehl et al., Comput. Mater. Sci. 136, S1, 2017), reduced to their
primitive cells. An element may give its place to another of its family; the volume then follows
pymatgen's reference lattice scaling with atomic radii.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from numpy import ndarray
from pymatgen.core import Element, Lattice, Structure

MOST_ATOMS = 8
SWAPS = 3  # substitutions of each prototype
DISTORTED = 32  # compositions of which there are many distorted copies
STRAIN = 0.015  # standard deviation of the components of the strain tensor
RATTLE = 0.06  # Å, standard deviation of every atom along each axis
LEAST_VOLUME = 4.0  # Å³ per atom; only atoms pressed into each other have less
CLOSEST = 0.66  # smallest distance of two atoms, in sums of their atomic radii
KPTS_DENSITY = 2.0  # Å, k-points per Å⁻¹
KPTS_DENSITY_METAL = 3.0  # the same where all elements are metals
FAMILIES = """Li Na K Rb Cs|Be Mg Ca Sr Ba|Sc Y La|Ti Zr Hf|V Nb Ta|Cr Mo W|Mn Re|Fe Ru Os|Co Rh Ir|Ni Pd Pt|Cu Ag Au
|Zn Cd Hg|B Al Ga In Tl|C Si Ge Sn Pb|N P As Sb Bi|O S Se Te|F Cl Br I|H"""
FAMILY = {symbol: family.split() for family in FAMILIES.split("|") for symbol in family.split()}
#: Lattice constants in Å of cubic oxides that order magnetically (or nearly so).
ROCK_SALT = {"VO": 4.09, "MnO": 4.445, "FeO": 4.326, "CoO": 4.260, "NiO": 4.177}
PEROVSKITE = {"SrVO3": 3.842, "SrCrO3": 3.818, "SrMnO3": 3.805, "SrFeO3": 3.851, "SrCoO3": 3.835}
#: Moments in μ_B that the SCF loop starts from, all up.
MOMENTS = {"V": 1.0, "Cr": 3.0, "Mn": 4.0, "Fe": 4.0, "Co": 3.0, "Ni": 2.0}


def crystals(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals, cheapest first: every prototype with its own elements and with SWAPS substitutions, and the
    oxides; each once as it is and once strained and rattled.

    ``info`` holds tag, source, and the settings that differ between structures.
    """
    pool = []
    for entry in (*_prototypes(seed), *_oxides()):
        pool += [_copy(*entry, 0, seed), _copy(*entry, 1, seed)]
    atoms = [_atoms(*entry) for entry in pool if _spacious(entry[1])]
    return _cheapest(atoms, count)


def distorted(count: int, seed: int) -> list[Atoms]:
    """``count`` crystals of DISTORTED compositions, strained and rattled in ever other ways: the first copy of each is
    as it is, the second that of :func:`crystals`, and so on, copy by copy.

    The compositions are those without moments whose strained cells cost least. ``info`` as in :func:`crystals`.
    """
    entries = {entry[0]: entry for entry in _prototypes(seed)}
    strained = [_copy(*entry, 1, seed) for entry in entries.values()]
    atoms = [_atoms(*entry) for entry in strained if _spacious(entry[1])]
    cheapest = _cheapest([a for a in atoms if "moments" not in a.info], DISTORTED)
    chosen = [entries[a.info["tag"].removesuffix("-1")] for a in cheapest]
    drawn = ((entry, copy) for copy in itertools.count() for entry in chosen)
    return [_atoms(*_copy(*entry, copy, seed)) for entry, copy in itertools.islice(drawn, count)]


def _copy(tag: str, structure: Structure, source: str, copy: int, seed: int) -> tuple[str, Structure, str]:
    """Tag, structure and source of a copy: 0 as it is, others strained and rattled, each in its own way."""
    if copy == 0:
        return f"{tag}-0", structure, source
    rng = np.random.default_rng([seed, *tag.encode()] if copy == 1 else [seed, copy, *tag.encode()])
    strained = strain_and_rattle(structure, rng, RATTLE)
    return f"{tag}-{copy}", strained, f"{source}; strained {100 * STRAIN:g} %, rattled {RATTLE} Å"


def strain_and_rattle(structure: Structure, rng: np.random.Generator, rattle: float) -> Structure:
    """The cell under a random symmetric strain, every atom displaced by a normal deviate along x, y and z."""
    random = rng.normal(0.0, STRAIN, (3, 3))
    matrix = structure.lattice.matrix @ (np.eye(3) + np.triu(random) + np.triu(random, 1).T)
    positions = structure.frac_coords @ matrix + rng.normal(0.0, rattle, (len(structure), 3))
    return Structure(Lattice(matrix), structure.species, positions, coords_are_cartesian=True)


def cost(atoms: Atoms) -> float:
    """An estimate of the work, in arbitrary units: irreducible k-points × electrons × volume × spins."""
    reciprocal = np.linalg.norm(np.linalg.inv(atoms.cell[:]), axis=0) * 2.0 * np.pi
    mesh = np.ceil(atoms.info["settings"]["kpts_density"] * reciprocal).astype(int)
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    mapping, _ = spglib.get_ir_reciprocal_mesh(mesh, cell, is_shift=[0, 0, 0], symprec=1e-4)
    electrons = sum(min(int(z), 14) for z in atoms.numbers)
    spins = 2 if "moments" in atoms.info else 1
    return float(len(np.unique(mapping)) * electrons * atoms.get_volume() * spins)


def _cheapest(atoms: list[Atoms], count: int) -> list[Atoms]:
    """The ``count`` that cost least, in that order."""
    return sorted(atoms, key=lambda a: (cost(a), a.info["tag"]))[:count]


def _prototypes(
    seed: int, swaps: int = SWAPS, choices: Callable[[str], list[str]] = FAMILY.__getitem__
) -> Iterator[tuple[str, Structure, str]]:
    """Every prototype and ``swaps`` attempts to fill it with other elements, drawn from the ``choices`` for its own."""
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
    from pymatgen.core.structure_prediction.volume_predictor import RLSVolumePredictor

    seen = set()
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        structure = entry["snl"].structure.get_primitive_structure()
        structure.remove_oxidation_states()
        symbols = [str(element) for element in structure.composition]
        if len(structure) > MOST_ATOMS or not structure.is_ordered or not set(symbols) <= set(FAMILY):
            continue
        base = f"aflow-{structure.composition.reduced_formula}-{entry['tags']['aflow']}"
        if base in seen:
            continue
        seen.add(base)
        yield base, structure, "AFLOW prototype library (pymatgen)"
        rng = np.random.default_rng([seed, *base.encode()])
        formulas = {structure.composition.reduced_formula}
        for _ in range(swaps):
            swap = {symbol: str(rng.choice(choices(symbol))) for symbol in symbols}
            changed = structure.copy()
            changed.replace_species(swap)
            formula = changed.composition.reduced_formula
            if len(set(swap.values())) < len(swap) or formula in formulas:
                continue
            formulas.add(formula)
            predictor = RLSVolumePredictor(check_isostructural=False, radii_type="atomic")
            scaled = predictor.get_predicted_structure(changed, structure)
            yield f"swap-{formula}-{entry['tags']['aflow']}", scaled, f"AFLOW prototype {base[6:]}, elements swapped"


def _oxides() -> Iterator[tuple[str, Structure, str]]:
    for formula, a in ROCK_SALT.items():
        metal, source = formula[:-1], "rock salt, ferromagnetic start"
        lattice = Lattice(0.5 * a * (np.ones((3, 3)) - np.eye(3)))
        sites = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
        yield f"oxide-{formula}", Structure(lattice, [metal, "O"], sites), source
    for formula, a in PEROVSKITE.items():
        metal, source = formula[2:-2], "cubic perovskite, ferromagnetic start"
        sites = 0.5 * np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        yield f"oxide-{formula}", Structure(Lattice.cubic(a), ["Sr", metal, "O", "O", "O"], sites), source


def _spacious(structure: Structure) -> bool:
    """Every atom has its LEAST_VOLUME, and no two, images included, are closer than CLOSEST times their radii's sum."""
    if structure.volume < LEAST_VOLUME * len(structure):
        return False
    radii = np.array([Element(str(site.specie)).atomic_radius or 0.0 for site in structure], dtype=np.float64)
    distances = structure.distance_matrix + np.diag(np.full(len(structure), min(structure.lattice.abc)))
    return bool((distances > CLOSEST * (radii[:, None] + radii[None, :])).all())


def _atoms(tag: str, structure: Structure, source: str) -> Atoms:
    symbols = [str(site.specie) for site in structure]
    metal = all(Element(symbol).is_metal for symbol in symbols)
    settings: dict[str, Any] = {"kpts_density": KPTS_DENSITY_METAL if metal else KPTS_DENSITY}
    info: dict[str, Any] = {"tag": tag, "source": source, "settings": settings}
    if "O" in symbols and set(symbols) & set(MOMENTS):
        info["moments"] = moments(symbols)
    return Atoms(symbols, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True, info=info)


def moments(symbols: list[str]) -> ndarray:
    """[atoms] starting moments in μ_B."""
    return np.array([MOMENTS.get(symbol, 0.0) for symbol in symbols])
