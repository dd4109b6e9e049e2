"""Reading and writing a CHGCAR and a cube file beside pymatgen and ASE.

Protocol: one made-up structure of two atoms, values spread over six decades, ``--points``³ voxels; every reader and
writer in turn, ``--rounds`` times over, so that all see the same load of the machine; medians of wall-clock and of
processor times in one process, and the shortest of each. Numbers read are compared: a reader that disagrees ends the
run. charge3net reads with the threads that ``OMP_NUM_THREADS`` allows.

    python -m benchmarks.io_speed [--points 100] [--rounds 7] [--out results/io_speed.json]
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from benchmarks.record import circumstances, write_result
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import read_density, write_density
from charge3net.kernels import status
from charge3net.kernels.threads import threads


def made_up(points: int) -> Density:
    """A density of many magnitudes in a skewed cell."""
    cell = np.array([[0.0, 2.75, 2.75], [2.75, 0.0, 2.75], [2.75, 2.75, 0.0]])
    geometry = Geometry(np.array([14, 14]), np.array([[0.0, 0.0, 0.0], [1.375] * 3]), cell, np.ones(3, dtype=bool))
    values = np.exp(np.random.default_rng(0).normal(scale=2.5, size=(1, points, points, points)))
    return Density(geometry, Grid(cell, (points, points, points)), values)


def readers(folder: Path) -> dict[str, dict[str, Callable[[], ndarray]]]:
    """For every file, who reads it and gives [nx, ny, nz] values in e/Å³."""
    from ase.calculators.vasp import VaspChargeDensity
    from ase.io.cube import read_cube_data
    from pymatgen.io.common import VolumetricData
    from pymatgen.io.vasp.outputs import Chgcar

    from charge3net.units import E_PER_BOHR3

    def pymatgen_chgcar(name: str) -> ndarray:
        chgcar = Chgcar.from_file(str(folder / name))
        return chgcar.data["total"] / chgcar.structure.volume

    def ours(name: str) -> ndarray:
        return read_density(folder / name).total

    return {
        "CHGCAR": {
            "charge3net": lambda: ours("CHGCAR"),
            "pymatgen": lambda: pymatgen_chgcar("CHGCAR"),
            "ASE": lambda: VaspChargeDensity(str(folder / "CHGCAR")).chg[0],
        },
        "CHGCAR.gz": {
            "charge3net": lambda: ours("CHGCAR.gz"),
            "pymatgen": lambda: pymatgen_chgcar("CHGCAR.gz"),
        },
        "rho.cube": {
            "charge3net": lambda: ours("rho.cube"),
            "pymatgen": lambda: VolumetricData.from_cube(str(folder / "rho.cube")).data["total"] * E_PER_BOHR3,
            "ASE": lambda: read_cube_data(str(folder / "rho.cube"))[0] * E_PER_BOHR3,
        },
    }


def writers(folder: Path, density: Density) -> dict[str, dict[str, Callable[[], Any]]]:
    """For every kind of file, who writes it."""
    from ase import Atoms
    from ase.calculators.vasp import VaspChargeDensity
    from ase.io.cube import write_cube
    from pymatgen.io.vasp.inputs import Poscar
    from pymatgen.io.vasp.outputs import Chgcar

    geometry = density.geometry
    atoms = Atoms(geometry.numbers, geometry.positions, cell=geometry.cell, pbc=True)
    theirs = Chgcar(Poscar(density.structure), {"total": density.total * density.grid.volume})
    ase = VaspChargeDensity(None)
    ase.atoms, ase.chg = [atoms], [density.total]

    def ase_cube() -> None:
        with open(folder / "ase.cube", "w") as stream:
            write_cube(stream, atoms, density.total)

    return {
        "CHGCAR": {
            "charge3net": lambda: write_density(density, folder / "out.chgcar"),
            "pymatgen": lambda: theirs.write_file(str(folder / "pymatgen.chgcar")),
            "ASE": lambda: ase.write(str(folder / "ase.chgcar"), format="chgcar"),
        },
        "rho.cube": {
            "charge3net": lambda: write_density(density, folder / "out.cube"),
            "pymatgen": lambda: theirs.to_cube(str(folder / "pymatgen.cube")),
            "ASE": ase_cube,
        },
    }


def race(runners: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Median and least seconds of each, on the clock and of the processor, run in turn."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start, busy = time.perf_counter(), time.process_time()
            run()
            seconds[name].append((time.perf_counter() - start, time.process_time() - busy))
    return {
        name: {
            "seconds": statistics.median(t[0] for t in times),
            "cpu_seconds": statistics.median(t[1] for t in times),
            "least_seconds": min(t[0] for t in times),
            "least_cpu_seconds": min(t[1] for t in times),
        }
        for name, times in seconds.items()
    }


def check_same(runners: Mapping[str, Callable[[], ndarray]], rtol: float) -> None:
    """Every reader gives the same numbers."""
    reference = runners["charge3net"]()
    for name, read in runners.items():
        np.testing.assert_allclose(read(), reference, rtol=rtol, err_msg=name)


def table(rows: list[dict[str, Any]]) -> str:
    """Seconds, million points per second and how many times longer than charge3net."""
    lines = ["| task | who | s | CPU s | Mpoints/s | times ours | times ours, CPU |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        lines.append(
            f"| {row['task']} | {row['who']} | {row['seconds']:.3f} | {row['cpu_seconds']:.3f} |"
            f" {row['points'] / row['seconds'] / 1e6:.2f} | {row['ratio']:.1f} | {row['cpu_ratio']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the races and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100, help="voxels along each axis (smoke test: 24)")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions, of which the median is taken")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    options = parser.parse_args()
    density = made_up(options.points)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for target in ("CHGCAR", "rho.cube"):
            write_density(density, folder / target)
        (folder / "CHGCAR.gz").write_bytes(gzip.compress((folder / "CHGCAR").read_bytes(), 6))
        reading, writing = readers(folder), writers(folder, density)
        for runners in reading.values():
            check_same(runners, 1e-7)  # pymatgen and ASE hold older values of the Bohr radius
        for verb, races in (("read", reading), ("write", writing)):
            for target, runners in races.items():
                seconds = race(runners, options.rounds if verb == "read" else max(options.rounds // 3, 1))
                ours = seconds["charge3net"]
                for who, taken in seconds.items():
                    row = {"task": f"{verb} {target}", "who": who, "points": len(density.grid), **taken}
                    row["ratio"] = taken["seconds"] / ours["seconds"]
                    row["cpu_ratio"] = taken["cpu_seconds"] / ours["cpu_seconds"]
                    rows.append(row)
    print(table(rows))
    if options.out:
        facts = {"machine": circumstances(["numpy", "pymatgen-core", "ase"]), "kernels": status(), "threads": threads()}
        write_result(options.out, facts | {"points": options.points, "rounds": options.rounds, "rows": rows})


if __name__ == "__main__":
    main()
