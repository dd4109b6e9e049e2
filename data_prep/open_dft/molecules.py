"""Small molecules of H, C, N, O and F: every graph of a few heavy atoms, each in a box of its own.

:func:`new_molecules` goes on with molecules of one heavy atom more, one for each formula.

Graphs are grown atom by atom with RDKit, so the list is complete and the same every time. Left out are bonds between
two of N, O, F (short-lived species), multiple bonds inside rings (rings are small here), and atoms with two double
bonds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from numpy import ndarray
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolDescriptors

HETERO = {7, 8, 9}
VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1}
VACUUM = 3.0  # Å from the outermost nuclei to each face of the box
CONFORMER_SEED = 7
HEAVY_ATOMS = 4
COPIES = 2
RATTLE = 0.05  # Å, standard deviation along each axis


def molecule_graphs(heavy_atoms: int, elements: Sequence[str]) -> dict[str, list[str]]:
    """SMILES of all graphs with 1 … ``heavy_atoms`` atoms of these elements, by formula; formulas and SMILES sorted."""
    generation = set(elements)
    found = set(generation)
    for _ in range(heavy_atoms - 1):
        grown = {smiles for parent in generation for smiles in _grown(parent, elements)}
        generation = grown | {smiles for parent in grown for smiles in _closed(parent)}
        found |= generation
    by_formula: dict[str, list[str]] = defaultdict(list)
    for smiles in sorted(found):
        by_formula[rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles))].append(smiles)
    return dict(sorted(by_formula.items()))


def select(by_formula: dict[str, list[str]], seed: int) -> list[str]:
    """All SMILES: one of each formula in a random order of formulas, then a second of each, and so on."""
    rng = np.random.default_rng(seed)
    shuffled = [list(rng.permutation(smiles)) for smiles in by_formula.values()]
    order = rng.permutation(len(shuffled))
    rounds = max(len(smiles) for smiles in shuffled)
    return [str(shuffled[i][turn]) for turn in range(rounds) for i in order if turn < len(shuffled[i])]


def molecules(count: int, seed: int, elements: Sequence[str] = ("C", "N", "O", "F")) -> Iterator[Atoms]:
    """``count`` boxes: COPIES of each molecule, every atom displaced by a normal deviate of RATTLE Å along x, y, z.

    Geometries are ETKDG conformers relaxed with MMFF94 (UFF where it has no parameters), turned to their principal
    axes, in an orthorhombic box with VACUUM around the nuclei. ``info`` holds tag and source.
    """
    names: dict[str, int] = defaultdict(int)
    made = 0
    for smiles in select(molecule_graphs(HEAVY_ATOMS, elements), seed):
        if made == count:
            return
        relaxed = relaxed_molecule(smiles)
        if relaxed is None:
            continue
        formula = _formula(smiles)
        isomer = names[formula]
        names[formula] += 1
        for copy in range(min(COPIES, count - made)):
            yield _boxed(relaxed, smiles, f"mol-{formula}-{isomer:02d}-{copy}", seed)
            made += 1


def new_molecules(count: int, seed: int) -> Iterator[Atoms]:
    """``count`` boxes as those of :func:`molecules`, of H, C, N and O with one heavy atom more, one for each formula.

    Formulas come in a random order, and of each the first isomer of a random order that gets a geometry.
    """
    made: set[str] = set()
    for smiles in select(molecule_graphs(HEAVY_ATOMS + 1, ("C", "N", "O")), seed):
        if len(made) == count:
            return
        formula = _formula(smiles)
        if formula in made or Chem.MolFromSmiles(smiles).GetNumAtoms() <= HEAVY_ATOMS:
            continue
        relaxed = relaxed_molecule(smiles)
        if relaxed is not None:
            made.add(formula)
            yield _boxed(relaxed, smiles, f"mol-{formula}-00-0", seed)


def _formula(smiles: str) -> str:
    return str(rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles)))


def _boxed(relaxed: Atoms, smiles: str, tag: str, seed: int) -> Atoms:
    """The molecule, its atoms displaced at random, in a box."""
    rng = np.random.default_rng([seed, *tag.encode()])
    positions = relaxed.positions + rng.normal(0.0, RATTLE, relaxed.positions.shape)
    positions -= positions.min(axis=0) - VACUUM
    box = positions.max(axis=0) + VACUUM
    source = f"SMILES {smiles}, ETKDG + MMFF94, rattled {RATTLE} Å"
    return Atoms(relaxed.numbers, positions=positions, cell=box, pbc=True, info={"tag": tag, "source": source})


def _grown(smiles: str, elements: Sequence[str]) -> Iterator[str]:
    parent = Chem.MolFromSmiles(smiles)
    for atom in parent.GetAtoms():
        for element in elements:
            for order in range(1, min(atom.GetTotalNumHs(), VALENCE[element], 3) + 1):
                child = Chem.RWMol(parent)
                new = child.AddAtom(Chem.Atom(element))
                child.AddBond(atom.GetIdx(), new, Chem.BondType.values[order])
                yield from _accepted(child)


def _closed(smiles: str) -> Iterator[str]:
    parent = Chem.MolFromSmiles(smiles)
    free = [atom.GetIdx() for atom in parent.GetAtoms() if atom.GetTotalNumHs() > 0]
    for i in free:
        for j in free:
            if i < j and parent.GetBondBetweenAtoms(i, j) is None:
                child = Chem.RWMol(parent)
                child.AddBond(i, j, Chem.BondType.SINGLE)
                yield from _accepted(child)


def _accepted(molecule: Chem.RWMol) -> Iterator[str]:
    """Its SMILES if the graph is one of those we take, nothing otherwise."""
    if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return
    for bond in molecule.GetBonds():
        if {bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()} <= HETERO:
            return
        if bond.IsInRing() and bond.GetBondType() != Chem.BondType.SINGLE:
            return
    for atom in molecule.GetAtoms():
        if sum(bond.GetBondType() == Chem.BondType.DOUBLE for bond in atom.GetBonds()) > 1:
            return
    yield Chem.MolToSmiles(molecule)


def relaxed_molecule(smiles: str) -> Atoms | None:
    """One conformer in its principal axes, or None where RDKit finds no geometry."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(molecule, randomSeed=CONFORMER_SEED) != 0:
        return None
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
    elif AllChem.UFFHasAllMoleculeParams(molecule):
        AllChem.UFFOptimizeMolecule(molecule, maxIters=2000)
    positions = np.array(molecule.GetConformer().GetPositions())
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return Atoms(numbers, positions=_principal(positions))


def _principal(positions: ndarray) -> ndarray:
    centred = positions - positions.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=True)
    return centred @ axes.T
