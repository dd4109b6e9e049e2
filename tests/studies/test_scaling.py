"""The study of size: its structures, its plan, its fits, its page; one measurement is real."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.studies import scaling
from charge3net.studies.scaling.measure import (
    CRYSTALS,
    DISPLACED,
    Measurement,
    measure,
    repeats_of,
    supercell,
    unit_cell,
)
from tests.helpers.studies import config_of


def test_crystals():
    barium, layered = (unit_cell(name) for name in CRYSTALS)
    assert (barium.formula, len(barium)) == ("BaVS3", 10)
    assert (layered.formula, len(layered)) == ("Li3Co2NiO6", 12)
    heights = layered.positions[np.isin(layered.numbers, (27, 28)), 2]
    assert len(np.unique(heights.round(6))) == 3, "a layer each"
    with pytest.raises(InputError, match="BaVS3, Li3Co2NiO6"):
        unit_cell("NaCl")


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_supercells_are_about_cubes_of_the_atoms_asked_for(crystal):
    unit = unit_cell(crystal)
    repeats = repeats_of(unit, 3000)
    lengths = np.linalg.norm(unit.cell, axis=1) * repeats
    assert lengths.max() / lengths.min() < 1.3
    whole = supercell(unit, repeats)
    assert len(whole) == len(unit) * np.prod(repeats)
    assert 2000 < len(whole) < 4500
    assert (np.bincount(whole.numbers) == np.prod(repeats) * np.bincount(unit.numbers)).all()
    assert (np.diff(whole.numbers) != 0).mean() > 0.4, "in random order"
    again = supercell(unit, repeats)
    assert (again.positions == whole.positions).all()


def test_atoms_are_displaced_from_the_ideal_crystal():
    unit = unit_cell("BaVS3")
    ideal = (unit.to_structure() * (2, 2, 2)).cart_coords
    moved = supercell(unit, (2, 2, 2)).positions
    nearest = np.linalg.norm(moved[:, None] - ideal, axis=2).min(axis=1)
    assert 0.5 * DISPLACED < nearest.mean() < 3 * DISPLACED


def test_one_measurement():
    found = measure("schnet", "BaVS3", 10, 2.0, 4)
    assert (found.architecture, found.crystal, found.repeat, found.atoms) == ("schnet", "BaVS3", 4, 10)
    assert found.points == 4 * 4 * 4  # 6.75 and 5.63 Å in steps of 2 Å, even
    assert min(found.neighbours, found.encoding, found.reading) > 0.0
    assert found.seconds == pytest.approx(found.neighbours + found.encoding + found.reading)


def cached(folder, exponent: float, repeats: int = 2) -> None:
    """Measurements as an earlier run would have left them: seconds = 1e-3 · N^exponent, repeats 10 % apart."""
    folder.mkdir(parents=True)
    for crystal in CRYSTALS:
        for architecture, sizes in (("charge3net", (100, 1000, 5000, 20_000)), ("painn", (500, 1000, 2000))):
            for repeat in range(repeats):
                for n in sizes:
                    time = 1e-3 * n**exponent * (1.0 + 0.1 * repeat)
                    one = Measurement(
                        architecture, crystal, repeat, n, 50 * n, 0.1 * time, 0.4 * time, 0.5 * time, 30.0 + 0.01 * n,
                        0.007 * n, "compiled",
                    )  # fmt: skip
                    path = folder / f"{architecture}-{crystal}-{n}-{repeat}.json"
                    path.write_text(json.dumps(asdict(one)))


@pytest.mark.parametrize("exponent", [1.02, 1.3])
def test_finished_measurements_are_not_made_again_and_give_the_exponent(tmp_path, exponent):
    cached(tmp_path / "spacing_0.7", exponent)
    config = config_of(
        "scaling",
        sizes=[100, 1000, 5000, 20_000],
        others=["painn"],
        other_sizes=[500, 1000, 2000],
        spacing=0.7,
        repeats=2,
    )
    result = json.loads(json.dumps(scaling.run(config, tmp_path)))
    assert len(result["measurements"]) == 2 * 2 * (4 + 3)
    for fit in result["fits"]:
        for quantity in ("seconds", "encoding", "reading"):
            assert fit[quantity]["exponent"] == pytest.approx(exponent)
    layered = next(fit for fit in result["fits"] if fit["architecture"] == "charge3net")
    assert layered["seconds"]["count"] == 3, "the 100 atoms are below fit_from"
    figures = scaling.figures(result)
    text = scaling.section(result, {name: f"{name}.png" for name in figures})
    rows = [line for line in text.splitlines() if line.startswith("| ChargE3Net L=4 | ")]
    assert len(rows) == 2
    for row in rows:
        assert f" | {exponent:.2f} ({exponent:.2f} … {exponent:.2f}) | " in row
        assert " | 1,000 … 20,000 | " in row
    assert "took 10 % longer than the fastest (median over structures; at most 10 %)" in text
    assert "20,000 atoms of" in text
    for name in figures:
        assert f"({name}.png)" in text


def test_settings_without_a_measurement_are_refused(tmp_path):
    with pytest.raises(InputError, match="repeats"):
        scaling.run(config_of("scaling", repeats=0), tmp_path)
