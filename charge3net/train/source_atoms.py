"""Fitted atoms of a training that starts from a trained model: kept, with atoms of new elements, or fitted again.

Atoms stand for the potentials of the densities they were fitted to. So those of the source are kept where the electrons
of the new densities agree with theirs; where they do not, the training is refused, unless ``train.fresh`` names
``atoms``.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from charge3net.atoms.fit import Sample, fit_atoms
from charge3net.atoms.functions import functions_of
from charge3net.atoms.isolated import IsolatedAtoms, read_isolated_atoms
from charge3net.atoms.splines import table_nodes
from charge3net.atoms.superposition import SuperposedAtoms
from charge3net.data.store import Store, StoreEntry
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_probe_graph
from charge3net.train.atoms import TOLERANCE, electrons_of, sample_of, some_of, valences_of


@dataclass(frozen=True, eq=False)
class ExtendedAtoms:
    """The atoms of a source, and those of elements that it does not have.

    Attributes:
        elements, valences, potentials: of all, hyper-parameters of the model.
        table: [elements, rows, functions] as in :class:`~charge3net.atoms.superposition.SuperposedAtoms`.
        added: atomic numbers that the source does not have.
    """

    elements: list[int]
    valences: list[float]
    potentials: list[str]
    table: Float[ndarray, "elements rows functions"]
    added: list[int]

    def hyperparameters(self) -> dict[str, list[int] | list[float] | list[str]]:
        """Of a model that holds them."""
        return {"elements": self.elements, "valences": self.valences, "potentials": self.potentials}

    def sentence(self) -> str:
        """For the terminal and the card."""
        from ase.data import chemical_symbols

        if not self.added:
            return "atoms are those of the source"
        return (
            f"atoms are those of the source, with further ones of {', '.join(chemical_symbols[z] for z in self.added)}"
        )


def extend_atoms(
    atoms: SuperposedAtoms,
    store: Store,
    keys: Sequence[str],
    isolated: str | None,
    name: str,
    more: Collection[int] = (),
) -> ExtendedAtoms:
    """The atoms of a source, bit for bit, and atoms of further elements fitted to what is left of the densities.

    Args:
        atoms: of the source.
        store, keys: the training entries.
        isolated: table of isolated atoms, where the fit of new elements starts.
        name: of the source, for messages.
        more: elements that get the atom of the table where no entry holds them.

    Raises:
        InputError: if the electrons of the entries or the table are not those of the source's potentials, or the
            electrons of a new element do not follow.
    """
    entries = [store[key] for key in some_of(keys)]
    known = dict(zip(atoms.elements, atoms.valences, strict=True))
    new = sorted({int(z) for entry in entries for z in entry.geometry.numbers} - known.keys())
    table = None if isolated is None else read_isolated_atoms(isolated)
    if table is not None:
        new = sorted({*new, *((set(more) - known.keys()) & table.valence.keys())})
    if table is not None:
        _check_table(table, known, new, str(isolated), name)
    having = [entry for entry in entries if set(new) & set(entry.geometry.numbers.tolist())]
    valences, potentials = _of_new(having, known, new, table)
    _check_electrons(entries, known | valences, name)
    rows = dict(zip(atoms.elements, atoms.table.double().numpy(), strict=True))
    if new:
        nodes = table_nodes(atoms.reach)
        start = {z: np.zeros(len(nodes)) if table is None else table.at_nodes(z, atoms.reach) for z in new}
        exact = copy.deepcopy(atoms).double()
        samples = [_without(exact, sample_of(entry, entry.stored[0])) for entry in having]
        found = fit_atoms(samples, start, valences, atoms.reach)
        rows |= {z: functions_of(coefficients, atoms.reach) for z, coefficients in found.items()}
    everything = sorted(rows)
    valences, potentials = known | valences, dict(zip(atoms.elements, atoms.potentials, strict=True)) | potentials
    return ExtendedAtoms(
        everything,
        [valences[z] for z in everything],
        [potentials[z] for z in everything],
        np.stack([rows[z] for z in everything]),
        new,
    )


def _check_electrons(entries: Sequence[StoreEntry], known: Mapping[int, float], name: str) -> None:
    for entry in entries:
        electrons = sum(known[z] for z in entry.geometry.numbers.tolist())
        if abs(electrons - electrons_of(entry)) > TOLERANCE * max(1.0, 0.01 * electrons):
            raise InputError(
                f"the atoms of init={name} hold {electrons:g} electrons for {entry.key!r}, its density "
                f"{electrons_of(entry):.2f}: they stand for other potentials; fit new ones with train.fresh=[atoms]"
            )


def _check_table(table: IsolatedAtoms, known: Mapping[int, float], new: Sequence[int], path: str, name: str) -> None:
    from ase.data import chemical_symbols

    if missing := [chemical_symbols[z] for z in new if z not in table.valence]:
        raise InputError(f"{path} has no atom of {', '.join(missing)}; add it, or train without a table")
    for z in sorted(known.keys() & table.valence.keys()):
        if abs(known[z] - table.valence[z]) > TOLERANCE:
            raise InputError(
                f"{path} has {table.valence[z]:g} electrons for {chemical_symbols[z]}, init={name} {known[z]:g}; "
                "give atoms of the same potentials, or fit all with train.fresh=[atoms]"
            )


def _of_new(
    having: Sequence[StoreEntry], known: Mapping[int, float], new: Sequence[int], table: IsolatedAtoms | None
) -> tuple[dict[int, float], dict[int, str]]:
    """Electrons and potentials of the elements that the source lacks."""
    if not new:
        return {}, {}
    if table is not None:
        return {z: table.valence[z] for z in new}, {z: table.potentials[z] for z in new}
    potential = str(having[0].meta.get("code", "those of the training set"))
    return valences_of(having, known), dict.fromkeys(new, potential)


def _without(atoms: SuperposedAtoms, sample: Sample) -> Sample:
    """A sample without the atoms of the source: their density subtracted, and the other atoms alone."""
    geometry = sample.geometry
    own = np.isin(geometry.numbers, atoms.elements)
    numbers, positions = geometry.numbers, geometry.positions
    theirs = Geometry(numbers[own], positions[own], geometry.cell, geometry.pbc)
    others = Geometry(numbers[~own], positions[~own], geometry.cell, geometry.pbc)
    probes = build_probe_graph(theirs, sample.points, atoms.reach)
    with torch.no_grad():
        vectors = probes.edge_vectors(torch.from_numpy(theirs.positions.copy()), torch.float64)
        rows = atoms.rows(torch.from_numpy(theirs.numbers.copy()))[probes.senders]
        density = atoms.density(rows, vectors, probes.receivers, probes.n_probes)
    return replace(sample, geometry=others, density=sample.density - density.numpy())
