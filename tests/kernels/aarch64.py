"""Runs the kernels on another processor: compiled for aarch64 (NEON) with ziglang, called in processes under qemu.

    pip install ziglang; apt install qemu-user
    python -m tests.kernels.aarch64

Python stays where it is. Every call of a reading kernel, or of the sums of messages, goes to a process under qemu
with a copy of all it needs, and what it writes comes back; the numbers are compared with the published ones and with
torch in float64. Everything else (search for edges, tables, parsing) runs on this processor.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from charge3net.checkpoints.published import charge3net, deepdft
from charge3net.kernels import build
from charge3net.nn import messages_compiled as messages
from charge3net.predict.backends import cpu as read
from tests.helpers.backends import HARD, MODELS, at_points, error, exact, on_grid, sharp_model
from tests.helpers.golden import golden_cases, golden_state, relative_error
from tests.helpers.kernels import assert_step_agrees, example, network
from tests.predict.backends.test_cpu_gradient import assert_agree, derivatives
from tests.predict.backends.test_cpu_gradient import exact as exact_derivatives

HERE = Path(__file__).parent

#: Fields of a job that a kernel writes to.
WRITTEN = ("out", "grad_table", "grad_features")


def compile_driver(folder: Path) -> Path:
    """All kernels and the driver in one static program for aarch64."""
    target = folder / "driver"
    command = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl", "-static"]
    flags = [flag for flag in build._FLAGS if flag not in ("-shared", "-fPIC")]
    sources = [*map(str, build.sources()), str(HERE / "aarch64.cpp")]
    subprocess.run([*command, *flags, *sources, "-o", str(target)], check=True)
    return target


class Emulator:
    """Stands in for the loaded library. It has to be told (``know``) how large what jobs point to is."""

    def __init__(self, driver: Path) -> None:
        self.driver = driver
        self.sizes: dict[int, int] = {}
        self.lists: dict[int, list[int]] = {}
        self.calls: list[str] = []
        said = subprocess.run(["qemu-aarch64", str(driver)], capture_output=True, text=True, check=True).stdout
        self.width, self.columns = map(int, said.split())

    def know(self, *arrays: Any) -> None:
        """Arrays and tensors that a job points to."""
        for one in arrays:
            if isinstance(one, torch.Tensor):
                self.sizes[one.data_ptr()] = one.numel() * one.element_size()
            else:
                self.sizes[one.ctypes.data] = one.nbytes

    def c3n_layout(self, width: Any, columns: Any) -> None:
        """As the library of that processor answers."""
        width._obj.value, columns._obj.value = self.width, self.columns

    def __getattr__(self, name: str) -> Callable[[Any], int]:
        if not name.startswith("c3n_"):
            raise AttributeError(name)
        return lambda reference: self.call(name, reference._obj)

    def call(self, name: str, job: ctypes.Structure) -> int:
        """Run a kernel there."""
        self.calls.append(name)
        written: list[int] = []
        with tempfile.TemporaryDirectory() as folder:
            given, got = Path(folder, "given"), Path(folder, "got")
            given.write_bytes(self._block(bytes(job), False, self._pointers(job, written)))
            subprocess.run(["qemu-aarch64", str(self.driver), name, str(given), str(got)], check=True)
            data = got.read_bytes()
        for address in written:
            ctypes.memmove(address, data, self.sizes[address])
            data = data[self.sizes[address] :]
        assert not data
        return 0

    def _pointers(self, job: ctypes.Structure, written: list[int], base: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, block) of everything a structure points to."""
        for name, kind in job._fields_:
            offset, value = base + getattr(type(job), name).offset, getattr(job, name)
            if isinstance(value, ctypes.Structure):
                yield from self._pointers(value, written, offset)
            elif kind is ctypes.c_void_p and value:
                yield offset, self._pointed_to(name, value, written)

    def _pointed_to(self, name: str, address: int, written: list[int]) -> bytes:
        if name == "by_sender":
            inner = messages._BySender.from_address(address)
            return self._block(bytes(inner), False, self._pointers(inner, written))
        if address in self.lists:
            each = self.lists[address]
            parts = [(8 * i, self._numbers(name, one, written)) for i, one in enumerate(each)]
            return self._block(bytes(8 * len(each)), False, parts)
        return self._numbers(name, address, written)

    def _numbers(self, name: str, address: int, written: list[int]) -> bytes:
        if name in WRITTEN:
            written.append(address)
        return self._block(ctypes.string_at(address, self.sizes[address]), name in WRITTEN, ())

    @staticmethod
    def _block(
        data: bytes, is_output: bool, pointers: Iterator[tuple[int, bytes]] | Sequence[tuple[int, bytes]]
    ) -> bytes:
        inner = [struct.pack("<q", offset) + block for offset, block in pointers]
        return struct.pack("<qq", len(data), is_output) + data + struct.pack("<q", len(inner)) + b"".join(inner)


def install(emulator: Emulator) -> None:
    """Reads and sums of messages go to the emulator from now on."""
    evaluate_there, job_of, list_of = read.CpuBackend._evaluate, messages._job, messages._addresses

    def _evaluate(self: read.CpuBackend, targets: np.ndarray, points: np.ndarray, out: np.ndarray) -> None:
        points, targets = np.ascontiguousarray(points), np.ascontiguousarray(targets, dtype=np.int64)
        packed = self._packed
        emulator.know(points, targets, out, packed.without_neighbours, *packed.arrays, *self._senders.values())
        emulator.know(*vars(self._atoms).values())
        evaluate_there(self, targets, points, out)

    def _job(plan: messages.Plan, edges: Any, weights: torch.Tensor) -> Any:
        emulator.know(*(array for array in vars(plan).values() if isinstance(array, np.ndarray)), weights)
        sorted_by_sender = edges.by_sender
        for owner in (edges, sorted_by_sender):
            emulator.know(*(tensor for tensor in vars(owner).values() if isinstance(tensor, torch.Tensor)))
        return job_of(plan, edges, weights)

    def _addresses(tensors: Any) -> Any:
        emulator.know(*tensors)
        addresses = list_of(tensors)
        emulator.lists[addresses.value] = [tensor.data_ptr() for tensor in tensors]
        return addresses

    def _call(name: str, job: Any) -> None:
        if job.grad_table:
            emulator.sizes[job.grad_table] = 4 * job.n_rows * job.n_weights
        emulator.call(name, job)

    read.library = lambda: SimpleNamespace(handle=emulator, variant="neon", reason="")
    read.CpuBackend._evaluate = _evaluate
    messages._job, messages._addresses, messages._call = _job, _addresses, _call


def main() -> None:
    """Compile, compare, print; an assertion fails where numbers do."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(compile_driver(Path(folder)))
        install(emulator)
        for name in ("e3_l0", "e3_l1", "e3_l2", "e3_l3", "e3_l4", "painn", "schnet", "schnet_spin"):
            state = golden_state(name)
            model = charge3net.convert(state) if name.startswith("e3") else deepdft.convert(state, {})
            for case in golden_cases(name):
                points = case.arrays["probes"]
                density = at_points(model, case.geometry, points)
                assert relative_error(density.T, case.arrays["output"]) <= 1e-5, (name, case.name)
        for geometry, grid in HARD.values():
            for make in MODELS.values():
                model = make()
                density = on_grid(model, geometry, grid)
                assert error(density, exact(model, geometry, grid.points())) <= 1e-5
            model = sharp_model(4, 37, channels=2)
            assert_agree(derivatives(model, geometry, grid), exact_derivatives(model, geometry, grid.points()))
        reads = len(emulator.calls)
        for lmax in (2, 4):
            emulator.calls.clear()
            assert_step_agrees(network(lmax, mul=100), example(1), emulator.calls, runs=6)
        print(f"{reads} reads, vectors of {emulator.width}, and two training steps: all numbers agree")


if __name__ == "__main__":
    main()
