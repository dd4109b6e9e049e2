"""``data build --part`` in two processes and ``data merge`` against one ``data build``."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from charge3net.cli.main import main
from charge3net.data.merge import merge_stores
from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from charge3net.io import write_density
from tests.helpers.random_densities import make_density


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven densities, one of them with two channels, and a file that is cut short."""
    monkeypatch.chdir(tmp_path)
    Path("files").mkdir()
    for i in range(7):
        write_density(make_density(i, channels=1 + (i == 4)), f"files/m{i}.npz")
    Path("files/m2b.cube").write_text("cut")
    return tmp_path


def build(*more: str) -> int:
    return main(["data", "build", "files", "-o", "store", "--jobs", "1", "--unchecked", *more])


def build_parts(of: int, *more: str) -> None:
    """All parts at the same time, a process each."""
    fork = multiprocessing.get_context("fork")
    started = [fork.Process(target=build, args=("--part", f"{k}/{of}", *more)) for k in range(1, of + 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0


@pytest.mark.parametrize("more", [(), ("--shuffled",)], ids=["C", "shuffled"])
def test_two_processes_make_what_one_makes(here: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    assert build(*more) == 0
    build_parts(2, *more)
    folders = sorted(Path(".").glob("store.part-*"))
    assert [folder.name for folder in folders] == ["store.part-1-of-2", "store.part-2-of-2"]
    contents = {folder: (folder / "index.jsonl").read_bytes() for folder in folders}
    assert main(["data", "merge", *map(str, reversed(folders)), "-o", "merged"]) == 0
    one, merged = Store("store"), Store("merged")
    assert merged.keys() == one.keys() == [f"m{i}" for i in range(7)]
    assert merged.hash() == one.hash()
    assert merged.check() == {}
    assert merged.shuffled == bool(more)
    for key in one:
        np.testing.assert_array_equal(merged[key].values, one[key].values)
        assert merged[key].meta == one[key].meta
    assert merged.rejected() == one.rejected()
    assert set(one.rejected()) == {"m2b"}
    assert {folder: (folder / "index.jsonl").read_bytes() for folder in folders} == contents
    # the merged store is one like any other: it can be continued
    with StoreWriter("merged") as writer:
        assert writer.add("more", make_density(9))
    assert Store("merged").check() == {}
    assert "7 entries" in capsys.readouterr().out


def test_more_parts_than_files(here: Path) -> None:
    build_parts(11)
    folders = sorted(Path(".").glob("store.part-*"))
    assert folders[0].name == "store.part-01-of-11"
    assert merge_stores(folders, Path("merged")).entries == 7
    assert Store("merged").keys() == [f"m{i}" for i in range(7)]


def test_an_interrupted_part_is_noticed_and_resumed(here: Path) -> None:
    build_parts(2)
    first, second = sorted(Path(".").glob("store.part-*"))
    record = json.loads((first / "part.json").read_text())
    assert (record["part"], record["of"]) == (1, 2)
    (first / "part.json").unlink()  # as if it had been killed
    with pytest.raises(InputError, match=r"store\.part-1-of-2 is not a finished part"):
        merge_stores([first, second], Path("merged"))
    assert build("--part", "1/2", "--resume") == 0
    assert merge_stores([first, second], Path("merged")).entries == 7


def test_what_cannot_be_merged(here: Path) -> None:
    build_parts(2)
    first, second = sorted(Path(".").glob("store.part-*"))
    shutil.copytree(first, "copy")
    with StoreWriter("other") as writer:
        writer.add("m0", make_density(0))
    with StoreWriter("shuffled", shuffled=True) as writer:
        writer.add("x", make_density(0))
    with StoreWriter("single") as writer:
        writer.add("x", make_density(0))
    write_density(make_density(8), "files/m8.npz")
    assert main(["data", "build", "files", "-o", "new", "--jobs", "1", "--part", "2/2"]) == 0
    for stores, said in (
        ([first], "of 2 parts these are not given: 2"),
        ([first, first], "given twice"),
        ([first, Path("copy")], "of 2 parts these are not given: 2"),
        ([first, second, Path("single")], "single is not a finished part"),
        ([first, Path("new.part-2-of-2")], "part of another build"),
        ([Path("single"), Path("shuffled")], "shuffled and with unshuffled"),
        ([Path("files")], "is not a store"),
        ([Path("single"), Path("other"), Path("only")], "only is not a store"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            merge_stores(stores, Path("merged"))
    (first / "part.json").unlink()
    with pytest.raises(InputError, match=r"store\.part-1-of-2 and other both have an entry 'm0'"):
        merge_stores([first, Path("other")], Path("merged"))
    with StoreWriter("single"), pytest.raises(InputError, match="another process is writing to single"):
        merge_stores([Path("single"), Path("other")], Path("merged"))
    shard = Path("other/densities-000.bin")
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(InputError, match="missing or too short"):
        merge_stores([Path("single"), Path("other")], Path("merged"))
    assert not Path("merged").exists()
    assert not list(Path(".").glob(".merged*"))
    assert merge_stores([Path("single")], Path("merged")).entries == 1
    with pytest.raises(InputError, match="merged exists"):
        merge_stores([Path("single")], Path("merged"))
