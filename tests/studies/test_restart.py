"""The study of restarts: savings and law known in closed form, its page, and one structure run by pw.x."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.atoms.isolated import IsolatedAtoms
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io.qe.atoms import superposed_table
from charge3net.io.qe.gvectors import plane_waves
from charge3net.studies import restart
from charge3net.studies.restart.bench import Bench, Model
from charge3net.studies.restart.measure import (
    ATOMIC,
    EXACT,
    OWN,
    SAD,
    TUNED,
    Diagonalisation,
    Settings,
    with_model,
    without_model,
    work,
)
from charge3net.studies.restart.summary import saved, sum_up
from charge3net.studies.restart.tuning import tune
from charge3net.units import BOHR, E_PER_BOHR3
from data_prep.quantum_espresso.gth import format_abinit, read_gth
from tests.data_prep.test_gth import LIST

needs_pw = pytest.mark.skipif(not shutil.which("pw.x"), reason="pw.x is not installed")


def structure(formula: str, error: float, steps: int) -> dict[str, Any]:
    """One structure: from SAD in 8 steps and 2 s, from the model in so many and half a second each."""

    def row(n: int, **more: float) -> dict[str, Any]:
        work = {"seconds": n / 4, "transforms": 100 * n, "operations": 10 * n, "energy": -15.0 - 1e-9 * n}
        return {"steps": [n - 1, n, None], **work, **more}

    def errors(size: float) -> dict[str, float]:
        return {"nmae": size, "energy_without_scf": -2 * size, "bands": 10 * size, "gap": size}

    starts = {
        SAD: row(8, **errors(10.0)) | {"steps": [7, 8, 10]},
        TUNED: row(6),
        OWN: row(9),
        "Δ": row(steps, prediction_seconds=0.25, **errors(error)),
        EXACT: row(1),
    }
    return {"key": formula, "formula": formula, "atoms": 2, "energy": -15.0, "gap": 1.0, "starts": starts}


SETS = {
    "known": [structure("Si", 0.1, 3), structure("Si", 0.1, 3), structure("Ge", 1.0, 5)],
    "new": [structure("GaAs", 10.0, 7)],
}


TUNING = {
    "structures": 2, "compositions": 2, "name": "Δ", "SAD": {"threshold": 1e-2, "ndim": 2},
    "model": {"threshold": 1e-4, "ndim": 4},
    "rows": [
        {"threshold": value, "ndim": 4, "SAD": {"steps": 8.5, "transforms": 1000},
         "model": {"steps": 4.5, "transforms": n}}
        for value, n in ((1e-2, 900), (1e-4, 800))
    ],
}  # fmt: skip


WAYS = [Diagonalisation(*pair) for pair in product((1e-2, 1e-4, 1e-5, 1e-6), (2, 4))]


class Counted(Bench):
    """A bench whose runs cost 100 FFTs, 50 for each decade between the threshold and the best one, and 10 for a small
    basis."""

    def work(self, key: str, model: Model | None, first: Diagonalisation) -> dict[str, Any]:
        decades = abs(np.log10(first.threshold / (1e-2 if model is None else 1e-5)))
        small = 10 * (first.ndim < 3 and model is not None)
        return {"steps": [1, 4 + len(key), 9], "transforms": round(100 + 50 * decades) + small}


def test_the_threshold_with_the_least_work_is_chosen(tmp_path: Path):
    cell = 3.0 * np.eye(3)
    density = Density(Geometry(np.array([2]), np.zeros((1, 3)), cell, np.ones(3, bool)), Grid(cell, (4, 4, 4)),
                      np.full((1, 4, 4, 4), 2 / 27))  # fmt: skip
    with StoreWriter(tmp_path / "store") as writer:
        for key in ("a", "bcd"):
            writer.add(key, density, electrons=2.0)
    settings = Settings(tmp_path, ".upf", 1e-8, (1e-6, 1e-8, 1e-10), ATOMIC, ATOMIC, 60.0)
    bench = Counted(Store(tmp_path / "store"), IsolatedAtoms(np.arange(2.0), {}, {}, {}), settings, tmp_path)
    found = tune(bench, "last", Model("1", lambda geometry, grid: density), ("a", "bcd"), WAYS)
    assert (found["SAD"], found["model"], found["name"]) == (asdict(ATOMIC), {"threshold": 1e-5, "ndim": 4}, "last")
    assert (found["structures"], found["compositions"]) == (2, 1)
    assert found["rows"][0]["model"] == {"steps": 6.0, "transforms": 520}
    changed = bench.tuned(found).settings
    assert (changed.first, changed.tuned) == (Diagonalisation(1e-5, 4), ATOMIC)


def test_savings_and_their_interval():
    found = saved(np.array([4.0, 6.0]), np.array([8.0, 8.0]), ["Si", "Ge"])
    assert (found["value"], found["low"], found["high"]) == (37.5, 25.0, 50.0)
    one = saved(np.array([4.0, 6.0]), np.array([8.0, 8.0]), ["Si", "Si"])  # one composition: no spread
    assert (one["value"], one["low"], one["high"]) == (37.5, 37.5, 37.5)


def test_means_of_a_set_and_the_law():
    found = sum_up(SETS, 1, 26.7)
    model = found["sets"]["known"]["starts"]["Δ"]
    assert model["steps"][1]["mean"] == pytest.approx(11 / 3, rel=1e-4)
    assert model["saved_steps"][1]["value"] == pytest.approx(100 * (1 - 11 / 24), rel=1e-4)
    assert model["saved_steps"][2] is None
    assert model["saved_steps_tuned"][1]["value"] == pytest.approx(100 * (1 - 11 / 18), rel=1e-4)
    assert model["saved_transforms"]["value"] == pytest.approx(100 * (1 - 11 / 24), rel=1e-4)
    assert model["saved_seconds"]["value"] == pytest.approx(100 * (1 - (11 / 4 + 0.75) / 6), rel=1e-4)
    assert model["saved_transforms_tuned"]["value"] == pytest.approx(100 * (1 - 11 / 18), rel=1e-4)
    assert model["energy_without_scf"]["mean"] == pytest.approx(0.8)
    assert model["energy_without_scf"]["median"] == pytest.approx(0.2)
    assert model["energy_without_scf"]["largest"] == pytest.approx(2.0)
    assert found["sets"]["known"]["starts"][OWN]["slowed"] == [1.0, 1.0, None]
    (size,) = found["sizes"]
    assert size["starts"]["Δ"]["saved_seconds"]["value"] == pytest.approx(100 * (1 - (18 / 4 + 1.0) / 8), rel=1e-4)
    law = found["law"]  # the four points lie on 5 + 2·log₁₀ ε
    assert (law["constant"], law["slope"], law["correlation"]) == pytest.approx((5.0, 2.0, 1.0))
    assert law["published_nmae"] == pytest.approx(10 ** ((0.733 * 6 - 5) / 2), rel=1e-4)


def test_page_and_figures():
    result = {
        "data": {"trained_on": 60, "formulas": 40, "left_out": {"new": 1}},
        "threshold": 1e-8, "thresholds": [1e-6, 1e-8, 1e-10], "extension": ".upf", "tuning": TUNING,
        "published": 26.7, "sets": SETS, "summary": sum_up(SETS, 1, 26.7),
        "runs": {"Δ": [{"steps": 4000, "batch": [8, 50]}]},
    }  # fmt: skip
    drawn = restart.figures(result)
    assert set(drawn) == {"law", "energies"}
    text = restart.section(result, dict.fromkeys(drawn, "figure.png"))
    assert "| 0.0001 | 4 | 8.50 | 1,000 | 4.50 | 800 |" in text
    assert "54.2 (37.5 … 62.5)" in text  # steps saved on the known set
    assert "| Δ | 10 |" in text
    assert "5.00 + 2.00·log₁₀" in text


@needs_pw
def test_one_structure_by_pw(tmp_path: Path):
    """Hydrogen molecules: the exact density needs fewer steps than SAD; energies agree."""
    (tmp_path / "list").write_text(LIST)
    (tmp_path / "H.gth").write_text(format_abinit(read_gth(tmp_path / "list")["H", 1]))
    cell, radii = 3.2 * np.eye(3), np.linspace(0, 5, 251)
    geometry = Geometry(np.array([1, 1]), np.array([[0.1, 0.2, 0.3], [0.7, 0.5, 0.6]]), cell, np.ones(3, bool))
    shape = np.exp(-radii / 0.35) / (8 * np.pi * 0.35**3)
    atoms = IsolatedAtoms(radii, {1: shape}, {1: 1.0}, {1: "H.gth"})
    waves = plane_waves(cell / BOHR, 48.0, True)
    values = waves.values(superposed_table(waves, atoms, geometry)[None]) * E_PER_BOHR3
    meta = {"ecutwfc_Ry": 12.0, "k_mesh": "gamma", "potentials": {"H": "H.gth"}}
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("H2", Density(geometry, Grid(cell, waves.shape), values), electrons=2.0, meta=meta)
        writer.add("no meta", Density(geometry, Grid(cell, waves.shape), values), electrons=2.0)
    store = Store(tmp_path / "store")
    settings = Settings(
        tmp_path, ".gth", 1e-8, (1e-6, 1e-8, 1e-9), Diagonalisation(1e-3, 4), Diagonalisation(1e-4, 2), 60.0
    )
    exact = tmp_path / "exact.npz"
    found = without_model(store["H2"], atoms, settings, exact)
    same = with_model(store["H2"], lambda g, grid: Density(g, grid, values), settings, exact, found["energy"], False)
    starts = found["starts"] | {"same": same}
    assert set(starts) == {SAD, TUNED, OWN, "same", EXACT}
    loose = work(store["H2"], None, atoms, settings, ATOMIC)
    assert loose["steps"][:2] == starts[SAD]["steps"][:2]
    assert (loose["transforms"], loose["energy"]) == (starts[SAD]["transforms"], starts[SAD]["energy"])
    assert starts[EXACT]["steps"][1] < starts[SAD]["steps"][1]
    assert starts["same"]["nmae"] == pytest.approx(starts[SAD]["nmae"], rel=1e-5)
    assert starts["same"]["energy_without_scf"] == pytest.approx(starts[SAD]["energy_without_scf"], rel=1e-3)
    assert starts[SAD]["steps"][1] > 2
    for row in starts.values():
        assert row["energy"] == pytest.approx(found["energy"], abs=1e-6)
        assert row["transforms"] > 0
    with pytest.raises(InputError, match="ecutwfc_Ry"):
        without_model(store["no meta"], atoms, settings, exact)
