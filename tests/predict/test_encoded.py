"""Reading structures whose atoms are put in another order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.graph.cell_list import sorted_in_space
from charge3net.graph.chunks import MANY_ATOMS
from charge3net.models.charge3net import ChargE3Net
from charge3net.predict.predictor import Predictor


@pytest.mark.filterwarnings("ignore::charge3net.predict.predictor.PredictionWarning")
def test_a_large_structure_is_read_alike_with_kernels_and_without():
    rng = np.random.default_rng(0)
    n = MANY_ATOMS + 20
    geometry = Geometry(
        rng.integers(1, 60, n), rng.uniform(0.0, 16.0, (n, 3)), 16.0 * np.eye(3), np.ones(3, dtype=bool)
    )
    ordered, _ = sorted_in_space(geometry, build_atom_graph(geometry, 1.0))
    assert (ordered.positions != geometry.positions).any()
    torch.manual_seed(0)
    model = ChargE3Net(lmax=1, mul=12, num_interactions=1)
    points = rng.uniform(0.0, 16.0, (60, 3))
    plain = Predictor(model, kernels=False).at(geometry, points)
    np.testing.assert_allclose(Predictor(model).at(geometry, points), plain, rtol=0, atol=1e-5 * np.abs(plain).max())
