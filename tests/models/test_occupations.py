"""The head for density matrices: it rotates with the structure, knows its elements, learns, and is saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from charge3net.checkpoints.occupations import load_head, save_head
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.occupations import OccupationHead, atom_features, difference_tensors, distance, feature_irreps
from charge3net.models.schnet import SchNetDensity
from charge3net.paw.matrices import IRREPS
from charge3net.paw.setups import Setup

HYDROGEN = Setup("H.PBE.gz", 1, (1, -1, -1), (0, 0, 1), (1.0, 0.0, 0.0))
NICKEL = Setup("Ni.PBE.gz", 28, (4, 3, 4, 3, -1, -1), (0, 1, 1, 2, 0, 2), (2.0, 6.0, 0.0, 8.0, 0.0, 0.0))
POSITIONS = np.array([[0.0, 0.0, 0.0], [1.6, 0.3, 0.2], [0.2, 1.5, 0.9]])
NUMBERS = np.array([28, 1, 1])


def graph_of(turn: np.ndarray | None = None):
    turn = np.eye(3) if turn is None else turn
    cell = np.array([[4.0, 0.1, 0.0], [0.0, 4.2, 0.3], [0.2, 0.0, 3.9]])
    return build_atom_graph(Geometry(NUMBERS, POSITIONS @ turn.T, cell @ turn.T, np.ones(3, bool)), 4.0)


@pytest.fixture
def pair():
    """A small density model and a head on its features with elements fitted to random targets."""
    torch.manual_seed(0)
    model = ChargE3Net(lmax=2, mul=12, num_interactions=2, num_basis=4, hidden=8).eval()
    head = OccupationHead(feature_irreps(model), [HYDROGEN, NICKEL], lmax=3, mul=16, num_basis=4, hidden=8)
    generator = np.random.default_rng(1)
    matrices = [generator.normal(size=(s.size, s.size)) for s in (NICKEL, HYDROGEN, HYDROGEN)]
    targets = difference_tensors([one + one.T for one in matrices], [NICKEL, HYDROGEN, HYDROGEN])
    head.fit_elements(torch.tensor(NUMBERS), torch.from_numpy(targets).float())
    return model.double(), head.double(), torch.from_numpy(targets)


def test_matrices_turn_with_the_structure(pair):
    model, head, _ = pair
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    for turn in (q, -q):  # a proper and an improper operation
        wigner = IRREPS.D_from_matrix(torch.from_numpy(turn))
        graph, turned = graph_of(), graph_of(turn)
        before, after = (head(one, atom_features(model, one)) for one in (graph, turned))
        torch.testing.assert_close(after, before @ wigner.T, atol=1e-6, rtol=1e-5)
        assert (after - before).abs().max() > 0.05
    matrices = head.matrices(graph, atom_features(model, graph))
    assert [len(one) for one in matrices] == [18, 5, 5]
    np.testing.assert_allclose(matrices[0], matrices[0].T, atol=1e-12)


def test_elements_have_their_own_mean_and_no_shells_that_they_lack(pair):
    model, head, targets = pair
    scalars = IRREPS.count("0e")
    torch.testing.assert_close(head.centre[1], targets[1:, :scalars].mean(0), atol=1e-6, rtol=1e-6)
    graph = graph_of()
    found = head(graph, atom_features(model, graph))
    assert (found[1:][:, targets[1] == 0.0].abs() < 1e-12).all()
    higher = torch.cat([torch.full((mul * ir.dim,), ir.l > 3) for mul, ir in IRREPS])
    assert found[:, higher].abs().max() == 0.0
    assert targets[0, higher].abs().max() > 0.1


def test_a_head_learns_what_another_one_says(pair):
    model, head, _ = pair
    graph = graph_of()
    features = atom_features(model, graph)
    wanted = head(graph, features).detach()
    with torch.no_grad():
        for weight in head.parameters():
            weight.normal_()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = distance(head(graph, features), wanted).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_unknown_elements_and_other_models_are_refused(pair):
    _, head, _ = pair
    graph = graph_of()
    other = OccupationHead(str(head.features), [HYDROGEN, NICKEL], lmax=1, mul=4, num_basis=4, hidden=4)
    with pytest.raises(InputError, match="element 1 were learned"):
        other(graph, torch.zeros(3, other.features.dim))
    with pytest.raises(InputError, match="not of schnet"):
        feature_irreps(SchNetDensity(num_interactions=1))


def test_saved_heads_come_back_for_their_own_density_model(pair, tmp_path):
    model, head, _ = pair
    head.float()
    save_head(tmp_path / "head", head, model, {"steps": 3})
    found, graph = load_head(tmp_path / "head", model), graph_of()
    features = atom_features(model, graph).float()
    torch.testing.assert_close(found(graph, features), head.eval()(graph, features))
    with pytest.raises(InputError, match="another density model"):
        load_head(tmp_path / "head", ChargE3Net(lmax=0, mul=4, num_interactions=1))
    card = tmp_path / "head" / "head.json"
    text = card.read_text()
    card.write_text(json.dumps(json.loads(text) | {"version": 2}))
    with pytest.raises(InputError, match="this version reads charge3net-occupations 1"):
        load_head(tmp_path / "head", model)
    card.write_text(text)
    (tmp_path / "head" / "head.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match="is not the file"):
        load_head(tmp_path / "head", model)
