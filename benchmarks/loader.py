"""Training batches per second from the loader: 16 structures × 200 probes, real densities, no model.

Protocol: the entries of a store, or density files built into one (``--data``, default: the crystals and molecules of
$CHARGE3NET_SHARED/dft); one pass over the data to fill the caches, then ``--batches`` batches for each number of
workers. Wall-clock and, without workers, processor time; the share of the neighbour search; the same on pymatgen's
search (the path without compiled kernels). Torch runs on one thread. Anonymous memory is taken after the first pass and
at the end.

    python -m benchmarks.loader [--data DIR…] [--smoke] [--out results/loader.json]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

import charge3net.graph.build as graph_build
from benchmarks.record import anonymous_mb, circumstances, write_result
from charge3net.data.build import build_store
from charge3net.data.dataset import ProbeDataset
from charge3net.data.find import find_files
from charge3net.data.index import INDEX
from charge3net.data.sampling import StepSampler
from charge3net.data.store import Store
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch
from charge3net.kernels import status, torch_only


@contextlib.contextmanager
def timed_search() -> Iterator[list[float]]:
    """The seconds of every neighbour search within it, of the processor."""
    seconds: list[float] = []
    search = graph_build.find_neighbors

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        found = search(*arguments)
        seconds.append(time.process_time() - start)
        return found

    graph_build.find_neighbors = timed
    try:
        yield seconds
    finally:
        graph_build.find_neighbors = search


def loader(store: Store, workers: int, options: argparse.Namespace) -> DataLoader[DensityBatch]:
    """Endless training batches, as a training run has them."""
    data = ProbeDataset(store, store.keys(), options.cutoff, options.probes)
    sampler = StepSampler(len(store), options.batch_size)
    return DataLoader(
        data, batch_sampler=sampler, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0
    )


def measure(store: Store, workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """Rates after one pass over the data."""
    batches = iter(loader(store, workers, options))
    for _ in range((workers + 1) * (len(store) // options.batch_size + 1)):
        next(batches)
    memory, edges = anonymous_mb(), 0
    with timed_search() as searching:
        clock, busy = time.perf_counter(), time.process_time()
        for _ in range(options.batches):
            edges += len(next(batches).probes.senders)
        clock, busy = time.perf_counter() - clock, time.process_time() - busy
    row: dict[str, Any] = {
        "workers": workers,
        "batches_per_second": options.batches / clock,
        "probe_edges_per_batch": edges / options.batches,
        "memory_growth_mb": anonymous_mb() - memory,
    }
    if workers == 0:
        row |= {"batches_per_cpu_second": options.batches / busy, "search_share": sum(searching) / busy}
    return row


def compare(store: Store, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each number of workers, and one for the path without kernels."""
    rows = [{"search": status()["backend"], **measure(store, workers, options)} for workers in options.workers]
    with torch_only():
        rows.append({"search": "pymatgen", **measure(store, 0, options)})
    print("| search | workers | batches/s | batches/s of one core | search % | edges per batch | memory MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        alone = (
            f"{row['batches_per_cpu_second']:.0f} | {100 * row['search_share']:.0f}" if "search_share" in row else " | "
        )
        print(
            f"| {row['search']} | {row['workers']} | {row['batches_per_second']:.0f} | {alone} |"
            f" {row['probe_edges_per_batch']:.0f} | {row['memory_growth_mb']:+.1f} |"
        )
    return rows


def main() -> None:
    """Build the store where there is none, measure, print."""
    shared = Path(os.environ.get("CHARGE3NET_SHARED", "."), "dft")
    default = [shared / "crystals", shared / "molecules"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=default, help="a store, or folders of density files")
    parser.add_argument("--batch-size", type=int, default=16, help="structures in a batch")
    parser.add_argument("--probes", type=int, default=200, help="probes per structure")
    parser.add_argument("--cutoff", type=float, default=4.0, help="cutoff in Å")
    parser.add_argument("--batches", type=int, default=100, help="batches timed for each row")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="numbers of worker processes")
    parser.add_argument("--smoke", action="store_true", help="three batches: does it run?")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    options = parser.parse_args()
    options.batches = 3 if options.smoke else options.batches
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.data[0]
        if not (path / INDEX).is_file():
            path = Path(folder, "store")
            build_store(find_files(options.data), path)
        store = Store(path)
        print(f"{len(store)} structures\n")
        rows = compare(store, options)
    if options.out:
        settings = {k: getattr(options, k) for k in ("batch_size", "probes", "cutoff", "batches")}
        names = [str(one) for one in options.data]
        result = {"data": names, "settings": settings, "machine": circumstances(["torch", "numpy", "pymatgen-core"])}
        write_result(options.out, result | {"rows": rows})


if __name__ == "__main__":
    main()
