"""The GPU backend without a GPU and without Triton: which backend is chosen, and the messages."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from charge3net.cli.doctor import examine
from charge3net.models.charge3net import ChargE3Net
from charge3net.nn.e3nn import o3
from charge3net.predict.backends import gpu
from charge3net.predict.backends import gpu_evaluate as gpu_read
from charge3net.predict.backends.choose import choose_backend
from charge3net.predict.backends.gpu_weights import _norms
from charge3net.predict.backends.plain_torch import TorchBackend
from charge3net.progress import Clock
from tests.helpers.backends import state_of
from tests.helpers.kernels import geometry, network


def test_the_device_of_a_model_decides_which_backend_is_chosen(monkeypatch):
    atoms = geometry(0, 2)
    model = network(1, 8, num_interactions=1)
    given = (model, state_of(model, atoms), atoms)
    assert choose_backend(*given, 100, Clock()).description.startswith(("compiled", "torch: "))
    monkeypatch.setattr(ChargE3Net, "device", torch.device("cuda", 0))
    monkeypatch.setattr(gpu, "open_backend", lambda *given: "the driver is too old")
    chosen = choose_backend(*given, 100, Clock())
    assert isinstance(chosen, TorchBackend)
    assert chosen.description == "torch: the driver is too old"
    opened = object.__new__(gpu_read.GpuBackend)
    opened.rows = 1
    monkeypatch.setattr(gpu, "open_backend", lambda *asked: opened if asked == given else "")
    assert choose_backend(*given, 100, Clock()) is opened
    assert opened.description == "triton"


def test_runs_of_tiles():
    slots, found = np.array([3, 0, 4, 12, 1, 1, 5, 0]), []
    for first, last in gpu_read._runs(slots, 7):
        assert last == first + 1 or slots[first:last].sum() <= 7
        found += range(first, last)
    assert found == list(range(len(slots)))
    assert list(gpu_read._runs(slots[:0], 7)) == []


def test_factors_of_the_harmonics():
    """Unnormalised: P_l^m of scipy without its sign and sin^m, over (2m − 1)!!, times (z + ix)^m; e3nn has the rest."""
    from scipy.special import lpmv

    vectors = torch.nn.functional.normalize(torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator()), dim=1)
    x, y, z = vectors.numpy().T
    for l in range(7):
        expected = o3.spherical_harmonics(l, vectors, normalize=True, normalization="component").numpy()
        for m in range(l + 1):
            power = (z + 1j * x) ** m
            legendre = (-1) ** m * lpmv(m, l, y) / np.abs(power) / np.prod(range(1, 2 * m, 2))
            np.testing.assert_allclose(_norms(l)[l + m] * legendre * power.real, expected[:, l + m], atol=1e-12)
            if m:
                np.testing.assert_allclose(_norms(l)[l - m] * legendre * power.imag, expected[:, l - m], atol=1e-12)


def test_doctor_names_the_backend_of_a_gpu(monkeypatch):
    monkeypatch.delenv("CHARGE3NET_KERNELS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "_triton", lambda: ("", "triton is not installed"))
    assert examine()["devices"]["GPU"] == "evaluated by torch: triton is not installed"
    monkeypatch.setattr(gpu, "_triton", lambda: ("3.7.1", ""))
    assert examine()["devices"]["GPU"].startswith("ChargE3Net is evaluated by triton 3.7.1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_benchmark_says_that_there_is_no_gpu(monkeypatch, capsys):
    from benchmarks import gpu_read as benchmark

    monkeypatch.setattr(sys, "argv", ["gpu_read"])
    assert benchmark.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
