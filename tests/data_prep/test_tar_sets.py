"""The sets of DTU data, from small tar files of their layout."""

from __future__ import annotations

import json
import tarfile
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.io import write_density
from data_prep.published import tar_members as _tar_members
from data_prep.published import tar_sets
from tests.helpers.random_densities import make_density, written

NAMES = [f"dsgdb9nsd_{number:06d}" for number in range(1, 8)]
SUFFIXES = ["CHGCAR.lz4", "CHGCAR.gz", "cube.gz", "CHGCAR.zz", "cube.zz", "CHGCAR", "cube.lz4"]


def carbon_monoxide(number: int, electrons: float = 10.0) -> Density:
    """Random densities of CO with ten valence electrons."""
    rng = np.random.default_rng(number)
    cell = np.diag([3.0, 3.2, 3.4])
    geometry = Geometry(np.array([6, 8]), np.array([[0.1, 0.2, 0.3], [1.2, 0.2, 0.3]]), cell, np.ones(3, dtype=bool))
    grid = Grid(cell, (6, 5, 7))
    values = rng.random(grid.shape) + 0.1
    return Density(geometry, grid, values * (electrons / (values.sum() * grid.voxel_volume)))


def file_bytes(density: Density, name: str, folder: Path) -> bytes:
    """What a published file of that name holds."""
    plain = folder / name.removesuffix(".zz")
    write_density(density, plain)
    data = plain.read_bytes()
    plain.unlink()
    return zlib.compress(data) if name.endswith(".zz") else data


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Seven molecules in two tars, their list in an order that is not the alphabet's, and positions."""
    folder = tmp_path / "published"
    folder.mkdir()
    files = {
        f"{name}.{suffix}": file_bytes(carbon_monoxide(number), f"{name}.{suffix}", folder)
        for number, (name, suffix) in enumerate(zip(NAMES, SUFFIXES, strict=True))
    }
    items = list(files.items())
    write_tar(folder / "z.tar", dict(items[:4]))
    write_tar(folder / "a.tar", dict(items[4:]))
    (folder / "qm9vasp.txt").write_text("z.tar\na.tar\n")
    (folder / "README.txt").write_text("About the data.\n")
    (folder / "datasplits.json").write_text(json.dumps({"train": [6, 0, 4], "validation": [1], "test": [5, 3, 2]}))
    return folder


def run(folder: Path, store: Path, *more: str) -> int:
    return tar_sets.main(["qm9_vasp", "--tars", str(folder), "-o", str(store), "--jobs", "1", *more])


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_store_and_split_hold_what_the_tars_hold(published: Path, tmp_path: Path, jobs: str) -> None:
    assert run(published, tmp_path / "store", "--jobs", jobs) == 0
    store = Store(tmp_path / "store")
    assert store.keys() == NAMES
    for number, name in enumerate(NAMES):
        entry = store[name]
        np.testing.assert_allclose(entry.values, written(carbon_monoxide(number)), rtol=2e-5)
        assert entry.electrons_expected == 10.0
        assert entry.meta["set"] == "qm9_vasp"
        assert entry.meta["file"] == f"{'z.tar' if number < 4 else 'a.tar'}:{name}.{SUFFIXES[number]}"
    split = read_split(tmp_path / "store" / "split.json")
    assert split.train == (NAMES[6], NAMES[0], NAMES[4])
    assert (split.validation, split.test) == ((NAMES[1],), (NAMES[5], NAMES[3], NAMES[2]))


def test_goes_on_after_an_interruption(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[str] = []
    stream = _tar_members.read_density_stream

    def interrupted(data: BytesIO, name: str) -> Density:
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(name)
        return stream(data, name)

    monkeypatch.setattr(_tar_members, "read_density_stream", interrupted)
    store = tmp_path / "store"
    assert run(published, store) == 130
    assert "--resume" in capsys.readouterr().err
    assert Store(store).keys() == NAMES[:3]
    assert not (store / "split.json").exists()
    assert run(published, store) == 2
    assert "--resume" in capsys.readouterr().err
    read.clear()
    read.extend([""] * 4)  # so that it is not interrupted again
    assert run(published, store, "--resume") == 0
    assert [name.partition(".")[0] for name in read[4:]] == NAMES[3:]
    assert Store(store).keys() == NAMES
    assert Store(store).check() == {}
    assert len(read_split(store / "split.json").train) == 3


def test_bad_members_are_listed_and_leave_the_split(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{name}.{suffix}" for name, suffix in zip(NAMES, SUFFIXES, strict=True)]
    files = {name: file_bytes(carbon_monoxide(number), name, tmp_path) for number, name in enumerate(names)}
    files[names[0]] = files[names[0]][:-40]  # the lz4 frame is cut short
    files[names[1]] = b"no gzip file at all"
    files[names[4]] = file_bytes(carbon_monoxide(4, electrons=9.9), names[4], tmp_path)
    write_tar(published / "z.tar", {name: files[name] for name in names[:4]})
    write_tar(published / "a.tar", {name: files[name] for name in names[4:]})
    (published / "datasplits.json").write_text(json.dumps({"train": [0, 4, 6], "validation": [1], "test": [2]}))
    store = tmp_path / "store"
    assert run(published, store) == 0
    rejected = Store(store).rejected()
    assert set(rejected) == {NAMES[0], NAMES[1], NAMES[4]}
    assert "z.tar" in rejected[NAMES[0]]
    assert "damaged" in rejected[NAMES[1]]
    assert "9.9000 electrons where 10 are expected" in rejected[NAMES[4]]
    split = read_split(store / "split.json")
    assert (split.train, split.validation, split.test) == ((NAMES[6],), (), (NAMES[2],))
    error = capsys.readouterr().err
    assert "2 train materials were rejected" in error
    assert "the split names 5 of 7 files" in error


def test_nothing_read_is_a_failure(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", {"a.CHGCAR": b"no density\n"})
    assert run(tmp_path / "one.tar", tmp_path / "store") == 1


def unknown_tar(folder: Path) -> None:
    (folder / "a.tar").unlink()


def cut_tar(folder: Path) -> None:
    data = (folder / "a.tar").read_bytes()
    (folder / "a.tar").write_bytes(data[: len(data) // 2])


def cut_at_a_header(folder: Path) -> None:
    with tarfile.open(folder / "a.tar") as tar:
        second = tar.getmembers()[1].offset
    (folder / "a.tar").write_bytes((folder / "a.tar").read_bytes()[: second + 100])


def damaged_header(folder: Path) -> None:
    with tarfile.open(folder / "a.tar") as tar:
        second = tar.getmembers()[1].offset
    data = bytearray((folder / "a.tar").read_bytes())
    data[second + 148 : second + 156] = b"xxxxxxxx"  # the header's checksum
    (folder / "a.tar").write_bytes(data)


def positions_beyond(folder: Path) -> None:
    (folder / "datasplits.json").write_text(json.dumps({"train": [0, 7], "validation": []}))


def position_twice(folder: Path) -> None:
    (folder / "datasplits.json").write_text(json.dumps({"train": [0, 1], "validation": [1]}))


def no_list(folder: Path) -> None:
    (folder / "qm9vasp.txt").unlink()


def two_lists(folder: Path) -> None:
    (folder / "other.txt").write_text("a.tar\n")


def listed_twice(folder: Path) -> None:
    (folder / "qm9vasp.txt").write_text("a.tar\na.tar\n")


def nothing_there(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


MISTAKES = {
    unknown_tar: "lists a.tar, which is not in",
    cut_tar: "a.tar is",
    cut_at_a_header: "a.tar is damaged or cut short",
    damaged_header: "a.tar is damaged or cut short",
    positions_beyond: "holds position 7, the list of files has 7 names",
    position_twice: "twice",
    no_list: "need the order of the 2 tars",
    two_lists: "several lists",
    listed_twice: "twice",
    nothing_there: "holds no *.tar",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_mistakes_get_one_sentence_before_anything_is_written(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mistake: object
) -> None:
    mistake(published)  # type: ignore[operator]
    assert run(published, tmp_path / "store") == 2
    error = capsys.readouterr().err
    assert MISTAKES[mistake] in error  # type: ignore[index]
    assert error.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_without_a_split_the_order_of_tars_does_not_matter(published: Path, tmp_path: Path) -> None:
    (published / "qm9vasp.txt").unlink()
    (published / "datasplits.json").unlink()
    assert run(published, tmp_path / "store") == 0
    assert sorted(Store(tmp_path / "store").keys()) == NAMES
    assert not (tmp_path / "store" / "split.json").exists()


def test_names_in_two_tars_and_folders_inside(tmp_path: Path) -> None:
    data = [file_bytes(make_density(number), f"{number}.CHGCAR", tmp_path) for number in range(3)]
    for name, files in (("one.tar", {"cells/7.CHGCAR": data[0]}), ("two.tar", {"cells/7.CHGCAR": data[1]})):
        write_tar(tmp_path / name, files)
    with tarfile.open(tmp_path / "two.tar", "a:") as tar:
        folder = tarfile.TarInfo("more")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        info = tarfile.TarInfo("8.CHGCAR")
        info.size = len(data[2])
        tar.addfile(info, BytesIO(data[2]))
    (tmp_path / "list.txt").write_text("one.tar\n\n/home/someone/two.tar\n")
    (tmp_path / "positions.json").write_text(json.dumps({"train": [2, 0], "validation": [1]}))
    arguments = ["--tars", str(tmp_path / "list.txt"), "-o", str(tmp_path / "store"), "--jobs", "1"]
    assert tar_sets.main(["nmc", *arguments, "--split", str(tmp_path / "positions.json")]) == 0
    store = Store(tmp_path / "store")
    assert store.keys() == ["one__cells__7", "two__cells__7", "8"]
    assert [store[key].electrons_expected for key in store] == [None] * 3
    assert read_split(tmp_path / "store" / "split.json").train == ("8", "one__cells__7")


def test_elements_without_a_known_valence_are_not_checked(tmp_path: Path) -> None:
    oxide, neutral = make_density(1), carbon_monoxide(1)  # MgO has no valence in the table of ethylene carbonate
    files = {"oxide.CHGCAR": oxide, "neutral.CHGCAR": neutral}
    write_tar(tmp_path / "one.tar", {name: file_bytes(density, name, tmp_path) for name, density in files.items()})
    arguments = ["--tars", str(tmp_path / "one.tar"), "--jobs", "1", "-o"]
    assert tar_sets.main(["ethylene_carbonate", *arguments, str(tmp_path / "default")]) == 0
    store = Store(tmp_path / "default")
    assert (store["oxide"].electrons_expected, store["neutral"].electrons_expected) == (None, 10.0)
    table = tmp_path / "valence.json"
    table.write_text(json.dumps({"C": 4, "O": 6}))
    assert tar_sets.main(["ethylene_carbonate", *arguments, str(tmp_path / "given"), "--valence", str(table)]) == 0
    assert "Mg" in Store(tmp_path / "given").rejected()["oxide"]


def test_a_real_chgcar(shared: Path, tmp_path: Path) -> None:
    import lz4.frame
    from pymatgen.io.vasp import Chgcar

    path = shared / "real" / "CHGCAR.Si2"
    write_tar(tmp_path / "real.tar", {"Si2.CHGCAR.lz4": lz4.frame.compress(path.read_bytes())})
    (tmp_path / "valence.json").write_text(json.dumps({"Si": 4}))
    arguments = ["--tars", str(tmp_path / "real.tar"), "-o", str(tmp_path / "store"), "--jobs", "1"]
    assert tar_sets.main(["nmc", *arguments, "--valence", str(tmp_path / "valence.json")]) == 0
    entry, expected = Store(tmp_path / "store")["Si2"], Chgcar.from_file(str(path))
    values = expected.data["total"] / expected.structure.volume
    np.testing.assert_allclose(entry.values[0], values, rtol=1e-6)
    assert entry.electrons_expected == 8.0


def test_density_with_two_channels_keeps_them(tmp_path: Path) -> None:
    density = replace(make_density(4, channels=2), provenance={})
    write_tar(tmp_path / "one.tar", {"x.CHGCAR.gz": file_bytes(density, "x.CHGCAR.gz", tmp_path)})
    assert (
        tar_sets.main(["nmc", "--tars", str(tmp_path / "one.tar"), "-o", str(tmp_path / "store"), "--jobs", "1"]) == 0
    )
    np.testing.assert_allclose(Store(tmp_path / "store")["x"].values, written(density), rtol=1e-6)
