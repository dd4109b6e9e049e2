"""The bundled set of new formulas, and benchmark set v3: one crystal a formula, v2 in v3 unchanged, cards agree."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from charge3net.data.splits import PARTS
from charge3net.data.store import Store
from data_prep.bundles import card, unpack
from data_prep.bundles.bundle import INDEX, bundle_report, read_index
from data_prep.new_formulas_set.build import part_of
from data_prep.shipped_models import store as shipped
from tests.data_prep.test_new_compositions_set import composition

V2, V3 = "benchmark_set_v2", "benchmark_set_v3"
NAME = "new_formulas_set"
OTHERS = ("benchmark_set", "new_compositions_set", "distorted_set", "magnetic_set", "nmc_set", "demo_set")


@pytest.fixture(scope="module")
def records() -> list[dict]:
    return read_index(unpack.BUNDLES[NAME])[1]


def test_every_formula_has_one_ideal_crystal(records):
    assert len({record["formula"] for record in records}) == len(records)
    assert all(record["key"].endswith("-0") for record in records)
    assert {record["kind"] for record in records} == {"crystals", "magnetic"}
    assert all(("magnetisation" in record) == (record["kind"] == "magnetic") for record in records)


def test_the_part_of_a_formula_was_fixed_before_it_was_computed(records):
    """Parts follow from the formula's hash; those of a hundred formulas that were never computed are known, too."""
    assert all(record["part"] == part_of(record["formula"]) for record in records)
    first = {"CaH2": "test", "BaSbIr": "test", "AlN": "validation", "Pd": "validation", "PbC": "train", "HCl": "train"}
    assert {formula: part_of(formula) for formula in first} == first
    drawn = [part_of(f"X{number}") for number in range(2000)]
    assert [drawn.count(part) / 2000 for part in PARTS] == pytest.approx([0.65, 0.25, 0.10], abs=0.03)


def test_no_formula_of_another_set(records):
    own = {composition(record["numbers"]) for record in records}
    for other in OTHERS:
        theirs = {composition(r["numbers"]) for r in read_index(unpack.BUNDLES[other])[1] if "numbers" in r}
        assert theirs
        assert not own & theirs, other


def test_v3_is_v2_and_the_new_formulas(records):
    assert unpack.JOINED[V3] == (*unpack.JOINED[V2], NAME)
    assert shipped.SET == V3
    before, after = ({record["key"]: record["part"] for record in card.all_records(name)} for name in (V2, V3))
    assert after == {**before, **{record["key"]: record["part"] for record in records}}
    assert len(after) == len(before) + len(records)


def test_the_cards_state_the_committed_files(records):
    text = (unpack.ROOT / NAME / "README.md").read_text(encoding="utf-8")
    assert f"`{read_index(unpack.BUNDLES[NAME])[0]['sha256']}`" in text
    assert bundle_report(records, unpack.BUNDLES[NAME]) in text
    joined, text = card.all_records(V3), (unpack.ROOT / V3 / "README.md").read_text(encoding="utf-8")
    indexes = b"".join((unpack.BUNDLES[name] / INDEX).read_bytes() for name in unpack.JOINED[V3])
    assert f"`{hashlib.sha256(indexes).hexdigest()}`" in text
    assert card.table(joined) in text
    assert card.element_counts(joined) in text
    assert f"{len(joined)} valence electron densities" in text


def test_all_bundles_stay_below_45_megabytes():
    size = sum(
        path.stat().st_size for path in unpack.ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    assert size < 45e6


def test_the_store_holds_the_valence_electrons(records, tmp_path):
    unpack.unpack(unpack.BUNDLES[NAME], tmp_path)
    store = Store(tmp_path / "store")
    assert set(store.keys()) == {record["key"] for record in records}
    for record in records[::20]:
        density = store[record["key"]].density()
        assert density.electrons() == pytest.approx(record["electrons"], rel=1e-4)
        assert np.isfinite(density.values).all()
