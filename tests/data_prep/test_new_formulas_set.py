"""The bundled set of new formulas, and benchmark set v4: one entry a formula, v2 in v4 unchanged, cards agree."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pymatgen.core import Composition

from charge3net.data.splits import PARTS
from charge3net.data.store import Store
from data_prep.bundles import card, unpack
from data_prep.bundles.bundle import INDEX, bundle_report, read_index
from data_prep.new_formulas_set import build
from data_prep.new_formulas_set.build import part_of
from data_prep.shipped_models import store as shipped
from tests.data_prep.test_new_compositions_set import composition
from tests.helpers.generated_files import write_generated

V2, V4 = "benchmark_set_v2", "benchmark_set_v4"
NAME = "new_formulas_set"
OTHERS = ("benchmark_set", "new_compositions_set", "distorted_set", "magnetic_set", "nmc_set", "demo_set")


@pytest.fixture(scope="module")
def records() -> list[dict]:
    return read_index(unpack.BUNDLES[NAME])[1]


def test_every_formula_has_one_ideal_crystal_or_molecule(records):
    assert len({record["formula"] for record in records}) == len(records)
    assert all(record["key"].endswith("-0") for record in records)
    assert {record["kind"] for record in records} == {"crystals", "magnetic", "molecules"}
    assert all(("magnetisation" in record) == (record["kind"] == "magnetic") for record in records)


def test_the_part_of_a_formula_was_fixed_before_it_was_computed(records):
    """Parts follow from the formula's hash; those of a hundred formulas that were never computed are known, too."""
    assert all(record["part"] == part_of(record["formula"], record["kind"]) for record in records)
    first = {"CaH2": "test", "BaSbIr": "test", "AlN": "validation", "Pd": "validation", "PbC": "train", "HCl": "train"}
    assert {formula: part_of(formula) for formula in first} == first
    for kind, shares in {"magnetic": [0.65, 0.25, 0.10], "molecules": [0.30, 0.60, 0.10]}.items():
        drawn = [part_of(f"X{number}", kind) for number in range(2000)]
        assert [drawn.count(part) / 2000 for part in PARTS] == pytest.approx(shares, abs=0.03)


def test_no_formula_of_another_set(records):
    """Of molecules no formula with all atoms: CH2O2 is another molecule than C2H4O4."""
    crystals = {composition(record["numbers"]) for record in records if record["kind"] != "molecules"}
    molecules = {tuple(sorted(record["numbers"])) for record in records if record["kind"] == "molecules"}
    for other in OTHERS:
        theirs = [r["numbers"] for r in read_index(unpack.BUNDLES[other])[1] if "numbers" in r]
        assert theirs
        assert not crystals & {composition(numbers) for numbers in theirs}, other
        assert not molecules & {tuple(sorted(numbers)) for numbers in theirs}, other


def test_the_parts_of_molecules_and_those_that_are_kept(tmp_path):
    """Few crystals and molecules: formulas of molecules count all atoms; their smearing is in their meta."""
    names = {"test": "CaH2", "validation": "AlN", "train": "PbC"}
    for name, numbers in {"CaH2": [20, 1, 1], "AlN": [13, 7], "PbC": [82, 6]}.items():
        write_generated(tmp_path / "new_formulas", f"x-{name}-0", numbers, grid=[4, 4, 4])
    molecules = {"C2H4": 8, "C4H8": 12, "C3H8": 4, "H4N2": 9, "C2H6": 10, "C4H10": 16}
    for name, voxels in molecules.items():
        atoms = [element.Z for element, count in Composition(name).items() for _ in range(int(count))]
        facts = {"smearing": "FD 0.01 eV", "kpts_density": 0.0, "grid": [voxels, 1, 1]}
        write_generated(tmp_path / build.MOLECULES, f"mol-{name}-00-0", atoms, **facts)
    records = build.build(tmp_path, tmp_path / "bundle")
    crystals = {r["formula"]: r["part"] for r in records if r["kind"] == "crystals"}
    assert crystals == {formula: part for part, formula in names.items()}
    held_out = [name for name in molecules if part_of(name, "molecules") != "train"]
    kept = [r for r in records if r["kind"] == "molecules"]
    assert {r["key"] for r in kept} == {
        f"mol-{name}-00-0" for name in sorted(held_out, key=molecules.get)[: build.KEPT]
    }
    assert {r["part"] for r in kept} <= {"validation", "test"}
    unpack.unpack(tmp_path / "bundle", tmp_path / "out")
    store = Store(tmp_path / "out" / "store")
    assert store["x-AlN-0"].meta["smearing"] == "FD 0.1 eV"
    assert {store[r["key"]].meta["smearing"] for r in kept} == {"FD 0.01 eV"}
    assert (store["x-CaH2-0"].baseline is None, store["x-AlN-0"].baseline is None) == (False, True)
    write_generated(tmp_path / "new_formulas", "x-BaO-0", [56, 8], xc="LDA")
    with pytest.raises(ValueError, match="different settings"):
        build.build(tmp_path, tmp_path / "other")


def test_v4_is_v2_and_the_new_formulas(records):
    assert unpack.JOINED[V4] == (*unpack.JOINED[V2], NAME)
    assert shipped.SET == V4
    before, after = ({record["key"]: record["part"] for record in card.all_records(name)} for name in (V2, V4))
    assert after == {**before, **{record["key"]: record["part"] for record in records}}
    assert len(after) == len(before) + len(records)


def test_the_cards_state_the_committed_files(records):
    text = (unpack.ROOT / NAME / "README.md").read_text(encoding="utf-8")
    assert f"`{read_index(unpack.BUNDLES[NAME])[0]['sha256']}`" in text
    assert bundle_report(records, unpack.BUNDLES[NAME]) in text
    joined, text = card.all_records(V4), (unpack.ROOT / V4 / "README.md").read_text(encoding="utf-8")
    indexes = b"".join((unpack.BUNDLES[name] / INDEX).read_bytes() for name in unpack.JOINED[V4])
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
