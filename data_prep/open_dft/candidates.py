"""What new_compositions.py chooses from: simple structure types and AFLOW prototypes filled with many elements.

A candidate is a tag ``STRUCTURE-FORMULA``, the structure, and where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator

import crystals
import numpy as np
import structure_types as types
from ase.data import atomic_numbers, reference_states
from crystals import MOMENTS
from pymatgen.core import Lattice, Structure

PAIRS = 60  # pairs of metals drawn for each structure type
TRIPLES = 150  # the same for three
SWAPS = 8  # substitutions of each prototype
PROTOTYPE_ATOMS = 6
#: Charges of cations. Elements with open f shells have no place in calculations without spin.
CATIONS = {
    1: "Li Na K Rb Cs Cu Ag Tl",
    2: "Be Mg Ca Sr Ba Zn Cd Hg Pb Ge Yb Pd Pt",
    3: "B Al Ga In Tl Sc Y La Lu Ce Bi Sb Ti Rh Ir Ru Au Nb Ta",
    4: "Si Ge Sn Pb Ti Zr Hf Ce Ru Os Ir Mo W Re Te Pt Rh Nb",
    5: "Nb Ta Sb Bi Re",
    6: "W Re Mo Os",
}
MAGNETIC_CATIONS = dict.fromkeys((2, 3, 4), " ".join(MOMENTS))
ANIONS = {1: "F Cl Br I H", 2: "O S Se Te", 3: "N P As Sb Bi", 4: "C"}
METALS = (
    "Li Na K Rb Cs Be Mg Ca Sr Ba Sc Y La Lu Ce Yb Ti Zr Hf Nb Ta Mo W Re "
    "Ru Os Rh Ir Pd Pt Cu Ag Au Zn Cd Hg Al Ga In Tl Sn Pb Bi Sb "
)
EARLY = "Li Mg Ca Sr Ba Sc Y La Lu Ce Yb Ti Zr Hf Nb Ta "
LATE = "Ru Os Rh Ir Pd Pt Cu Ag Au Zn Cd Hg Re "
MAIN = "Al Ga In Tl Si Ge Sn Pb Sb Bi As "
NOBLE = "Ne Ar Kr Xe"
#: Beside the families of crystals.py, elements that may take each other's places in prototypes.
WIDER = """Li Na K Rb Cs Ag Cu Tl|Be Mg Ca Sr Ba Zn Cd Hg Yb|Sc Y La Lu Ce Al Ga In|Ti Zr Hf Si Ge Sn|Nb Ta Mo W Re
|Ru Os Rh Ir Pd Pt Au|B C|N P As Sb Bi|O S Se Te|F Cl Br I"""
Candidate = tuple[str, Structure, str]


def unmagnetic(seed: int) -> Iterator[Candidate]:
    """Candidates to compute without spin; some prototypes among them hold magnetic elements."""
    yield from _ionic(CATIONS)
    yield from _covalent()
    yield from _ternary(CATIONS)
    yield from _metallic(seed)
    yield from _elements()
    yield from _swapped(seed)


def magnetic(seed: int) -> Iterator[Candidate]:
    """Candidates with V, Cr, Mn, Fe, Co or Ni."""
    yield from _ionic(MAGNETIC_CATIONS)
    yield from _magnetic_compounds()
    yield from _ternary(CATIONS, MAGNETIC_CATIONS)
    yield from _magnetic_alloys(seed)


def _named(kind: str, cell: types.Cell, species: list[str]) -> Candidate:
    structure = Structure(Lattice(cell[0]), species, cell[1])
    return f"{kind}-{structure.composition.reduced_formula}", structure, f"{kind} structure, ionic radii"


def _pairs(cations: dict[int, str]) -> Iterator[tuple[str, int, str, int]]:
    """Cation, its charge, anion, its charge; cations without an ionic radius are left out."""
    for charge, symbols in cations.items():
        for cation in symbols.split():
            try:
                types.cation_radius(cation, charge)
            except KeyError:
                continue
            for anion_charge, anions in ANIONS.items():
                yield from ((cation, charge, anion, anion_charge) for anion in anions.split())


def _ionic(cations: dict[int, str]) -> Iterator[Candidate]:
    """M X, M X₂, M₂ X, M X₃ whose charges cancel."""
    for m, q, x, p in _pairs(cations):
        d = types.bond(m, q, x)
        if q == p:
            yield _named("rocksalt", types.rock_salt(d), [m, x])
            if q == 1 and m in ("K", "Rb", "Cs", "Tl"):
                yield _named("cscl", types.caesium_chloride(types.bond(m, q, x, "VIII")), [m, x])
            if q in (2, 3) and x in ("S", "Se", "Te", "P", "As", "Sb"):
                yield _named("nias", types.nickel_arsenide(d), [m, m, x, x])
        if q == 2 * p:
            large = types.cation_radius(m, q, "VIII") > 0.95
            eight = types.fluorite(types.bond(m, q, x, "VIII"))
            if x in ("F", "H", "O", "Cl") and (large or m in ("Zr", "Hf")):
                yield _named("fluorite", eight, [m, x, x])
            if x in ("Cl", "Br", "I", "S", "Se", "Te"):
                yield _named("cdi2", types.cadmium_iodide(d), [m, x, x])
            if x in ("F", "O") and not large:
                yield _named("rutile", types.rutile(d), [m, m, x, x, x, x])
        if 2 * q == p and m not in MOMENTS:
            yield _named("antifluorite", types.fluorite(types.bond(m, q, x, "IV")), [x, m, m])
        if q == 3 * p and x in ("F", "O"):
            yield _named("reo3", types.rhenium_oxide(d), [m, x, x, x])
        if 3 * q == p:
            yield _named("bif3", types.heusler(types.bond(m, q, x, "IV")), [x, m, m, m])


def _covalent() -> Iterator[Candidate]:
    """Zincblendes with eight electrons per pair, and the same filled with an alkali or noble metal."""
    groups = (("Cu Ag", "Cl Br I"), ("Be Mg Zn Cd Hg", "O S Se Te"), ("B Al Ga In", "N P As Sb Bi"), ("Si Ge Sn", "C"))
    for metals, others in groups:
        for m in metals.split():
            for x in others.split():
                yield _named("zincblende", types.zincblende(types.covalent_bond(m, x)), [m, x])
    for m in ("Be", "Mg", "Ca", "Zn", "Cd", "Hg"):
        for x in ("N", "P", "As", "Sb", "Bi"):
            for a in ("Li", "Na", "K", "Cu", "Ag"):
                yield _named("filled", types.filled_zincblende(1.02 * types.covalent_bond(m, x)), [x, m, a])


def _ternary(cations: dict[int, str], centres: dict[int, str] | None = None) -> Iterator[Candidate]:
    """Perovskites A B X₃ and layered A B X₂; B from ``centres`` where they are given."""
    sites = "Li Na K Rb Cs Ag Tl Ca Sr Ba Pb Yb La Y Lu Bi Cu"
    for b, q, x, p in _pairs(centres or cations):
        for charge in (1, 2, 3):
            for a in (symbol for symbol in cations[charge].split() if symbol in sites.split() and symbol != b):
                d = types.bond(b, q, x)
                if charge + q == 3 * p and p < 3:
                    ratio = types.bond(a, charge, x, "XII") / (np.sqrt(2.0) * d)
                    if 0.85 < ratio < 1.08:
                        yield _named("perovskite", types.perovskite(d), [a, b, x, x, x])
                if charge + q == 2 * p == 4 and charge == 1 and x != "Te":
                    yield _named("layered", types.layered(types.bond(a, charge, x), d), [a, b, x, x])


def _metallic(seed: int) -> Iterator[Candidate]:
    """Intermetallics of two and three metals, drawn at random."""
    rng = np.random.default_rng([seed, 2])
    for kind, copies in (("b2", (1, 1)), ("l10", (1, 1)), ("l12", (1, 3)), ("c11b", (1, 2)), ("c15", (2, 4))):
        for _ in range(PAIRS):
            a, b = (str(s) for s in rng.choice(METALS.split(), 2, replace=False))
            yield from _scaled(kind, types.simple(kind), [a] * copies[0] + [b] * copies[1])
    for m in (EARLY + LATE).split():
        for x in ("B", "Al", "Ga", "Si", "Ge"):
            yield from _scaled("alb2", types.simple("alb2"), [m, x, x])
    for _ in range(TRIPLES):
        a, b, c = (str(rng.choice(group.split())) for group in (EARLY, LATE, MAIN))
        yield from _scaled("half", types.filled_zincblende(2.6), [a, b, c])
        a, b, c = (str(rng.choice(group.split())) for group in (EARLY, LATE, MAIN))
        yield from _scaled("heusler", types.heusler(2.7), [a, b, c, b])
        m, c, x = (
            str(rng.choice(EARLY.split())),
            str(rng.choice((MAIN + LATE).split())),
            str(rng.choice(["C", "N", "B"])),
        )
        yield from _scaled("antiperovskite", types.perovskite(2.1), [c, x, m, m, m])


def _scaled(kind: str, cell: types.Cell, species: list[str]) -> Iterator[Candidate]:
    """The structure at pymatgen's volume; none where elements coincide or have no volume."""
    if len(set(species)) < (2 if kind in ("b2", "l10", "l12", "c11b", "c15", "alb2") else 3):
        return
    try:
        structure = types.scaled(cell, species)
    except (ValueError, KeyError):
        return
    yield f"{kind}-{structure.composition.reduced_formula}", structure, f"{kind} structure, data-mined volume"


def _elements() -> Iterator[Candidate]:
    """Elements in fcc, bcc and hcp cells of the volume per atom that ASE's reference states have."""
    for symbol in (METALS + NOBLE).split():
        state = reference_states[atomic_numbers[symbol]]
        volumes = {"fcc": 1 / 4, "bcc": 1 / 2, "hcp": np.sqrt(0.75) * state.get("c/a", 0.0) / 2.0}
        if state["symmetry"] not in volumes:
            continue
        volume = state["a"] ** 3 * volumes[state["symmetry"]]
        kind = (
            state["symmetry"] if symbol in NOBLE.split() else {"fcc": "bcc", "bcc": "hcp"}.get(state["symmetry"], "fcc")
        )
        cell, sites = types.simple(kind)
        structure = Structure(Lattice(cell), [symbol] * len(sites), sites)
        structure.scale_lattice(volume * len(sites))
        yield f"{kind}-{symbol}", structure, f"{kind} structure at the volume of {state['symmetry']}"


def _swapped(seed: int) -> Iterator[Candidate]:
    """AFLOW prototypes with elements of the same family, or of a wider one, in their places."""
    wider = {symbol: group.split() for group in WIDER.split("|") for symbol in group.split()}

    def choices(symbol: str) -> list[str]:
        return sorted({*crystals.FAMILY[symbol], *wider.get(symbol, ())})

    for tag, structure, source in crystals._prototypes(seed, SWAPS, choices):
        if len(structure) <= PROTOTYPE_ATOMS:
            yield tag, structure, source


def _magnetic_compounds() -> Iterator[Candidate]:
    """Zincblendes and rock salts of pnictides and chalcogenides, layers of dichalcogenides."""
    for m in MOMENTS:
        for x in ("N", "P", "As", "Sb", "S", "Se", "Te"):
            yield _named("zincblende", types.zincblende(types.covalent_bond(m, x)), [m, x])
            yield _named("nias", types.nickel_arsenide(types.bond(m, 3, x)), [m, m, x, x])


def _magnetic_alloys(seed: int) -> Iterator[Candidate]:
    rng = np.random.default_rng([seed, 3])
    others = [symbol for symbol in METALS.split() if symbol not in ("K", "Rb", "Cs", "Ba", "Na", "Li")] + ["Si", "Ge"]

    def draw(group: list[str]) -> str:
        return str(rng.choice(group))

    magnets = list(MOMENTS)
    for kind, copies in (
        ("b2", (1, 1)),
        ("l10", (1, 1)),
        ("l12", (1, 3)),
        ("l12", (3, 1)),
        ("heusler", ()),
        ("half", ()),
    ):
        for _ in range(PAIRS):
            m, other, main = draw(magnets), draw(others), draw(MAIN.split())
            if kind == "heusler":
                yield from _scaled(
                    kind, types.heusler(2.6), [m, draw([*LATE.split(), *magnets]), main, draw(LATE.split())]
                )
            elif kind == "half":
                yield from _scaled(kind, types.filled_zincblende(2.6), [m, draw([*LATE.split(), *magnets]), main])
            elif copies == (3, 1):
                yield from _scaled(kind, types.simple(kind), [other, m, m, m])
            else:
                yield from _scaled(kind, types.simple(kind), [m] * copies[0] + [other] * copies[1])
    for _ in range(PAIRS):
        yield from _scaled(
            "antiperovskite", types.perovskite(1.95), [draw(others), draw(["C", "N"]), *[draw(magnets)] * 3]
        )
