from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.find import entry_name
from charge3net.data.store import Store, StoreWriter
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from tests.helpers.random_densities import make_density, written

MakeStore = Callable[..., Path]


def test_everything_comes_back(tmp_path: Path) -> None:
    density = make_density(4, channels=2)
    grid = Grid(density.grid.cell, density.grid.shape, np.array([0.1, -0.2, 0.3]))
    density = replace(density, grid=grid)
    baseline = np.asarray(density.values[0]) * 0.5
    electrons = float(np.sum(density.values[0]) * abs(np.linalg.det(grid.cell)) / np.prod(grid.shape))
    with StoreWriter(tmp_path / "s") as writer:
        assert writer.add("a/ü b", density, electrons=electrons, baseline=baseline, meta={"xc": "PBE", "n": [1, 2]})
        assert writer.add("second", make_density(1))
    store = Store(tmp_path / "s")
    assert store.keys() == ["a/ü b", "second"]
    assert "second" in store
    assert "third" not in store
    entry = store["a/ü b"]
    np.testing.assert_array_equal(entry.values, written(density))
    assert entry.baseline is not None
    np.testing.assert_array_equal(entry.baseline, baseline.astype(np.float32))
    np.testing.assert_array_equal(entry.geometry.positions, density.geometry.positions)
    np.testing.assert_array_equal(entry.geometry.numbers, [3, 8, 3])
    np.testing.assert_array_equal(entry.geometry.cell, density.geometry.cell)
    np.testing.assert_array_equal(entry.grid.origin, [0.1, -0.2, 0.3])
    assert entry.grid.shape == density.grid.shape
    assert entry.formula == "Li2O"
    assert entry.meta == {"xc": "PBE", "n": [1, 2]}
    assert entry.electrons == pytest.approx(electrons, rel=1e-6)
    assert entry.electrons_expected == electrons
    assert entry.statistics["baseline_error"] == pytest.approx(0.5, rel=1e-5)
    assert entry.statistics["maximum"] == written(density)[0].max()
    assert entry.density().spin is not None
    assert not entry.values.flags.writeable
    assert store["second"].baseline is None


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made a folder"):
        StoreWriter(tmp_path / "file" / "store")


def test_bytes_on_disk_are_what_the_document_says(make_store: MakeStore) -> None:
    path = make_store(3)
    lines = [json.loads(line) for line in (path / "index.jsonl").read_text().splitlines()]
    assert lines[0] == {"format": "charge3net-store", "version": 1}
    raw = (path / "densities-000.bin").read_bytes()
    for i, record in enumerate(lines[1:]):
        expected = written(make_density(i)).astype("<f4").tobytes()
        assert raw[record["offset"] : record["offset"] + len(expected)] == expected
        assert record["sha256"] == hashlib.sha256(expected).hexdigest()
        assert record["offset"] % 64 == 0


def test_shards_roll(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", shard_bytes=2000) as writer:
        for i in range(5):
            writer.add(f"m{i}", make_density(i))
    with StoreWriter(tmp_path / "s", shard_bytes=2000) as writer:
        writer.add("m5", make_density(5))
    sizes = [path.stat().st_size for path in sorted((tmp_path / "s").glob("densities-*.bin"))]
    assert len(sizes) >= 3
    assert max(sizes) <= 2000
    store = Store(tmp_path / "s")
    for i in range(6):
        np.testing.assert_array_equal(store[f"m{i}"].values, written(make_density(i)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nan", "not finite"),
        ("huge", "not finite"),
        ("electrons", "electrons where 1000 are expected"),
        ("cell", "differs by 0.1 Å"),
        ("baseline", "superposition of atoms has 1 of"),
        ("meta", "not JSON"),
    ],
)
def test_bad_entries_are_listed_and_do_not_stop_the_rest(tmp_path: Path, change: str, message: str) -> None:
    good = make_density(0)
    values = np.array(good.values)
    bad, electrons, baseline, meta = good, None, None, {}
    if change == "nan":
        values[0, 1, 2, 3] = np.nan
        bad = replace(good, values=values)
    elif change == "huge":
        values[0, 1, 2, 3] = 1e39
        bad = replace(good, values=values)
    elif change == "electrons":
        electrons = 1000.0
    elif change == "cell":
        bad = replace(good, grid=Grid(good.grid.cell + np.diag([0.1, 0, 0]), good.grid.shape))
    elif change == "baseline":
        baseline = values[0].copy()
        baseline[0, 0, 0] = np.inf
    else:
        meta = {"energy": float("nan")}
    with StoreWriter(tmp_path / "s") as writer:
        assert not writer.add("bad", bad, electrons=electrons, baseline=baseline, meta=meta)
        assert message in writer.rejected["bad"]
        assert writer.add("good", good)
    store = Store(tmp_path / "s")
    assert store.keys() == ["good"]
    assert message in store.rejected()["bad"]
    with StoreWriter(tmp_path / "s") as writer:
        assert "bad" in writer.rejected
        assert writer.add("bad", good)
        assert writer.rejected == {}
    assert Store(tmp_path / "s").rejected() == {}


def test_electron_tolerance_is_relative(tmp_path: Path) -> None:
    density = make_density(0)
    electrons = float(np.sum(density.values[0]) * density.grid.voxel_volume)
    with StoreWriter(tmp_path / "s") as writer:
        assert writer.add("within", density, electrons=electrons * (1 + 0.9e-3))
        assert not writer.add("beyond", density, electrons=electrons * (1 + 1.1e-3))
        assert not writer.add("negative", density, electrons=-1.0)


def test_a_molecule_needs_no_cell_of_its_own(tmp_path: Path) -> None:
    grid = Grid(np.eye(3) * 4, (4, 4, 4))
    molecule = Geometry(np.array([8]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool))
    with StoreWriter(tmp_path / "s") as writer:
        assert writer.add("O", replace(make_density(0), geometry=molecule, grid=grid, values=np.ones((1, 4, 4, 4))))
    entry = Store(tmp_path / "s")["O"]
    assert not entry.geometry.pbc.any()
    assert entry.electrons == pytest.approx(64.0)


def test_names_are_unique(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s") as writer:
        writer.add("a", make_density(0))
        with pytest.raises(InputError, match="'a'"):
            writer.add("a", make_density(1))
        with pytest.raises(InputError, match="unique"):
            writer.add("", make_density(1))


@pytest.mark.parametrize("crash", ["mid line", "no line", "new shard", "line without values"])
def test_a_crash_leaves_no_half_entry(make_store: MakeStore, crash: str) -> None:
    path = make_store(3)
    whole = Store(path).hash()
    index, shard = path / "index.jsonl", path / "densities-000.bin"
    before = shard.read_bytes()
    lines = index.read_bytes()
    if crash == "mid line":
        shard.write_bytes(before + b"\0" * 500)
        index.write_bytes(lines + lines.splitlines()[-1][:200])
    elif crash == "no line":
        shard.write_bytes(before + b"\1" * 777)
    elif crash == "new shard":
        (path / "densities-001.bin").write_bytes(b"\2" * 100)
    else:
        index.write_bytes(lines + b'{"key":"m0')
    assert Store(path).keys() == ["m00", "m01", "m02"]  # readers do not mind
    with StoreWriter(path) as writer:
        assert shard.read_bytes() == before
        assert index.read_bytes() == lines
        assert not (path / "densities-001.bin").exists()
        assert [writer.done(f"m0{i}") for i in range(4)] == [True, True, True, False]
        writer.add("m03", make_density(3))
    store = Store(path)
    assert store.check() == {}
    np.testing.assert_array_equal(store["m03"].values, written(make_density(3)))
    assert store.hash() != whole


@pytest.mark.parametrize("moment", ["between values and index lines", "before a commit"])
def test_a_killed_writer_can_be_followed_by_another(tmp_path: Path, moment: str) -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.helpers.random_densities import make_density
from charge3net.data import writer
writer.COMMIT_SECONDS = 1e9
made = writer.StoreWriter({str(tmp_path / "s")!r})
for i in range(4):
    if i == 2:
        made.commit()
    made.add(f"m{{i}}", make_density(i))
if {moment.startswith("between")}:
    writer.sync = lambda file: os.kill(os.getpid(), 9)
    made.commit()
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == -9
    assert Store(tmp_path / "s").keys() == ["m0", "m1"]
    with StoreWriter(tmp_path / "s") as writer:
        assert [writer.done(f"m{i}") for i in range(4)] == [True, True, False, False]
        writer.add("m2", make_density(2))
    assert Store(tmp_path / "s").check() == {}
    with StoreWriter(tmp_path / "straight") as writer:
        for i in range(3):
            writer.add(f"m{i}", make_density(i))
    assert (tmp_path / "s/densities-000.bin").read_bytes() == (tmp_path / "straight/densities-000.bin").read_bytes()


def test_entries_are_committed_while_the_writer_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("charge3net.data.writer.time.monotonic", lambda: clock[0])
    with StoreWriter(tmp_path / "s") as writer:
        writer.add("m0", make_density(0))
        assert writer.done("m0")
        assert len(writer) == 1
        assert Store(tmp_path / "s").keys() == []
        clock[0] += 2.0
        writer.add("m1", make_density(1))
        assert Store(tmp_path / "s").keys() == ["m0", "m1"]
    with StoreWriter(tmp_path / "s", shard_bytes=1500) as writer:
        for i in range(2, 9):  # several shards; what is in a full one is committed
            writer.add(f"m{i}", make_density(i))
    store = Store(tmp_path / "s")
    assert len(list((tmp_path / "s").glob("*.bin"))) > 2
    assert store.keys() == [f"m{i}" for i in range(9)]
    assert store.check() == {}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s"), pytest.raises(InputError, match="another process"):
        StoreWriter(tmp_path / "s")
    StoreWriter(tmp_path / "s").close()


def test_hash_is_of_the_contents(make_store: MakeStore, tmp_path: Path) -> None:
    one = Store(make_store(4))
    with StoreWriter(tmp_path / "other", shard_bytes=1500) as writer:
        for i in (2, 0, 3, 1):
            writer.add(f"m{i:02d}", make_density(i), meta={"note": i})
    assert Store(tmp_path / "other").hash() == one.hash()
    assert Store(make_store(3, name="fewer")).hash() != one.hash()


def test_check_finds_a_flipped_bit_and_a_short_shard(make_store: MakeStore) -> None:
    path = make_store(3)
    shard = path / "densities-000.bin"
    raw = bytearray(shard.read_bytes())
    raw[-5] ^= 1
    shard.write_bytes(raw)
    assert list(Store(path).check()) == ["m02"]
    assert Store(path).check(verify_checksums=False) == {}
    shard.write_bytes(raw[:-4])
    assert "ends at byte" in Store(path).check(verify_checksums=False)["m02"]
    with pytest.raises(InputError, match="too short"):
        StoreWriter(path)
    shard.unlink()
    with pytest.raises(InputError, match="missing"):
        Store(path)["m00"]


def test_wrong_folders(tmp_path: Path, make_store: MakeStore) -> None:
    with pytest.raises(InputError, match="is not a store"):
        Store(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        StoreWriter(tmp_path / "full")
    with pytest.raises(InputError, match="is a file"):
        StoreWriter(tmp_path / "full" / "thesis.tex")
    path = make_store(1)
    with pytest.raises(InputError, match="no entry 'x'"):
        Store(path)["x"]
    text = (path / "index.jsonl").read_text()
    (path / "index.jsonl").write_text(text.replace('"version":1', '"version":2', 1))
    with pytest.raises(InputError, match="version 2"):
        Store(path)
    (path / "index.jsonl").write_text("hello\n")
    with pytest.raises(InputError, match="not a header"):
        Store(path)
    (path / "index.jsonl").write_text(text + "not json\n")
    with pytest.raises(InputError, match="line 3 is damaged"):
        Store(path)


def _sum(store: Store, key: str) -> float:
    return float(store[key].values.sum())


def test_open_stores_travel_to_other_processes(make_store: MakeStore) -> None:
    store = Store(make_store(2))
    expected = _sum(store, "m01")
    assert _sum(pickle.loads(pickle.dumps(store)), "m01") == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_sum, (store, "m01")) == expected


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mp-149.CHGCAR.lz4", "mp-149"),
        ("mp-149/CHGCAR.gz", "mp-149"),
        ("a/b/CHGCAR", "a__b"),
        ("a/dsgdb9nsd_000001.cube.zz", "a__dsgdb9nsd_000001"),
        ("CHGCAR", "CHGCAR"),
        ("CHGCAR.Si2", "CHGCAR.Si2"),
        ("Li1.5.npz", "Li1.5"),
        ("mp-1", "mp-1"),
    ],
)
def test_names_of_entries(path: str, name: str) -> None:
    assert entry_name(path) == name


def is_noticed(path: Path) -> bool:
    """Whether damage is refused on opening, or named by ``check``."""
    with contextlib.suppress(InputError):
        return bool(Store(path).check())
    return True


def test_every_changed_byte_of_index_and_shards_is_found(tmp_path: Path) -> None:
    """Each byte in turn: the store is refused, or `check` names a problem."""
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(3):
            writer.add(f"m{number}", make_density(number), meta={"file": "x"})
    assert Store(tmp_path / "store").check() == {}
    for name in ("index.jsonl", "densities-000.bin"):
        path = tmp_path / "store" / name
        whole = path.read_bytes()
        for place in [*range(0, len(whole), 17), *range(len(whole) - 90, len(whole), 3)]:
            changed = bytearray(whole)
            changed[place] ^= 1 + place % 7
            path.write_bytes(changed)
            assert is_noticed(tmp_path / "store"), (name, place)
        for changed in (whole + b"x", whole + whole[-10:], whole[:-1]):
            path.write_bytes(changed)
            assert is_noticed(tmp_path / "store"), name
        path.write_bytes(whole)
    assert Store(tmp_path / "store").check() == {}


def test_lines_of_the_index_that_are_lost_or_moved_are_found(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(4):
            writer.add(f"m{number}", make_density(number))
    path = tmp_path / "store" / "index.jsonl"
    header, *lines = path.read_bytes().splitlines(keepends=True)
    for changed in (lines[1:], [lines[0], *lines[2:]], [lines[1], lines[0], *lines[2:]], [*lines[:2], lines[3]]):
        path.write_bytes(header + b"".join(changed))
        assert Store(tmp_path / "store").check()
    path.write_bytes(header + b"".join([*lines, lines[0]]))
    with pytest.raises(InputError, match="'m0' occurs twice"):
        Store(tmp_path / "store")


def test_stores_without_checksums_of_lines_are_read_and_continued(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("a", make_density(0))
    path = tmp_path / "store" / "index.jsonl"
    path.write_bytes(re.sub(rb',"line_sha256":"[0-9a-f]{64}"', b"", path.read_bytes()))
    (tmp_path / "store" / "entries.json").unlink()  # younger than the checksums
    assert Store(tmp_path / "store").check() == {}
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("b", make_density(1))
    assert Store(tmp_path / "store").check() == {}
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"key":"a","formula":"LiF"', b'"key":"a","formula":"LiH"'))
    assert Store(tmp_path / "store").check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"shape":[5,6,7]', b'"shape":[5,6,-7]'),
        (b'"shape":[5,6,7]', b'"shape":[5,6,99999999999]'),
        (b'"shape":[5,6,7]', b'"shape":"5"'),
        (b'"shard":"densities-000.bin"', b'"shard":"../../index.jsonl"'),
        (b'"offset":0', b'"offset":-64'),
        (b'"channels":1', b'"channels":null'),
        (b'"numbers":[3,9]', b'"numbers":[3,900]'),
    ],
)
def test_a_damaged_entry_is_one_sentence(tmp_path: Path, old: bytes, new: bytes) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("a", make_density(0))
    path = tmp_path / "store" / "index.jsonl"
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    store = Store(tmp_path / "store")
    with pytest.raises(InputError, match="entry 'a'") as error:
        store["a"]
    assert "\n" not in str(error.value)
    assert store.check()


def test_entries_missing_at_the_end_are_found_although_their_values_are_gone_too(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with StoreWriter(folder, shard_bytes=100) as writer:  # a shard each
        for key in ("a", "b", "c"):
            writer.add(key, make_density(3))
    assert Store(folder).check() == {}
    index = folder / "index.jsonl"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:-1]))
    (folder / "densities-002.bin").unlink()
    assert "has 2 entries where the store was closed with 3" in Store(folder).check()["index.jsonl"]
    (folder / "entries.json").write_text('{"entries": "many"}')
    assert "damaged" in Store(folder).check()["entries.json"]
    with StoreWriter(folder) as writer:  # continued: what it closes with counts
        writer.add("d", make_density(4))
    assert Store(folder).check() == {}


def test_a_writer_that_was_killed_leaves_no_number_of_entries(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with StoreWriter(folder) as writer:
        writer.add("a", make_density(3))
    assert (folder / "entries.json").is_file()
    writer = StoreWriter(folder)
    writer.add("b", make_density(4))
    writer.commit()
    assert not (folder / "entries.json").exists()
    writer._index.close()  # killed
    assert Store(folder).check() == {}
