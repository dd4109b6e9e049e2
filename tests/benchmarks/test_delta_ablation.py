"""Variants of the models on fitted atoms: what a head does not see, errors and scaled errors, the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import delta_ablation
from benchmarks.table import RESULTS
from benchmarks.table import delta_ablation as shown
from charge3net import Predictor
from charge3net.atoms.superposition import N_FEATURES, Surroundings, local_features
from charge3net.data.splits import Split
from charge3net.models.delta import DeltaHead
from tests.helpers.studies import rattled_density, untrained_run, write_set


def around(points: int, seed: int) -> Surroundings:
    """Random densities, gradients and shares."""
    found = torch.Generator().manual_seed(seed)
    sizes = ((points, 6), (points, 3), (points, 3, 7))
    return Surroundings(*(torch.rand(size, generator=found) for size in sizes))


def test_a_head_does_not_see_what_is_held_constant() -> None:
    whole = around(50, 0)
    head, full = DeltaHead(0, 8, 1), DeltaHead(0, 8, 1)
    full.standardise(local_features(whole))
    with delta_ablation.constant(delta_ablation.FEATURES["without gradient and Laplacian"]):
        head.standardise(local_features(whole))
    torch.nn.init.normal_(head.layers[-1].weight)
    full.load_state_dict({**head.state_dict(), "mean": full.mean, "spread": full.spread})
    other = whole._replace(gradient=whole.gradient.flip(0))
    assert torch.equal(head(whole), head(other))
    assert not torch.allclose(full(whole), full(other))
    assert sorted({*range(N_FEATURES)} - {*delta_ablation.FEATURES["logarithm of the density alone"]}) == [0]
    again = DeltaHead(0, 8, 1)
    again.standardise(local_features(whole))
    assert torch.equal(again.spread, full.spread)


def test_every_variant_has_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in place of the trainings, on one kind; errors by hand."""
    densities = {
        key: rattled_density(numbers, i) for i, (key, numbers) in enumerate({"a": [1, 3], "b": [3, 1]}.items())
    }
    write_set(tmp_path, densities, Split(("a",), ("b",), ()))
    Split(("a",), ("b",), ()).save(tmp_path / "cells" / "split.json")
    monkeypatch.setattr(delta_ablation, "KINDS", ("cells",))
    monkeypatch.setattr(delta_ablation, "trained", lambda data, run, _: untrained_run(run, data / "split.json", 0))
    monkeypatch.setattr(delta_ablation, "REACHES", (3.0,))
    monkeypatch.setattr(delta_ablation, "FEATURES", {"all": ()})
    found = delta_ablation.measure(tmp_path, tmp_path / "work", steps=1)
    assert set(found) == {"reach", "features"}
    predictor = Predictor.from_checkpoint(tmp_path / "work" / "reach=3")
    truth = densities["b"].total.astype(float)
    predicted = predictor.predict(densities["b"].geometry, grid=densities["b"].grid).total.astype(float)
    of_atoms = found["reach"]["3"]["cells"]
    assert of_atoms["error"] == pytest.approx(100 * np.abs(predicted - truth).sum() / truth.sum(), rel=1e-2)
    scaled = predicted * truth.sum() / predicted.sum()
    assert of_atoms["scaled"] == pytest.approx(100 * np.abs(scaled - truth).sum() / truth.sum(), rel=1e-2)
    lines = shown({**found, "steps": 1})
    assert lines[0] == "| variant | cells |"
    assert lines[2].startswith("| fitted atoms, reach 3 Å | ")


def test_the_table_of_the_models_page_is_that_of_the_measurement() -> None:
    result = json.loads((RESULTS / "delta_ablation.json").read_text())
    page = (RESULTS.parents[1] / "docs" / "models.md").read_text()
    assert "\n".join(shown(result)) in page
    assert result["steps"] == 4000
    assert set(result["features"]) == set(delta_ablation.FEATURES)
