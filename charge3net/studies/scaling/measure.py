"""The structures of the study of size, and one measurement: atoms encoded, a grid read, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid

if TYPE_CHECKING:
    from charge3net.models.base import DensityModel

#: Atoms are displaced by this much (Å, standard deviation): no two of them have the same surroundings.
DISPLACED = 0.02

#: What :func:`unit_cell` knows.
CRYSTALS = ("BaVS3", "Li3Co2NiO6")


@dataclass(frozen=True)
class Measurement:
    """What one structure took.

    Attributes:
        architecture: of the model.
        crystal: formula.
        repeat: number of the repetition.
        atoms, points: how many.
        neighbours, encoding, reading: seconds of processor time, one thread.
        megabytes: largest resident memory above that before the structure was looked at; it holds state and grid.
        state_megabytes: of the encoded atoms.
        backend: who reads, in words.
    """

    architecture: str
    crystal: str
    repeat: int
    atoms: int
    points: int
    neighbours: float
    encoding: float
    reading: float
    megabytes: float
    state_megabytes: float
    backend: str

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.neighbours + self.encoding + self.reading


def unit_cell(crystal: str) -> Geometry:
    """The cell of a crystal, as ASE builds it from its space group.

    BaVS3 is hexagonal, P6₃/mmc. Li3Co2NiO6 is layered LiCoO2 (R-3m, hexagonal cell of three layers) with the Co of one
    layer replaced by Ni.

    Raises:
        InputError: for a crystal that is not in :data:`CRYSTALS`.
    """
    from ase.spacegroup import crystal as from_space_group

    if crystal not in CRYSTALS:
        raise InputError(f"the study of size knows the crystals {', '.join(CRYSTALS)}, not {crystal!r}")
    if crystal == "BaVS3":
        places = [(1 / 3, 2 / 3, 0.75), (0, 0, 0), (0.1655, 0.331, 0.25)]
        atoms = from_space_group(["Ba", "V", "S"], places, spacegroup=194, cellpar=[6.75, 6.75, 5.63, 90, 90, 120])
        return Geometry.of(atoms)
    places = [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)]
    atoms = from_space_group(["Li", "Co", "O"], places, spacegroup=166, cellpar=[2.816, 2.816, 14.05, 90, 90, 120])
    numbers = atoms.get_atomic_numbers()
    numbers[np.flatnonzero(numbers == 27)[0]] = 28
    atoms.set_atomic_numbers(numbers)
    return Geometry.of(atoms)


def repeats_of(unit: Geometry, atoms: int) -> tuple[int, int, int]:
    """How often a cell is repeated along its vectors for about so many atoms in about a cube."""
    side = (atoms / len(unit) * unit.volume) ** (1 / 3)
    a, b, c = (max(1, round(side / length)) for length in np.linalg.norm(unit.cell, axis=1))
    return a, b, c


def supercell(unit: Geometry, repeats: tuple[int, int, int]) -> Geometry:
    """Repeated, atoms displaced by :data:`DISPLACED` and in random order, the same at every call."""
    rng = np.random.default_rng(0)
    whole = Geometry.of(unit.to_structure() * repeats)
    order = rng.permutation(len(whole))
    positions = whole.positions + rng.normal(scale=DISPLACED, size=whole.positions.shape)
    return Geometry(whole.numbers[order], positions[order], whole.cell, whole.pbc)


def measure(architecture: str, crystal: str, atoms: int, spacing: float, repeat: int) -> Measurement:
    """One measurement in this process, on one thread; a process of its own for each gives clean memory.

    The unit cell is encoded and read first: what is done once per process (tables, first calls) is not measured.

    Args:
        architecture: a model of published size with random weights of seed 0.
        crystal: of :data:`CRYSTALS`.
        atoms: about so many.
        spacing: of the grid in Å; all sizes of a crystal have the same points per atom.
        repeat: its number.
    """
    import torch

    from charge3net.models.registry import build_model

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model(architecture, {}).eval()
    unit = unit_cell(crystal)
    counts, coarse = repeats_of(unit, atoms), Grid.from_spacing(unit.cell, spacing)
    geometry = supercell(unit, counts)
    grid = Grid(geometry.cell, (counts[0] * coarse.shape[0], counts[1] * coarse.shape[1], counts[2] * coarse.shape[2]))
    _read(model, unit, coarse)
    before = reset_peak_megabytes()
    seconds, state, backend = _read(model, geometry, grid)
    return Measurement(
        architecture=architecture,
        crystal=crystal,
        repeat=repeat,
        atoms=len(geometry),
        points=len(grid),
        neighbours=seconds[0],
        encoding=seconds[1],
        reading=seconds[2],
        megabytes=peak_megabytes() - before,
        state_megabytes=state,
        backend=backend,
    )


def _read(model: DensityModel, geometry: Geometry, grid: Grid) -> tuple[list[float], float, str]:
    """Seconds of (search, atoms, grid); megabytes of the encoded atoms; who reads."""
    from charge3net.graph.build import build_atom_graph
    from charge3net.predict.encoded import EncodedStructure
    from charge3net.progress import Clock

    times = [time.process_time()]
    graph = build_atom_graph(geometry, model.cutoff)
    times.append(time.process_time())
    encoded = EncodedStructure(model, geometry, graph, 1 << 15, Clock())
    times.append(time.process_time())
    values = np.zeros((model.channels, *grid.shape), dtype=np.float32)
    encoded.density_on(values, grid, None, lambda done, total: None)
    times.append(time.process_time())
    state = sum(layer.numel() * layer.element_size() for layer in encoded.state.layers) / 2**20
    return np.diff(times).tolist(), state, encoded.backend.description


def reset_peak_megabytes() -> float:
    """Forget the largest memory of this process so far; returns what it holds now (MB)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError as error:
        raise InputError(
            "the largest memory of a process can be measured on Linux only; run this study there"
        ) from error
    return peak_megabytes()


def peak_megabytes() -> float:
    """Largest resident memory of this process since the last reset (MB)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
