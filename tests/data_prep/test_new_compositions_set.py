"""The bundled set of new compositions: no formula of another set, no formula in two parts, densities as computed."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.store import Store
from data_prep.bundles.bundle import bundle_report, read_index
from data_prep.bundles.unpack import BUNDLES, unpack
from data_prep.new_compositions_set import build

CARD = Path(build.__file__).with_name("README.md")


def composition(numbers: list[int]) -> frozenset[tuple[int, int]]:
    """Atomic numbers and their shares; the same for all multiples of a formula."""
    counts = Counter(numbers)
    divisor = math.gcd(*counts.values())
    return frozenset((z, count // divisor) for z, count in counts.items())


@pytest.fixture(scope="module")
def records() -> list[dict]:
    return read_index(BUNDLES["new_compositions_set"])[1]


def test_a_formula_is_in_one_part(records):
    parts: dict[str, set[str]] = {}
    for record in records:
        parts.setdefault(record["formula"], set()).add(record["part"])
    assert all(len(found) == 1 for found in parts.values())
    assert len({record["key"] for record in records}) == len(records) >= 180
    assert len(parts) >= 60


def test_a_formula_stays_in_its_part_when_the_set_grows(records):
    """The part follows from the formula, so entries of the first version keep theirs."""
    assert {record["part"] for record in records} == {"train", "validation", "test"}
    assert all(record["part"] == build.part_of(record["formula"]) for record in records)
    first = {
        "SrIrN": "test",
        "CrSi": "test",
        "KCaSb": "test",
        "BiC": "validation",
        "H2Pb": "validation",
        "B2Os": "train",
    }
    assert {formula: build.part_of(formula) for formula in first} == first


def test_the_card_states_the_committed_files(records):
    text = CARD.read_text(encoding="utf-8")
    assert f"`{read_index(BUNDLES['new_compositions_set'])[0]['sha256']}`" in text
    assert bundle_report(records, BUNDLES["new_compositions_set"]).splitlines()[2] in text
    assert f"{len(records)} crystals of {len({record['formula'] for record in records})} formulas" in text


@pytest.mark.parametrize("other", ["benchmark_set", "distorted_set", "magnetic_set", "nmc_set", "demo_set"])
def test_no_formula_of_another_set(records, other):
    theirs = {composition(record["numbers"]) for record in read_index(BUNDLES[other])[1] if "numbers" in record}
    assert theirs
    assert not {composition(record["numbers"]) for record in records} & theirs


def test_the_store_holds_the_valence_electrons(records, tmp_path):
    splits = unpack(BUNDLES["new_compositions_set"], tmp_path)
    store = Store(tmp_path / "store")
    assert set(splits["all"].train + splits["all"].validation + splits["all"].test) == set(store.keys())
    for record in records[::20]:
        entry = store[record["key"]]
        density = entry.density()
        assert density.electrons() == pytest.approx(record["electrons"], rel=1e-4)
        assert np.isfinite(density.values).all()
