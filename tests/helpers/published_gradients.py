"""Gradients of our models in the order of the published parameters."""

from __future__ import annotations

import numpy as np

from charge3net.checkpoints.published.deepdft import published_names
from charge3net.models.base import DensityModel
from tests.helpers.golden import GoldenCase, golden_facts


def published_gradients(model: DensityModel, case: GoldenCase, name: str) -> tuple[float, np.ndarray, np.ndarray]:
    """L1 loss, and per published parameter the norm and the sum of its gradient (0 where it has none)."""
    batch = case.batch(model.cutoff)
    model.zero_grad()
    loss = (model(batch) - batch.target.to(model.dtype)).abs().mean()
    loss.backward()
    parameters = dict(model.named_parameters())
    by_name = {theirs: parameters[ours].grad for ours, theirs in published_names(model).items()}
    gradients = [by_name[published] for published in golden_facts(name)["param_names"]]
    norms = [0.0 if g is None else float(g.norm()) for g in gradients]
    sums = [0.0 if g is None else float(g.sum()) for g in gradients]
    return float(loss.detach()), np.array(norms), np.array(sums)
