"""Benchmark set v2: both sets in one store with the parts that they have alone; its card says what git holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from charge3net.data.splits import PARTS, Split, read_split
from charge3net.data.store import Store
from data_prep.bundles import card, unpack
from data_prep.bundles.bundle import INDEX, read_index
from data_prep.shipped_models import store as shipped
from tests.helpers.generated_files import write_generated
from tests.test_documentation import small_bundles

V2 = "benchmark_set_v2"
SETS = unpack.JOINED[V2]
README = unpack.ROOT / V2 / "README.md"
V1 = "325de8f46ae1083fbba8966528ea3026827de6b425f6513795d3210a390c419d"
TESTED = "268b3dc18cc1819c90940a17f1975de693d9444a0a18bf14421764913684eeb6"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict]]:
    """A few entries of each set, and of the demo set those that v1 refers to; returns the records of v2's."""
    (tmp_path / "bundles").mkdir()
    bundles = small_bundles(tmp_path / "bundles", (*shipped.SETS, *shipped.BUNDLED))
    monkeypatch.setattr(unpack, "BUNDLES", bundles)
    return {name: read_index(bundles[name])[1] for name in SETS}


def test_v2_joins_stores_and_parts(small: dict[str, list[dict]], tmp_path: Path) -> None:
    folder = tmp_path / "v2"
    assert unpack.main(["benchmark_set_v2", "-o", str(folder)]) == 0
    records = [record for name in SETS for record in small[name]]
    assert {record["kind"] for record in small["new_compositions_set"]} == {"crystals", "magnetic"}
    assert sorted(Store(folder / "store").keys()) == sorted(record["key"] for record in records)
    for kind in ("crystals", "magnetic", "molecules", "liquids"):
        split = read_split(folder / kind / "split.json")
        for part in PARTS:
            expected = [r["key"] for r in records if (r["kind"], r["part"]) == (kind, part)]
            assert list(getattr(split, part)) == expected
    whole = read_split(folder / "split.json")
    assert {part: len(getattr(whole, part)) for part in PARTS} == {
        part: sum(record["part"] == part for record in records) for part in PARTS
    }


def test_the_shipped_models_are_trained_on_v4(
    small: dict[str, list[dict]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for configurations of the liquid that calibrate the expected error instead."""
    monkeypatch.setitem(shipped.MORE_VALIDATION, "liquids", 1)
    assert unpack.main(["benchmark_set_v4", "-o", str(tmp_path / "v4")]) == 0
    boxes = tmp_path / "boxes"
    for name, numbers in {"C5H2": [6] * 5 + [1] * 2, "CH4O4": [6, 1, 1, 1, 1, 8, 8, 8, 8]}.items():
        write_generated(boxes, f"mol-{name}-00-0", numbers, smearing="FD 0.01 eV")
    assert shipped.main(["-o", str(tmp_path / "shipped"), "--molecules", str(boxes)]) == 0
    calibrating = tmp_path / "shipped" / "others" / "new_molecules"
    assert set(read_split(calibrating / "split.json").train) == {"mol-C5H2-00-0", "mol-CH4O4-00-0"}
    entry = Store(calibrating / "store")["mol-CH4O4-00-0"]
    assert entry.baseline is not None
    assert entry.meta["smearing"] == "FD 0.01 eV"
    for kind in ("", "crystals", "liquids"):
        before, after = (read_split(tmp_path / name / kind / "split.json") for name in ("v4", "shipped"))
        moved = set(before.train) - set(after.train)
        assert after.test == before.test
        assert set(after.validation) == set(before.validation) | moved
        assert len(moved) == (0 if kind == "crystals" else 1)
        assert moved <= set(read_split(tmp_path / "v4" / "liquids" / "split.json").train)


@pytest.mark.parametrize(
    ("numbers", "kept", "reason"),
    [
        (None, None, "no npz file"),
        ([11, 17], None, "C, N and O"),
        ([6] * 4 + [1] * 2, None, "C, N and O"),
        ([6] * 5, 100, "damaged"),
    ],
)
def test_what_are_no_boxes_of_new_molecules_is_refused_before_anything_is_written(
    numbers: list[int] | None, kept: int | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if numbers is not None:
        write_generated(tmp_path / "boxes", "one-0", numbers)
        (tmp_path / "boxes" / "one-0.npz").write_bytes((tmp_path / "boxes" / "one-0.npz").read_bytes()[:kept])
    with pytest.raises(SystemExit) as refused:
        shipped.main(["-o", str(tmp_path / "shipped"), "--molecules", str(tmp_path / "boxes")])
    assert refused.value.code == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "shipped").exists()


def test_parts_of_v1_stay() -> None:
    """Densities and test entries of v1 are those that it had before v2 was made."""
    header, records = read_index(unpack.BUNDLES["benchmark_set"])
    assert header["sha256"] == V1
    tested = sorted(record["key"] for record in records if record["part"] == "test")
    assert len(tested) == 98
    assert Split((), (), tuple(tested)).hash == TESTED
    joined = [record for record in card.all_records(V2) if record["part"] == "test"]
    assert {record["key"] for record in joined} >= set(tested)


def test_the_card_states_the_committed_files() -> None:
    text = README.read_text(encoding="utf-8")
    indexes = b"".join((unpack.BUNDLES[name] / INDEX).read_bytes() for name in SETS)
    assert f"`{hashlib.sha256(indexes).hexdigest()}`" in text
    records = card.all_records(V2)
    assert card.table(records) in text
    assert card.element_counts(records) in text
    entries = sum(len((unpack.BUNDLES[name] / INDEX).read_text().splitlines()) - 1 for name in SETS)
    assert f"{entries} valence electron densities" in text


def test_the_table_counts_each_kind_and_part() -> None:
    record = {"kind": "crystals", "part": "train", "formula": "LiH", "numbers": [1, 3], "shape": [2, 3, 4]}
    records = [
        {**record, "meta": {"nmae_sad": 0.1}},
        {**record, "meta": {"nmae_sad": 0.2}, "numbers": [1, 3, 1, 3]},
        {**record, "meta": {"nmae_sad": 0.5}, "part": "test", "kind": "magnetic"},
    ]
    lines = card.table(json.loads(json.dumps(records))).splitlines()
    assert lines[2] == "| crystals | train | 2 | 1 | 2 | 6 | 48 | 15.0 % |"
    assert lines[3] == "| magnetic | test | 1 | 1 | 2 | 2 | 24 | 50.0 % |"
    assert card.element_counts(records) == "H 1 Li 1"
