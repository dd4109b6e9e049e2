"""How exact ``Density.at`` is, and how large the pages of ``Density.view`` are.

Every ``--every``-th test entry of a store: splines of several degrees at 300 random points beside the exact Fourier
series; the size of the page of each, and of one crystal repeated until it has ``--atoms`` atoms.

    python -m data_prep.bundles.unpack benchmark_set -o bench
    python -m benchmarks.densities bench [--every 8] [--atoms 200]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from charge3net.analysis.interpolation import fourier_series
from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid

ORDERS = (1, 3, 5)


def interpolation_errors(density: Density, points: int = 300) -> dict[int, float]:
    """Σ|ρ_spline − ρ_Fourier| / Σ|ρ_Fourier| in % at random points of the cell, by degree of the splines."""
    places = density.grid.origin + np.random.default_rng(0).random((points, 3)) @ density.grid.cell
    exact = fourier_series(density.total, density.grid, places)
    total_only = Density(density.geometry, density.grid, density.total)
    return {n: float(100 * np.abs(total_only.at(places, n) - exact).sum() / np.abs(exact).sum()) for n in ORDERS}


def repeated(density: Density, atoms: int) -> Density:
    """The crystal n × n × n times, n the smallest for this number of atoms."""
    n = int(np.ceil((atoms / len(density.geometry)) ** (1 / 3)))
    shifts = np.array(list(itertools.product(range(n), repeat=3))) @ density.geometry.cell
    positions = (density.geometry.positions[None] + shifts[:, None]).reshape(-1, 3)
    cell, numbers = n * density.geometry.cell, np.tile(density.geometry.numbers, n**3)
    nx, ny, nz = (n * m for m in density.grid.shape)
    geometry = Geometry(numbers, positions, cell, density.geometry.pbc)
    return Density(geometry, Grid(cell, (nx, ny, nz)), np.tile(density.total, (n, n, n)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of an unpacked set")
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--atoms", type=int, default=200)
    args = parser.parse_args()
    store = Store(args.data / "store")
    errors: dict[str, list[dict[int, float]]] = {}
    sizes: dict[str, list[float]] = {}
    for kind in sorted(path.parent.name for path in args.data.glob("*/split.json")):
        for key in read_split(args.data / kind / "split.json").test[:: args.every]:
            density = store[key].density()
            errors.setdefault(kind, []).append(interpolation_errors(density))
            sizes.setdefault(kind, []).append(len(density.view().page.encode()) / 1024)
    print("mean error of Density.at in % of the density, by degree of the splines; size of Density.view, KiB")
    for kind, found in errors.items():
        means = ", ".join(f"{n}: {np.mean([one[n] for one in found]):.2g}" for n in ORDERS)
        print(f"{kind} ({len(found)}): {means}; {min(sizes[kind]):.0f} to {max(sizes[kind]):.0f} KiB")
    crystals = read_split(args.data / "crystals" / "split.json").test
    large = repeated(store[crystals[0]].density(), args.atoms)
    print(f"{crystals[0]} repeated, {large!r}: {len(large.view().page.encode()) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
