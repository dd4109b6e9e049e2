"""Atoms fitted to a training set, and a model that holds them: what happens before the first step of training.

A function of the training entries alone, without a random number that depends on the run's seed: a resumed run fits the
same atoms again, and seeds differ in their networks only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.atoms.fit import Sample, fit_atoms
from charge3net.atoms.isolated import IsolatedAtoms, read_isolated_atoms
from charge3net.atoms.splines import steps_of, table_nodes, values_at
from charge3net.atoms.superposition import local_features
from charge3net.data.sampling import sample_chunk, sample_voxels
from charge3net.data.splits import nested_subset
from charge3net.data.store import Store, StoreEntry
from charge3net.errors import InputError
from charge3net.graph.build import build_probe_graph
from charge3net.models.base import DensityModel
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.fitted_atoms import FittedAtoms

#: Points of a density that the fit sees, and at most so many densities: the cost of a fit is bounded.
POINTS, STRUCTURES = 600, 2000

#: Where the draws of the fit stand among those of training, which count epochs from 0.
_EPOCH = -2

#: Electrons by which counts may differ before they are of other potentials.
TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class AtomsOfTraining:
    """Fitted atoms and what they were fitted to.

    Attributes:
        functions: atomic number → coefficients of its radial function.
        valences: atomic number → electrons.
        potentials: atomic number → name of the potential, or what is known of it.
        samples: the points that the fit has seen.
    """

    functions: Mapping[int, Float[ndarray, "rows"]]
    valences: Mapping[int, float]
    potentials: Mapping[int, str]
    samples: Sequence[Sample]

    def hyperparameters(self) -> dict[str, list[int] | list[float] | list[str]]:
        """Of a model that holds them."""
        elements = sorted(self.functions)
        return {
            "elements": elements,
            "valences": [self.valences[z] for z in elements],
            "potentials": [self.potentials[z] for z in elements],
        }


def atoms_of_training(store: Store, keys: Sequence[str], reach: float, isolated: str | None = None) -> AtomsOfTraining:
    """Fit atoms to the densities of these entries.

    Args:
        store, keys: the training entries.
        reach: Å, where the radial functions end.
        isolated: table of isolated atoms; its elements that no entry holds are kept as they are.

    Raises:
        InputError: for a table that is wrong or of other potentials than the entries, or electrons that do not follow
            from the entries.
    """
    steps_of(reach)
    entries = [store[key] for key in some_of(keys)]
    samples = [sample_of(entry, entry.stored[0]) for entry in entries]
    table = None if isolated is None else read_isolated_atoms(isolated)
    if table is not None:
        _check_potentials(entries, table, str(isolated))
        start = {z: table.at_nodes(z, reach) for z in table.density}
        valences, potentials = dict(table.valence), dict(table.potentials)
    else:
        valences = valences_of(entries)
        potentials = dict.fromkeys(valences, str(entries[0].meta.get("code", "those of the training set")))
        start = _start_from_superpositions(entries, valences, reach)
    return AtomsOfTraining(fit_atoms(samples, start, valences, reach), valences, potentials, samples)


def fill_atoms(model: DensityModel, atoms: AtomsOfTraining) -> None:
    """Put fitted atoms into a model that was built with their hyper-parameters."""
    assert isinstance(model, FittedAtoms | DeltaLocal | DeltaChargE3Net)
    model.atoms.fill(atoms.functions)
    if not isinstance(model, FittedAtoms):
        standardise(model, atoms.samples)


def standardise(model: DeltaLocal | DeltaChargE3Net, samples: Sequence[Sample]) -> None:
    """Take mean and spread of the local features of these samples as those of the head's inputs."""
    features = []
    with torch.no_grad():
        for sample in samples:
            probes = build_probe_graph(sample.geometry, sample.points, model.cutoff)
            vectors = probes.edge_vectors(torch.from_numpy(sample.geometry.positions.copy()), model.dtype)
            rows = model.atoms.rows(torch.from_numpy(sample.geometry.numbers.copy()))[probes.senders]
            features.append(local_features(model.atoms(rows, vectors, probes.receivers, probes.n_probes)))
        model.head.standardise(torch.cat(features))


def some_of(keys: Sequence[str]) -> Sequence[str]:
    """The training entries that a fit sees."""
    return keys if len(keys) <= STRUCTURES else nested_subset(tuple(keys), STRUCTURES, 0)


def sample_of(entry: StoreEntry, values: Float[ndarray, "voxels"]) -> Sample:
    """The points of an entry that a fit sees."""
    draw = sample_chunk if entry.shuffled else sample_voxels
    positions: Int[ndarray, "points"] = draw(len(entry.grid), POINTS, 0, _EPOCH, entry.key)
    points = entry.grid.points(entry.voxels(positions))
    return Sample(entry.geometry, points, values[positions].astype(np.float64), entry.mean_density, entry.formula)


def electrons_of(entry: StoreEntry) -> float:
    """Electrons that the potentials of an entry hold, or its density where they are not known."""
    return entry.electrons if entry.electrons_expected is None else entry.electrons_expected


def _check_potentials(entries: Sequence[StoreEntry], table: IsolatedAtoms, path: str) -> None:
    from ase.data import chemical_symbols

    for entry in entries:
        numbers = entry.geometry.numbers.tolist()
        if missing := sorted(set(numbers) - set(table.valence)):
            raise InputError(
                f"{path} has no atom of {', '.join(chemical_symbols[z] for z in missing)}, which {entry.key!r} holds; "
                "add it, or train without a table"
            )
        electrons = sum(table.valence[z] for z in numbers)
        if abs(electrons - electrons_of(entry)) > TOLERANCE * max(1.0, 0.01 * electrons):
            raise InputError(
                f"the isolated atoms of {path} hold {electrons:g} electrons for {entry.key!r}, its density "
                f"{electrons_of(entry):.2f}; give atoms of the potentials that the densities were computed with"
            )


def valences_of(entries: Sequence[StoreEntry], known: Mapping[int, float] = MappingProxyType({})) -> dict[int, float]:
    """Electrons of each element, from those of the structures; elements whose electrons are known are left out.

    Raises:
        InputError: if they do not follow.
    """
    elements = sorted({int(z) for entry in entries for z in entry.geometry.numbers} - known.keys())
    counts = np.array([[(entry.geometry.numbers == z).sum() for z in elements] for entry in entries], dtype=float)
    electrons = np.array(
        [electrons_of(entry) - sum(known.get(z, 0.0) for z in entry.geometry.numbers.tolist()) for entry in entries]
    )
    found, _, rank, _ = np.linalg.lstsq(counts, electrons, rcond=None)
    whole = np.asarray(np.round(found))
    if rank < len(elements) or np.abs(counts @ whole - electrons).max() > max(TOLERANCE, 0.002 * electrons.max()):
        raise InputError(
            "the electrons of each element do not follow from those of the training densities; "
            "give a table of isolated atoms, data.isolated_atoms=FILE.npz"
        )
    return {z: float(number) for z, number in zip(elements, whole, strict=True)}


def _start_from_superpositions(
    entries: Sequence[StoreEntry], valences: Mapping[int, float], reach: float
) -> dict[int, Float[ndarray, "nodes"]]:
    """Atoms fitted to the superpositions of atoms that some entries have; nothing where none has."""
    nodes = table_nodes(reach)
    nothing = {z: np.zeros(len(nodes)) for z in valences}
    having = [sample_of(entry, entry.stored_baseline[0]) for entry in entries if entry.stored_baseline is not None]
    if not having:
        return nothing
    fitted = fit_atoms(having, nothing, valences, reach)
    return {z: values_at(rows[:, None], nodes)[:, 0] for z, rows in fitted.items()}
