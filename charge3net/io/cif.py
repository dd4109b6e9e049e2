"""CIF files: every block with atoms becomes a structure, and what was read is compared with what the file declares.

The file is parsed by gemmi, whose grammar is strict; symmetry comes from the listed operations, else from the Hall
symbol, the Hermann-Mauguin symbol or the number of the space group. Source: the core CIF dictionary of the IUCr.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.elements import is_dummy, number_of_label
from charge3net.io.files import Source, reason

if TYPE_CHECKING:
    import gemmi

#: Images of one site that are nearer than this (Å) are one atom on a special position.
SPECIAL_POSITION = 0.1
#: Occupancies this near to 1 are 1.
FULL = 1e-3
LARGEST_FILE = 1 << 25
LARGEST_STRUCTURE = 200_000

_OPERATIONS = (
    "_space_group_symop_magn_operation.xyz",
    "_space_group_symop_magn_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
)
_CENTRINGS = ("_space_group_symop_magn_centering.xyz", "_space_group_symop_magn_centering_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall", "_space_group.name_Hall")
_NAMES = (
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group.name_H-M_alt",
    "_space_group_name_H-M",
)
_GROUP_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number", "_space_group.IT_number")
_SITES = [
    "_atom_site_fract_x",
    "_atom_site_fract_y",
    "_atom_site_fract_z",
    *(f"?_atom_site_{name}" for name in ("type_symbol", "label", "occupancy", "attached_hydrogens", "calc_flag")),
]


def read_cif(source: Source) -> list[Geometry]:
    """Structures of all blocks that list atoms; blocks without are skipped.

    Raises:
        InputError: for a file that breaks CIF's grammar, and a block with a site that has no position or element, with
            partial occupation, or without a cell. What differs from the file's own formula, volume or number of
            operations is logged as a warning.
    """
    from gemmi import cif

    data = source.read_all(LARGEST_FILE)
    if b"\0" in data:
        raise source.error("expected a text file, found binary data")
    try:
        document = cif.read_string(data.decode("utf-8", "replace"))
    except Exception as error:  # gemmi raises RuntimeError and ValueError
        raise source.error(f"cannot be read as CIF ({reason(error)})") from None
    structures = [_structure(source, block) for block in document if block.find(_SITES[:3])]
    if not structures:
        raise source.error("cannot be read as CIF: no block of it lists atoms with fractional coordinates")
    return structures


def _structure(source: Source, block: gemmi.cif.Block) -> Geometry:
    cell = _cell(source, block)
    operations = _operations(source, block)
    numbers, sites, hydrogens = _sites(source, block)
    if len(operations) * len(sites) > 20 * LARGEST_STRUCTURE:
        raise source.error(f"block {block.name}: {len(sites)} sites and {len(operations)} operations are too many")
    orbits = [_orbit(source, block, site, operations, cell) for site in sites]
    order = sorted(range(len(sites)), key=lambda i: _electronegativity(numbers[i]))
    all_numbers = np.repeat([numbers[i] for i in order], [len(orbits[i]) for i in order])
    try:
        positions = np.concatenate([orbits[i] for i in order]) @ cell
        geometry = Geometry(all_numbers, positions, cell, np.ones(3, dtype=bool))
    except InputError as error:
        raise source.error(f"block {block.name}: {error}") from None
    _compare(source, block, geometry, hydrogens)
    return geometry


def _cell(source: Source, block: gemmi.cif.Block) -> Float[ndarray, "3 3"]:
    from pymatgen.core import Lattice

    names = [f"_cell_length_{axis}" for axis in "abc"] + [
        f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")
    ]
    values = [_number(_value(block, [name, name.replace("_cell_", "_cell.", 1)])) for name in names]
    if not all(map(math.isfinite, values)):
        raise source.error(f"block {block.name} lacks {names[int(np.argmin(np.isfinite(values)))]}, or it is no number")
    (a, b, c), (alpha, beta, gamma) = values[:3], np.cos(np.radians(values[3:]))
    if (
        min(values) <= 0
        or max(values[3:]) >= 180
        or 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2 < 1e-6
    ):
        raise source.error(f"block {block.name}: no cell has the lengths {values[:3]} and the angles {values[3:]}")
    return np.array(Lattice.from_parameters(a, b, c, *values[3:]).matrix)


def _operations(source: Source, block: gemmi.cif.Block) -> list[tuple[ndarray, ndarray]]:
    """Rotation and translation of every operation, in fractional coordinates."""
    import gemmi

    listed = _listed(source, block)
    group = _space_group(source, block)
    if listed:
        if group is not None and len(group) != len(listed):
            source.warn(
                f"block {block.name} lists {len(listed)} symmetry operations, its space group has {len(group)}; "
                "the list is taken"
            )
        found = listed
    elif group:
        found = group
    else:
        source.warn(f"block {block.name} names no symmetry; its atoms are taken as they are listed (P 1)")
        found = [gemmi.Op("x,y,z")]
    scale = gemmi.Op.DEN
    return [(np.array(op.rot) / scale, np.array(op.tran) / scale) for op in found]


def _listed(source: Source, block: gemmi.cif.Block) -> list[gemmi.Op]:
    import gemmi

    def parse(text: str) -> gemmi.Op:
        try:
            return gemmi.Op(",".join(gemmi.cif.as_string(text).split(",")[:3]).strip())
        except Exception:  # gemmi raises RuntimeError
            raise source.error(f"block {block.name}: {text[:40]!r} is not a symmetry operation") from None

    operations = [parse(text) for text in _column(block, _OPERATIONS)]
    centrings = [parse(text) for text in _column(block, _CENTRINGS)]
    if centrings:
        operations = [centring * operation for centring in centrings for operation in operations]
    return list({op.wrap().triplet(): op for op in operations}.values())


def _space_group(source: Source, block: gemmi.cif.Block) -> list[gemmi.Op] | None:
    """Operations of the space group that the block names; None where it names none that is known."""
    import gemmi

    if hall := _value(block, _HALL):
        try:
            return list(gemmi.symops_from_hall(hall))
        except Exception:  # gemmi raises RuntimeError
            source.warn(f"block {block.name}: the Hall symbol {hall[:40]!r} is not known")
    alpha, gamma = (_number(_value(block, [f"_cell_angle_{angle}"])) for angle in ("alpha", "gamma"))
    known = math.isfinite(alpha) and math.isfinite(gamma)
    names = [name for name in (_value(block, [key]) for key in _NAMES) if name]
    for name in names:
        group = gemmi.find_spacegroup_by_name(name.replace("_", " "), alpha if known else 0.0, gamma if known else 0.0)
        if group is not None:
            return list(group.operations())
    if names:
        source.warn(f"block {block.name}: the space group {names[0][:40]!r} is not known")
    number = _number(_value(block, _GROUP_NUMBERS))
    if math.isfinite(number) and 1 <= number <= 230:
        if number > 2:
            source.warn(f"block {block.name}: the standard setting of space group {number:.0f} is taken")
        return list(gemmi.find_spacegroup_by_number(int(number)).operations())
    return None


def _sites(source: Source, block: gemmi.cif.Block) -> tuple[list[int], list[ndarray], float]:
    """Atomic numbers and fractional coordinates of the sites, and the number of hydrogens attached to them."""
    from gemmi import cif

    numbers, sites, hydrogens = [], [], 0.0
    for row in block.find(_SITES):
        texts = [cif.as_string(row[i]) if row.has(i) and not cif.is_null(row[i]) else "" for i in range(len(_SITES))]
        symbol, label = texts[3] or texts[4], texts[4] or texts[3]
        where = f"block {block.name}, site {label}"
        if texts[7].lower() == "dum" or is_dummy(symbol):
            raise source.error(f"{where}: a dummy or ghost atom without an element; remove it from the file")
        try:
            number = number_of_label(symbol)
        except InputError as error:
            raise source.error(f"{where}: {error}") from None
        occupancy = _number(texts[5]) if texts[5] else 1.0
        if occupancy == 0.0:
            source.warn(f"{where} has the occupancy 0 and is left out")
            continue
        if not abs(occupancy - 1.0) <= FULL:
            raise source.error(
                f"the structure has sites with partial occupation ({where}: {texts[5]}); order it first (one species "
                "per site)"
            )
        position = np.array([_number(text) for text in texts[:3]])
        if not np.isfinite(position).all():
            raise source.error(f"{where} has no coordinates ({' '.join(row[i] for i in range(3))})")
        attached = _number(texts[6]) if texts[6] else 0.0
        hydrogens += attached if math.isfinite(attached) else 0.0
        numbers.append(number)
        sites.append(position)
    if not numbers:
        raise source.error(f"block {block.name} has no atom")
    return numbers, sites, hydrogens


def _orbit(
    source: Source,
    block: gemmi.cif.Block,
    site: Float[ndarray, "3"],
    operations: list[tuple[ndarray, ndarray]],
    cell: Float[ndarray, "3 3"],
) -> Float[ndarray, "images 3"]:
    """All images of a site; those that meet on a special position are one atom, at their mean."""
    rotations, translations = (np.array(part) for part in zip(*operations, strict=True))
    images = np.einsum("oij,j->oi", rotations, site) + translations
    groups: list[list[ndarray]] = []
    for image in images - np.floor(images):
        if groups:
            heads = np.array([group[0] for group in groups])
            offsets = image - heads
            offsets -= np.round(offsets)
            distances = np.linalg.norm(offsets @ cell, axis=1)
            nearest = int(distances.argmin())
            if distances[nearest] < SPECIAL_POSITION:
                groups[nearest].append(heads[nearest] + offsets[nearest])
                continue
        groups.append([image])
    means = np.array([np.mean(group, axis=0) for group in groups])
    moved = np.linalg.norm((means[0] - groups[0][0]) @ cell)
    if moved > 0.01:
        source.warn(f"block {block.name}: a site was moved by {moved:.3f} Å onto the special position beside it")
    return means - np.floor(means)


def _compare(source: Source, block: gemmi.cif.Block, geometry: Geometry, hydrogens: float) -> None:
    """Warn where the file declares something else than was read."""
    from ase.data import chemical_symbols

    if hydrogens:
        source.warn(f"block {block.name}: {hydrogens:g} hydrogen atoms are attached to sites but have no position")
    volume = _number(_value(block, ["_cell_volume", "_cell.volume"]))
    if math.isfinite(volume) and abs(volume - geometry.volume) > 0.01 * geometry.volume + 0.1:
        source.warn(f"block {block.name} declares a volume of {volume:g} Å³, its cell has {geometry.volume:.3f} Å³")
    formula = _value(block, ["_chemical_formula_sum", "_chemical_formula.sum"])
    declared = _composition(formula)
    if not declared:
        return
    found = {int(z): int(n) for z, n in zip(*np.unique(geometry.numbers, return_counts=True), strict=True)}
    units = _number(_value(block, ["_cell_formula_units_Z", "_cell.formula_units_Z"]))
    guessed = max(round(sum(found.values()) / sum(declared.values())), 1)
    units = units if math.isfinite(units) and units > 0 else float(guessed)
    if not (_matches(found, declared, units) or _matches(found, declared, 1.0)):  # some write the sum of the whole cell
        atoms = " ".join(f"{chemical_symbols[z]}{n}" for z, n in sorted(found.items()))
        source.warn(f"block {block.name} declares {formula!r} (Z = {units:g}), but {atoms} was read")


def _matches(found: dict[int, int], declared: dict[int, float], units: float) -> bool:
    return set(found) == set(declared) and all(
        abs(found[z] - units * declared[z]) <= 0.05 + 0.01 * found[z] for z in declared
    )


def _composition(formula: str) -> dict[int, float]:
    """Atomic number → count from ``C2 H6 O``; empty for anything else."""
    counts: dict[int, float] = {}
    for word in formula.split():
        match = re.fullmatch(r"([A-Z][a-z]?)([0-9.]*)", word)
        try:
            if match is None:
                return {}
            z = number_of_label(match[1])
            counts[z] = counts.get(z, 0.0) + float(match[2] or 1.0)
        except ValueError:
            return {}
    return counts


def _electronegativity(number: int) -> float:
    """For the order of the atoms, which is pymatgen's: by electronegativity."""
    from pymatgen.core import Element

    value = Element.from_Z(number).data.get("X")
    return math.inf if value is None else float(value)


def _value(block: gemmi.cif.Block, names: list[str] | tuple[str, ...]) -> str:
    """The first of these items, unquoted; empty where there is none."""
    from gemmi import cif

    for name in names:
        text = block.find_value(name)
        if text is not None and not cif.is_null(text):
            return cif.as_string(text).strip()
    return ""


def _column(block: gemmi.cif.Block, names: tuple[str, ...]) -> list[str]:
    for name in names:
        values = list(block.find_values(name))
        if values:
            return values
    return []


def _number(text: str) -> float:
    """A number that may have an uncertainty, ``5.64(1)``; NaN for anything else."""
    match = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(?:\([0-9]*\))?", text.strip())
    return float(match[1]) if match else math.nan
