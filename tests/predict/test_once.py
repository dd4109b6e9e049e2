"""What a prediction computes once per structure, and what it must not pass over."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType

import numpy as np
import pytest
import torch

from charge3net import Density, Predictor
from charge3net.geometry import Geometry
from charge3net.graph import cell_list
from charge3net.graph.types import AtomGraph
from charge3net.models.registry import ARCHITECTURES, Architecture, build_model
from charge3net.predict.backends import cpu
from tests.helpers.backends import cpu_reason, gpu_reason
from tests.helpers.networks import small_model


@pytest.fixture
def counts(monkeypatch) -> Counter[str]:
    """How often each of these is called."""
    found: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args, **kwargs):
            found[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(cell_list, "_sort_into_bins")
    count(Geometry.complete_cell, "func")
    count(AtomGraph, "edge_vectors")
    count(cpu, "packed_or_reason")
    count(cpu.CpuBackend, "__init__")
    count(Density, "__post_init__")
    return found


def crystal(atoms_per_side: int) -> Geometry:
    """A displaced cubic lattice, 2.6 Å between neighbours."""
    rng = np.random.default_rng(0)
    sites = np.stack(np.meshgrid(*[np.arange(atoms_per_side)] * 3), axis=-1).reshape(-1, 3)
    positions = 2.6 * sites + rng.normal(scale=0.1, size=sites.shape)
    cell = 2.6 * atoms_per_side * np.eye(3)
    return Geometry(rng.integers(1, 30, len(sites)), positions, cell, np.ones(3, dtype=bool))


@pytest.mark.compiled
@pytest.mark.parametrize("atoms_per_side", [3, 7], ids=["27 atoms", "343 atoms"])
def test_a_prediction_prepares_a_structure_once(counts, atoms_per_side):
    Predictor(small_model("charge3net")).predict(crystal(atoms_per_side), shape=(6, 6, 6))
    names = ("_sort_into_bins", "func", "edge_vectors", "packed_or_reason", "__init__", "__post_init__")
    assert counts == dict.fromkeys(names, 1)


@pytest.mark.compiled
def test_a_gradient_prepares_a_structure_once(counts):
    geometry = crystal(7)
    Predictor(small_model("charge3net")).gradient(geometry, geometry.positions[:5] + 0.4)
    assert counts["_sort_into_bins"] == counts["edge_vectors"] == counts["packed_or_reason"] == counts["__init__"] == 1
    assert counts["func"] == 2  # of the given structure and of the sorted one, where points on atoms are searched


@pytest.mark.compiled
@pytest.mark.parametrize("architecture", ["charge3net", "schnet", "painn"])
def test_every_trainable_model_has_compiled_kernels(architecture):
    assert cpu_reason(small_model(architecture)) == ""
    assert cpu._PACKERS.keys() <= ARCHITECTURES.keys()


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("module", "error"), [("charge3net.predict.backends.cpu_none", ImportError), ("charge3net.units", AttributeError)]
)
def test_a_wrong_path_of_a_packer_fails(monkeypatch, module, error):
    monkeypatch.setitem(cpu._PACKERS, "schnet", (module, 0))
    with pytest.raises(error):
        Predictor(small_model("schnet")).predict(crystal(2), shape=(4, 4, 4))


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("module", "name", "error"),
    [("charge3net.models.none", "SchNetDensity", ImportError), ("charge3net.models.schnet", "None_", AttributeError)],
)
def test_a_wrong_path_of_a_model_fails(monkeypatch, module, name, error):
    model = small_model("schnet")
    wrong = MappingProxyType({"schnet": Architecture(module, name, "SchNet", "a wrong path")})
    monkeypatch.setattr(cpu, "ARCHITECTURES", wrong)
    with pytest.raises(error):
        Predictor(model).predict(crystal(2), shape=(4, 4, 4))


def test_a_wrong_path_of_the_gpu_kernels_fails(monkeypatch):
    from charge3net.predict.backends import gpu

    def missing() -> None:
        raise ImportError("no such module")

    monkeypatch.delenv("CHARGE3NET_KERNELS", raising=False)  # switched off, they are not looked for
    monkeypatch.setattr(gpu, "_triton", lambda: ("3.7", ""))
    monkeypatch.setattr(gpu, "kernels", missing)
    with pytest.raises(ImportError):
        gpu_reason(build_model("charge3net", {"lmax": 1, "mul": 4}))


@pytest.mark.filterwarnings("ignore::charge3net.predict.predictor.PredictionWarning")
def test_the_cell_list_of_sorted_atoms_is_that_of_a_new_structure():
    from charge3net.graph.build import build_atom_graph

    geometry = crystal(7)
    ordered, graph = cell_list.sorted_in_space(geometry, build_atom_graph(geometry, 3.0))
    carried = cell_list.cell_list(ordered)
    again = cell_list.cell_list(Geometry(ordered.numbers, ordered.positions, ordered.cell, ordered.pbc))
    assert again is not carried
    for name, array in vars(again).items():
        np.testing.assert_array_equal(getattr(carried, name), array, err_msg=name)
    assert torch.equal(graph.positions, torch.from_numpy(ordered.positions.copy()))
