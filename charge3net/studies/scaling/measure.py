"""The structures of the scaling study, and the time and memory of one prediction."""

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

#: Standard deviation of the displacement of atoms (Å), so that no two of them have the same environment.
DISPLACED = 0.02

#: Crystals of :func:`unit_cell`.
CRYSTALS = ("BaVS3", "Li3Co2NiO6")


@dataclass(frozen=True)
class Measurement:
    """Time and memory of one structure.

    Attributes:
        architecture: of the model.
        crystal: formula.
        repeat: number of the repetition.
        atoms, points: their numbers.
        neighbours, encoding, reading: processor time in s of neighbour search, atoms and grid, on one thread.
        megabytes: largest resident memory minus that before the structure was built; it includes the encoded atoms.
        state_megabytes: memory of the encoded atoms.
        backend: description of the backend that evaluates the grid.
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
        """Total time."""
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
        raise InputError(f"the scaling study knows the crystals {', '.join(CRYSTALS)}, not {crystal!r}")
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
    """Repeats of a cell along its vectors for a supercell of about this many atoms, close to a cube."""
    side = (atoms / len(unit) * unit.volume) ** (1 / 3)
    a, b, c = (max(1, round(side / length)) for length in np.linalg.norm(unit.cell, axis=1))
    return a, b, c


def supercell(unit: Geometry, repeats: tuple[int, int, int]) -> Geometry:
    """The repeated cell with atoms displaced by :data:`DISPLACED` and in random order, the same at every call."""
    rng = np.random.default_rng(0)
    whole = Geometry.of(unit.to_structure() * repeats)
    order = rng.permutation(len(whole))
    positions = whole.positions + rng.normal(scale=DISPLACED, size=whole.positions.shape)
    return Geometry(whole.numbers[order], positions[order], whole.cell, whole.pbc)


def measure(architecture: str, crystal: str, atoms: int, spacing: float, repeat: int) -> Measurement:
    """One measurement in this process on one thread; start a new process for each, so that memory is comparable.

    The unit cell is predicted first, so that work done once per process (tables, first calls) is not measured.

    Args:
        architecture: a model of published size with random weights of seed 0.
        crystal: of :data:`CRYSTALS`.
        atoms: approximate number.
        spacing: of the grid in Å; all sizes of a crystal have the same points per atom.
        repeat: number of the repetition.
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
    _predict(model, unit, coarse)
    before = reset_peak_megabytes()
    seconds, state, backend = _predict(model, geometry, grid)
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


def _predict(model: DensityModel, geometry: Geometry, grid: Grid) -> tuple[list[float], float, str]:
    """Seconds of neighbour search, atoms and grid; megabytes of the encoded atoms; the backend."""
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
    """Reset the peak memory of this process; returns its present memory (MB)."""
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
