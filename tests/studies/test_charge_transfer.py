"""The charge transfer study end to end on Gaussian atoms, whose charges are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.studies import charge_transfer
from charge3net.studies.charge_transfer import study
from charge3net.studies.charge_transfer.measure import ATOMS, compare
from charge3net.studies.charge_transfer.summary import sum_up
from tests.helpers.gaussians import gaussian_density
from tests.helpers.studies import GRID, WIDTHS, count_models, rattled_density, untrained_run, write_set

VALENCE = {3: 3, 8: 8, 25: 25}


def _without(density: Density, atom: int) -> Density:
    """The same places without one atom, whose Gaussian is taken out of the density."""
    geometry = density.geometry
    keep = np.arange(len(geometry)) != atom
    left = Geometry(geometry.numbers[keep], geometry.positions[keep], geometry.cell, geometry.pbc)
    values = gaussian_density(left, GRID, WIDTHS).values
    return Density(left, GRID, values)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> charge_transfer.Config:
    folder = tmp_path_factory.mktemp("charge_transfer")
    densities = {"c0": rattled_density([25, 8, 3]), "c1": rattled_density([25, 8, 8], 1)}
    for i in (2, 3):
        whole = rattled_density([25, 8, 3, 8], i)
        densities |= {f"p{i}-full": whole, f"p{i}-minus_li": _without(whole, 2)}
    split = Split(("c0",), ("c1",), ("p2-full", "p2-minus_li", "p3-full", "p3-minus_li"))
    store, path = write_set(folder / "cathodes", densities, split)
    others = {"x": rattled_density([8, 3], 5), "y": rattled_density([25, 3], 6), "z": rattled_density([8], 7)}
    others["hydride"] = rattled_density([3, 1], 8)  # hydrogen is in no cathode cell
    others["tested"] = rattled_density([25, 8, 3, 8], 9)  # the formula of the pairs
    with_store, with_split = write_set(folder / "others", others, Split(("x", "hydride", "tested", "y"), ("z",), ()))
    paths = (str(store), str(path), str(with_store), str(with_split))
    return charge_transfer.Config(*paths, "-full", "-minus_li", [0, 1], {}, [0, 1], 2.5, [], [])


@pytest.fixture(scope="module")
def work(config: charge_transfer.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders as the trainings would leave them."""
    work = tmp_path_factory.mktemp("work")
    for lmax in config.lmax:
        for seed in config.seeds:
            split = work / "training" / "split.json"
            untrained_run(work / "runs" / f"lmax={lmax},seed={seed}", split, seed, lmax)
    return work


@pytest.fixture(scope="module")
def result(config: charge_transfer.Config, work: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "_train", lambda *_: None)
        return json.loads(json.dumps(charge_transfer.run(config, work)))


def test_training_set_holds_no_pair(config: charge_transfer.Config, tmp_path: Path) -> None:
    for _ in range(2):  # a second time finds everything there
        folder = study.gather(config, tmp_path)
    split = read_split(folder / "split.json")
    assert split.train == ("c0", "x", "y")
    assert split.validation == ("c1",)
    assert set(split.test) == {"p2-full", "p2-minus_li", "p3-full", "p3-minus_li"}
    original, copied = Store(config.store)["c0"], Store(folder / "store")["c0"]
    np.testing.assert_array_equal(copied.values, original.values)
    np.testing.assert_array_equal(copied.baseline, original.baseline)


def test_what_the_result_holds(result: dict) -> None:
    assert [pair["name"] for pair in result["pairs"]] == ["p2", "p3"]
    assert {run["name"] for run in result["runs"]} == {f"L={lmax} seed {seed}" for lmax in (0, 1) for seed in (0, 1)}
    assert set(result["models"]) == {"L=0", "L=1", ATOMS}
    assert result["valence"] == {"3": 3, "8": 8, "25": 25}
    for pair in result["pairs"]:
        assert pair["removed"] == "Li"
        assert pair["numbers"] == [25, 8, 8]
        assert sum(pair["target"]["changes"]) - pair["target"]["removed"] == pytest.approx(-3.0, abs=0.01)


def test_superposed_atoms_times_five_quarters_are_a_quarter_off(result: dict) -> None:
    """The stored superposition is 1.25 times the density: same volumes, all charges and changes 1.25 times."""
    atoms = result["models"][ATOMS]
    for key in ("error", "near_error", "density_error", "near_density_error"):
        assert atoms[key]["mean"] == pytest.approx(25.0, abs=0.1)
    assert atoms["nmae"]["mean"] == pytest.approx(25.0, abs=0.1)
    for totals in atoms["totals"].values():
        np.testing.assert_allclose(totals["predicted"], 1.25 * np.array(totals["dft"]), atol=2e-3)


def test_figures_and_text_follow_from_the_result(result: dict) -> None:
    drawn = charge_transfer.figures(result)
    assert set(drawn) == {"changes", "totals", "errors"}
    text = charge_transfer.section(result, {name: f"{name}.png" for name in drawn})
    for name in drawn:
        assert f"({name}.png)" in text
    assert "on 1 other cells and 2 further crystals" in text


def test_models_are_loaded_only_for_pairs_that_are_not_finished(
    config: charge_transfer.Config, work: Path, result: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "_train", lambda *_: None)
    counts = count_models(monkeypatch)
    assert json.loads(json.dumps(charge_transfer.run(config, work))) == result
    assert not counts
    (finished,) = (work / "pairs").glob("*/p2.json")
    finished.unlink()
    assert json.loads(json.dumps(charge_transfer.run(config, work))) == result
    assert counts == {"loaded": 4, "predicted": 8}  # four models, both cells of one pair


def test_pairs_are_compared_again_within_another_radius(
    config: charge_transfer.Config, work: Path, result: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "_train", lambda *_: None)
    nearest = min(min(pair["distances"]) for pair in result["pairs"])
    with pytest.raises(InputError, match="no atom lies within"):
        charge_transfer.run(charge_transfer.Config(**{**vars(config), "radius": 0.9 * nearest}), work)
    farthest = max(max(pair["distances"]) for pair in result["pairs"])
    assert farthest > config.radius
    found = charge_transfer.run(charge_transfer.Config(**{**vars(config), "radius": 1.1 * farthest}), work)
    for pair in found["pairs"]:
        assert pair["near_atoms"] == len(pair["distances"])
        for method in pair["methods"].values():
            assert method["near_error"] == method["error"]


def test_a_perfect_prediction_has_no_error(config: charge_transfer.Config) -> None:
    store = Store(config.store)
    halves = (store["p2-full"], store["p2-minus_li"])
    exact = {"exact": tuple(half.density() for half in halves)}
    row = compare(halves, exact, VALENCE, 2.5)["methods"]["exact"]
    assert [row[key] for key in ("error", "near_error", "density_error", "near_density_error")] == [0.0] * 4
    assert row["electrons"] == pytest.approx([44.0, 41.0], abs=0.01)


def test_seeds_are_averaged_within_a_pair() -> None:
    def row(error: float, change: float) -> dict:
        names = ("error", "near_error", "density_error", "near_density_error")
        return {**dict.fromkeys(names, error), "changes": [change, 0.0], "nmae": [1.0, 3.0]}

    pairs = [
        {
            "name": f"p{i}",
            "numbers": [27, 8],
            "target": {"changes": [-0.5, -0.2]},
            "methods": {"s0": row(10.0 + i, -0.4), "s1": row(30.0 + i, -0.8)},
        }
        for i in (0, 4)
    ]
    model = sum_up(pairs, {"L=4": ["s0", "s1"]})["L=4"]
    assert model["error"] == {"mean": 22.0, "standard_error": 2.0, "count": 2}
    assert model["seed_spread"]["error"] == pytest.approx(20.0 / np.sqrt(2.0), abs=1e-3)
    assert model["totals"]["transition metals"] == {"dft": [-0.5, -0.5], "predicted": [-0.6, -0.6]}
    assert model["electrons_off"] == pytest.approx((0.1 + 0.2) / 2)
    assert model["nmae"]["mean"] == 2.0


def test_a_test_part_without_pairs_is_refused(config: charge_transfer.Config, tmp_path: Path) -> None:
    Split(("c0",), (), ("c1",)).save(tmp_path / "split.json")
    broken = charge_transfer.Config(**{**vars(config), "split": str(tmp_path / "split.json")})
    with pytest.raises(InputError, match="no two keys"):
        charge_transfer.run(broken, tmp_path)
