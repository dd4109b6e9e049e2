"""The study of fine-tuning: rates chosen on validation, equal trainings from both starts, figures and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.checkpoints import load_card
from charge3net.cli.main import main
from charge3net.data.splits import read_split
from charge3net.errors import InputError
from charge3net.studies import find_study
from charge3net.studies.fine_tuning import run
from charge3net.studies.fine_tuning.summary import compare
from charge3net.studies.record import pictures_in
from tests.helpers.evaluation import make_store
from tests.helpers.studies import TINY, config_of, errors_of

#: Settings of a short training that leave the size of the model alone.
SHORT = tuple(one for one in TINY if not one.startswith("model."))


@pytest.fixture(scope="module")
def densities(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Paths of a store, its split (four training materials), and a trained SchNet."""
    folder = tmp_path_factory.mktemp("densities")
    _, split = make_store(folder / "store", materials=8)
    split.save(folder / "split.json")
    data = [f"data.store={folder / 'store'}", f"data.split={folder / 'split.json'}", f"output={folder / 'source'}"]
    assert main(["train", "experiment=small", "model=small/schnet", "model.features=4", *data, *SHORT]) == 0
    return str(folder / "store"), str(folder / "split.json"), str(folder / "source")


def _settings(densities: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "store": densities[0],
        "split": densities[1],
        "source": densities[2],
        "model": "small/schnet",
        "isolated_atoms": None,
        "validation": 1,
        "seen": [],
        "sizes": [1, 3],
        "rate_size": 1,
        "seeds": [0],
        "tuned_rates": [0.001, 1e-20],
        "scratch_rates": [0.002],
        "overrides": [*SHORT, "train.ema=null"],
    }


def test_the_study(densities: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    store, split, source = densities
    monkeypatch.setattr("charge3net.studies.training.charge3net_command", lambda asked: main(list(asked)))
    given = [f"{name}={json.dumps(value)}" for name, value in _settings(densities).items() if name != "isolated_atoms"]
    command = ["study", "fine_tuning", *given, "isolated_atoms=null"]
    assert main([*command, "-o", str(tmp_path / "results"), "--work", str(tmp_path / "work")]) == 0
    result = json.loads((tmp_path / "results" / "fine_tuning" / "result.json").read_text())["result"]
    own, before = read_split(tmp_path / "work" / "split.json"), read_split(split)
    assert len(own.train) == len(before.train) - 1
    assert set(own.validation) - set(before.validation) == set(before.train) - set(own.train)
    assert own.test == before.test
    # errors are those of the evaluation: of the source, and of every run
    assert result["source"]["nmae_percent"] == pytest.approx(errors_of(Path(source), Path(store), list(own.test)), 1e-3)
    for row in result["runs"]:
        folder = tmp_path / "work" / "runs" / row["start"] / f"lr={row['lr']},train_size={row['size']},seed=0"
        assert row["nmae_percent"] == pytest.approx(errors_of(folder, Path(store), list(own.test)), abs=1e-3)
        card = load_card(folder)
        assert card.data["train_size"] == row["size"]
        assert ("init" in card.training) == (row["start"] == "tuned")
    # the rate is the one with the lower validation error, and all sizes have it
    tried = {row["lr"]: row["validation_nmae_percent"] for row in result["rates"]["tuned"]}
    assert set(tried) == {0.001, 1e-20}
    chosen = min(tried, key=lambda rate: tried[rate])
    assert result["curves"]["tuned"]["lr"] == chosen
    sizes = {row["size"] for row in result["runs"] if row["start"] == "tuned" and row["lr"] == chosen}
    assert sizes == {1, 3}
    assert "from scratch" in (tmp_path / "results.md").read_text()
    assert [path.name for path in pictures_in(tmp_path / "results" / "fine_tuning")] == ["curves.svg"]


def _row(start: str, lr: float, size: int, seed: int, errors: list[float]) -> dict[str, Any]:
    best = 10.0 * lr
    return {
        "start": start,
        "lr": lr,
        "size": size,
        "seed": seed,
        "nmae_percent": errors,
        "validation_nmae_percent": best,
        "batch": [2, 100],
        "steps": 400,
        "seconds": 60.0,
    }


def test_the_comparison_by_hand() -> None:
    rows = [_row("tuned", 0.1, size, seed, [1.0 / size, 3.0 / size + seed]) for size in (2, 4) for seed in (0, 1)]
    rows += [_row("scratch", 0.2, size, seed, [2.0 / size, 4.0 / size + seed]) for size in (2, 4) for seed in (0, 1)]
    rows.append(_row("tuned", 0.3, 2, 0, [9.0, 9.0]))
    found = compare(rows, ["LiCoO2", "LiNiO2"], ["LiCoO2"])
    tuned = found["curves"]["tuned"]
    assert tuned["lr"] == 0.1
    assert tuned["mean"] == pytest.approx([(0.5 + 1.5 + 0.5 + 2.5) / 4, (0.25 + 0.75 + 0.25 + 1.75) / 4])
    assert tuned["mean_unseen"] == pytest.approx([2.0, 1.25])
    assert tuned["seed_spread"] == pytest.approx([np.sqrt(2) / 4] * 2, abs=1e-4)
    assert [gain["pair"]["mean"] for gain in found["gains"]] == pytest.approx([0.5, 0.25])
    assert [row["lr"] for row in found["rates"]["tuned"]] == [0.1, 0.3]
    result = {
        **found,
        "runs": rows,
        "source": {"name": "shipped", "weights": "0" * 64, "seen": ["LiCoO2"], "nmae_percent": [5.0, 7.0]},
        "data": {
            "split": "split.json",
            "store_hash": "1" * 64,
            "validation": 3,
            "keys": ["a", "b"],
            "formulas": ["LiCoO2", "LiNiO2"],
            "superposition_nmae_percent": [8.0, 8.0],
        },
    }
    module = find_study("fine_tuning").module()
    text = module.section(result, {"curves": "curves.png"})
    assert "| from shipped | 6.00 | 1.25 ± " in text
    assert "| from scratch | 8.00 (SAD) | 1.75 ± " in text
    assert "the errors are 2.00 / 1.25 and 2.50 / 1.50 %" in text
    assert "fine-tuning 0.1: 1.00 %, 0.3: 3.00 %; 0.1 is used" in text
    pytest.importorskip("matplotlib")
    assert set(module.figures(result)) == {"curves"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"rate_size": 2}, "rate_size must be one of"), ({"sizes": [1, 30]}, "3 entries are left to train on")],
)
def test_settings_that_do_not_belong_together(
    densities: tuple[str, str, str], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run(config_of("fine_tuning", **{**_settings(densities), **change}), tmp_path)
