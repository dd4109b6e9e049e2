"""Structures of the generator with GTH pseudopotentials, and their division."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from charge3net.io.qe.pw_output import read_pw_output
from charge3net.units import BOHR
from data_prep.gth_set.build import part_of, place_of
from data_prep.quantum_espresso import generate as generator
from data_prep.quantum_espresso.rare_elements import COMPOSITIONS, COPIES
from data_prep.quantum_espresso.structures import structures


def test_recipes():
    made = structures()
    assert len({one.name for one in made}) == len(made) >= 400
    assert {one.kind for one in made} == {"sp", "halides", "oxides", "molecules", "defects", "rare"}
    again = {one.name: one for one in structures()}
    for one in made[::15]:
        assert np.array_equal(one.positions, again[one.name].positions)
        fractions = (one.positions[:, None] - one.positions) @ np.linalg.inv(one.cell)
        apart = np.linalg.norm((fractions - np.rint(fractions)) @ one.cell, axis=-1)
        assert apart[~np.eye(len(apart), dtype=bool)].min() > 0.6  # Å
    silicon = [one for one in made if one.formula == "sp-Si"]
    volumes = np.array([abs(np.linalg.det(one.cell)) for one in silicon])
    assert volumes.mean() == pytest.approx(5.43**3 / 4, rel=0.05)
    assert 0.005 < volumes.std() / volumes.mean() < 0.06  # three strains of 1.5 %


def test_mesh_is_at_least_as_fine_as_asked():
    for one in structures()[::20]:
        steps = 2 * np.pi * np.linalg.norm(np.linalg.inv(one.cell), axis=0) / np.array(one.mesh(0.42))
        assert (steps <= 0.42 + 1e-6).all()
        assert (steps > 0.2).all() or min(one.mesh(0.42)) == 1


def test_compositions_are_in_one_part():
    made = structures()
    copies = Counter(one.formula for one in made)
    parts: dict[str, set[str]] = {}
    for one in made:
        formula = one.geometry().formula
        parts.setdefault(formula, set()).add(part_of(one.kind, formula, one.copy, copies[one.formula]))
    assert all(
        found <= {"train", "distortions", "defects"} or len(found - {"defects"}) == 1 for found in parts.values()
    )
    count = Counter(place_of(formula) for formula in parts)
    assert min(count["test"], count["validation"]) >= 5
    assert count["train"] >= 60


def test_more_compositions_hold_what_was_trained_on_least():
    """They only train, no other kind has their formulas, and each holds one of the six rarest elements."""
    made = structures()
    formulas = {kind: {one.geometry().formula for one in made if one.kind == kind} for kind in ("sp", "rare")}
    assert len(formulas["rare"]) == COMPOSITIONS
    assert not formulas["rare"] & {one.geometry().formula for one in made if one.kind != "rare"}
    counts = Counter(symbol for one in formulas["sp"] if place_of(one) == "train" for symbol in symbols_of(one))
    rarest = sorted(counts, key=lambda symbol: counts[symbol])[:6]
    for one in made:
        if one.kind == "rare":
            assert part_of("rare", one.geometry().formula, one.copy, COPIES) == "train"
            assert set(one.symbols) & set(rarest)
    counts.update(symbol for formula in formulas["rare"] for symbol in symbols_of(formula))
    assert min(counts[symbol] for symbol in rarest) >= 5  # one to three before
    ideal = [one for one in made if one.kind == "rare" and one.copy == 0]
    for one in ideal:
        apart = one.geometry().positions[:, None] - one.positions
        fractions = 4 * np.linalg.solve(one.cell.T, apart.reshape(-1, 3).T)
        assert np.abs(fractions - np.rint(fractions)).max() < 1e-9  # atoms on quarters of the cell: not rattled


def symbols_of(formula: str) -> set[str]:
    return set(re.findall("[A-Z][a-z]?", formula))


def test_what_the_generator_writes(tmp_path, monkeypatch):
    """pw.x that returns its start: density and superposition are equal, and hold the electrons."""
    text = (
        "     iteration #  1\n     estimated scf accuracy    <       1.0E-09 Ry\n"
        "!    total energy              =     -15.5 Ry\n"
        "     convergence has been achieved in   1 iterations\n     The initial density is read from file\n"
        "     fftw         :      0.35s CPU      0.99s WALL (    9038 calls)\n"
        "     PWSCF        :      1m 0.61s CPU      1.69s WALL\n   JOB DONE.\n"
    )
    monkeypatch.setattr(generator, "run_pw", lambda folder, limit: read_pw_output(text))
    monkeypatch.setattr(generator, "potential_file", lambda pseudo, symbol: f"{symbol}.gth")
    silicon = next(one for one in structures() if one.formula == "sp-Si")
    (failed,) = [generator.generate([silicon], tmp_path, None)]
    assert not failed
    with np.load(tmp_path / f"{silicon.name}.npz") as file:
        assert file["n_electrons"] == pytest.approx(8.0)
        assert np.array_equal(file["density"], file["density_sad"])
        volume = abs(np.linalg.det(file["cell"]))
        assert file["density"].mean() * volume == pytest.approx(8.0, rel=1e-5)
        # the stored waves end at 2.5 · 24 Ry: at most 2·√60·|a|/2π + 1 points along a, up to the next good number
        longest = np.linalg.norm(silicon.cell, axis=1).max() / BOHR
        assert max(file["density"].shape) <= 1.25 * (2 * np.sqrt(60.0) * longest / (2 * np.pi) + 1)
        assert '"steps_1e-08": 1' in str(file["meta"])
        assert '"seconds": 60.61' in str(file["meta"])
    assert generator.generate([silicon], tmp_path, None) == {}  # kept
