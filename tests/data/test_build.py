from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from charge3net.cli.main import main
from charge3net.data.build import FileContent, build_store, read_content, read_valence
from charge3net.data.find import find_files
from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.io import write_density
from tests.helpers.random_densities import make_density, written


def save_npz(path: Path, density: Density, **more: object) -> None:
    """The layout of /work/shared/dft: one file, numpy alone."""
    geometry = density.geometry
    np.savez(
        path,
        numbers=geometry.numbers,
        positions=geometry.positions,
        cell=geometry.cell,
        pbc=geometry.pbc,
        density=np.asarray(density.values)[0],
        **more,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four good files of three formats, one cut short, and files that are no densities."""
    base = tmp_path / "files"
    (base / "mp-1").mkdir(parents=True)
    write_density(make_density(0), base / "mp-1" / "CHGCAR")
    (base / "mp-1" / "CHG").write_text("ignored unless named")
    (base / "mp-1" / "OUTCAR").write_text("ignored")
    write_density(make_density(1, channels=2), base / "two.chgcar.gz")
    total = np.asarray(make_density(2).values)[0]
    electrons = float(total.sum() * make_density(2).grid.voxel_volume)
    save_npz(base / "three.npz", make_density(2), n_electrons=electrons, density_sad=total * 0.9)
    write_density(make_density(3), base / "four.cube")
    whole = (base / "mp-1" / "CHGCAR").read_text()
    (base / "short.chgcar").write_text(whole[: len(whole) // 2])
    return base


@pytest.mark.parametrize("jobs", [1, 2])
def test_build_from_a_folder(folder: Path, tmp_path: Path, jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    assert main(["data", "build", str(folder), "-o", str(out), "--jobs", str(jobs)]) == 0
    store = Store(out)
    assert store.keys() == ["four", "mp-1", "three", "two"]
    assert list(store.rejected()) == ["short"]
    for key, number, tolerance in (("mp-1", 0, 1e-6), ("three", 2, 0.0), ("four", 3, 1e-4)):
        np.testing.assert_allclose(store[key].values, written(make_density(number)), rtol=tolerance, atol=tolerance)
    assert store["two"].channels == 2
    assert store["three"].baseline is not None
    assert store["three"].statistics["baseline_error"] == pytest.approx(0.1, rel=1e-5)
    assert store["three"].electrons_expected is not None
    assert store["mp-1"].electrons_expected is None
    assert store["mp-1"].meta["file"] == str(folder / "mp-1" / "CHGCAR")
    captured = capsys.readouterr()
    assert "4 entries (4 new), 1 rejected" in captured.out
    assert "rejected short: " in captured.err
    assert str(folder / "short.chgcar") in captured.err


def test_resume_keeps_what_is_there(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    build = ["data", "build", str(folder), "-o", str(out), "--jobs", "1"]
    moved = (folder / "two.chgcar.gz").rename(tmp_path / "two.chgcar.gz")
    assert main(build) == 0
    assert main(build) == 2
    assert "add --resume" in capsys.readouterr().err
    moved.rename(folder / "two.chgcar.gz")
    (folder / "four.cube").write_text("no longer read")
    write_density(make_density(4), folder / "short.chgcar")
    assert main([*build, "--resume"]) == 0
    assert "5 entries (2 new), 0 rejected" in capsys.readouterr().out
    assert Store(out).check() == {}
    assert Store(out).rejected() == {}


def test_exit_status(folder: Path, tmp_path: Path) -> None:
    build = ["data", "build", "--jobs", "1", "-o"]
    assert main([*build, str(tmp_path / "a"), str(folder), "--strict"]) == 1
    assert len(Store(tmp_path / "a")) == 4
    assert main([*build, str(tmp_path / "b"), str(folder / "short.chgcar")]) == 1
    assert main([*build, str(tmp_path / "c"), str(folder / "four.cube"), "--strict"]) == 0
    assert Store(tmp_path / "c").keys() == ["four"]


def test_electrons_against_the_valence(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files hold 8 and 48 electrons; Si has 4 in VASP's potential, and not 5."""
    (tmp_path / "valence.json").write_text('{"Si": 4, "Li": 3, "Co": 9, "O": 6}')
    (tmp_path / "wrong.json").write_text('{"Si": 5, "Li": 3, "Co": 9}')
    files = [str(shared / "real" / name) for name in ("CHGCAR.Si2", "CHGCAR.LiCoO2_spin.gz", "CHGCAR.truncated")]
    build = ["data", "build", *files, "--jobs", "1", "--valence"]
    main([*build, str(tmp_path / "valence.json"), "-o", str(tmp_path / "good")])
    store = Store(tmp_path / "good")
    assert store["CHGCAR.Si2"].electrons == pytest.approx(8.0, abs=1e-3)
    assert store["CHGCAR.Si2"].electrons_expected == 8.0
    lithium = store["CHGCAR.LiCoO2_spin"]
    assert lithium.electrons == pytest.approx(48.0, abs=1e-3)
    assert lithium.channels == 2
    assert list(store.rejected()) == ["CHGCAR.truncated"]
    capsys.readouterr()
    assert main([*build, str(tmp_path / "wrong.json"), "-o", str(tmp_path / "bad")]) == 1
    errors = capsys.readouterr().err
    assert "8.0000 electrons where 10 are expected" in errors
    assert "no valence electrons are given for O" in errors


def test_real_densities_and_their_baselines(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "dft" / "crystals").glob("hand-*.npz"))[:4]
    result = build_store(find_files(files), tmp_path / "store", jobs=1)
    assert result.stored == 4
    assert result.rejected == {}
    store = Store(tmp_path / "store")
    for file in files:
        with np.load(file) as data:
            meta = json.loads(str(data["meta"]))
            np.testing.assert_array_equal(store[file.stem].values[0], data["density"])
            np.testing.assert_array_equal(store[file.stem].baseline, data["density_sad"])
        assert store[file.stem].statistics["baseline_error"] == pytest.approx(meta["nmae_sad"], rel=1e-5)
        assert store[file.stem].electrons == pytest.approx(meta["n_from_grid"], rel=1e-6)
        assert store[file.stem].meta["xc"] == "PBE"


def test_bad_inputs(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_files([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no CHGCAR, cube or npz"):
        find_files([tmp_path / "empty"])
    with pytest.raises(InputError, match="jobs=0"):
        build_store(find_files([folder]), tmp_path / "s", jobs=0)
    (tmp_path / "valence.json").write_text("[4]")
    with pytest.raises(InputError, match="valence electrons"):
        read_valence(tmp_path / "valence.json")
    assert not (tmp_path / "s").exists()


def test_names_of_explicit_files(folder: Path) -> None:
    names = find_files([folder / "mp-1" / "CHGCAR", folder / "two.chgcar.gz"])
    assert list(names) == ["mp-1", "two"]


def test_info_and_check(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    build_store(find_files([folder]), out, jobs=1)
    assert main(["data", "info", str(out)]) == 0
    text = capsys.readouterr().out
    voxels = 42 * sum((5, 6, 7, 5))
    for expected in ("4 (1 rejected)", f"{voxels:,} in all", "3 with the density, 1 with", "mean 2 per entry"):
        assert expected in text
    assert "ε_mae 10.00 % (mean)" in text
    assert main(["data", "info", str(out), "--keys"]) == 0
    assert capsys.readouterr().out.split() == ["four", "mp-1", "three", "two"]
    assert main(["data", "check", str(out)]) == 0
    shard = out / "densities-000.bin"
    raw = bytearray(shard.read_bytes())
    raw[3] ^= 1
    shard.write_bytes(raw)
    assert main(["data", "check", str(out), "--quick"]) == 0
    assert main(["data", "check", str(out)]) == 1
    assert "four: the values differ" in capsys.readouterr().out


def test_split_command(store_and_split: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = str(store_and_split[0]), tmp_path / "out.json"
    assert main(["data", "split", store, "-o", str(out), "--counts", "5", "2", "2", "--seed", "1"]) == 0
    assert "5 train, 2 validation, 2 test" in capsys.readouterr().out
    assert main(["data", "split", store, "-o", str(out), "--fractions", "0.6", "0.2", "0.2", "--by", "formula"]) == 0
    split, entries = read_split(out), Store(store)
    formulas = [{entries[key].formula for key in part} for part in (split.train, split.validation, split.test)]
    assert len(set.union(*formulas)) == sum(map(len, formulas)) == 5
    (tmp_path / "files.txt").write_text("".join(f"m{i:02d}.CHGCAR.lz4\n" for i in range(12)))
    (tmp_path / "published.json").write_text('{"train": [3, 11, 0], "validation": [9], "test": [10]}')
    published = ["data", "split", store, "-o", str(out), "--published", str(tmp_path / "published.json")]
    assert main([*published, "--file-list", str(tmp_path / "files.txt")]) == 0
    assert read_split(out).train == ("m03", "m00")
    assert read_split(out).test == ()
    assert "2 materials of the split are not in the store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fractions", "0.5", "0.1", "0.1"], "add up to 1"),
        (["--counts", "9", "1", "1"], "asks for 11"),
        (["--counts", "5", "1", "1", "--file-list", "x"], "--file-list goes with --published"),
        (["--published", "nowhere.json"], "nowhere.json: cannot be read (No such file"),
    ],
)
def test_bad_split_commands(
    store_and_split: tuple[Path, Path],
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.json"
    assert main(["data", "split", str(store_and_split[0]), "-o", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("charge3net data: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_goes_on_after_being_killed(folder: Path, tmp_path: Path) -> None:
    """Processes that read must not outlive the one that writes: they share its lock."""
    script = (
        "import sys\nfrom charge3net.data import build\nfrom charge3net.data.find import find_files\n"
        "def store(*_):\n    print('reading', flush=True)\n    sys.stdin.read()\n"
        "build._store = store\n"
        "build.build_store(find_files([sys.argv[1]]), sys.argv[2], jobs=2)\n"
    )
    arguments = [sys.executable, "-c", script, str(folder), str(tmp_path / "store")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == "reading\n"
        with pytest.raises(InputError, match="another process is writing"):
            build_store(find_files([folder]), tmp_path / "store", jobs=1, resume=True)
        writing.kill()
    for _ in range(200):  # the readers notice within moments
        with contextlib.suppress(InputError):
            assert build_store(find_files([folder]), tmp_path / "store", jobs=1, resume=True).stored == 4
            return
        time.sleep(0.05)
    pytest.fail("the store stays locked")


def test_copies_and_second_files_of_a_material_are_left_out(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_density(make_density(0), folder / "mp-1" / "CHGCAR.gz")
    for name in ("CHGCAR.bak", "CHGCAR_tot", "CHGCAR_mag.gz", "CHGCAR.Si2"):
        write_density(make_density(0), folder / "mp-1" / name)
    files = find_files([folder])
    assert files["mp-1"] == folder / "mp-1" / "CHGCAR"
    assert [name for name in files if name.startswith("mp-1")] == ["mp-1", "mp-1__CHGCAR.Si2"]
    for name in ("CHGCAR.gz", "CHGCAR.bak", "CHGCAR_tot", "CHGCAR_mag.gz"):
        assert f"left out: {folder / 'mp-1' / name} (" in caplog.text
    assert build_store(files, tmp_path / "store", jobs=1).stored == 5


def test_no_bad_file_ends_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ghost atom with a table of valences; fields that are no densities; a valence table that lacks an element."""
    cases = Path(__file__).parents[1] / "io" / "cases"
    (tmp_path / "val.json").write_text('{"Na": 1, "Cl": 7}')
    files = [str(cases / name) for name in ("plain.cube", "Z0.cube", "full_vectors.cube", "rhoV.cube")]
    build = ["data", "build", *files, "--jobs", "1", "-o", str(tmp_path / "store")]
    for more in (["--valence", str(tmp_path / "val.json")], ["--resume"]):
        assert main([*build, *more]) == 0
        store = Store(tmp_path / "store")
        assert store.keys() == ["plain"]
        assert "Z0.cube: atom 1 has the atomic number 0: a dummy or ghost atom" in store.rejected()["Z0"]
    assert "the density holds 2688" in capsys.readouterr().err
    assert "∫ρ is 2688 e where the atoms have 8 (outermost shells) to 28 (ΣZ)" in store.rejected()["full_vectors"]
    assert "divided by the volume it fits" in store.rejected()["rhoV"]
    assert main([*build, "--resume", "--unchecked"]) == 0
    assert sorted(Store(tmp_path / "store")) == ["full_vectors", "plain", "rhoV"]


def test_a_build_says_how_many_electrons_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = Path(__file__).parents[1] / "io" / "cases"
    assert main(["data", "build", str(cases / "plain.cube"), "--jobs", "1", "-o", str(tmp_path / "store")]) == 0
    assert "∫ρ is 0.286 (plain) to 0.286 (plain) of ΣZ" in capsys.readouterr().out  # 8 of 28


def kill_when_named_three(path: Path) -> FileContent:
    if path.name.startswith("three"):
        os.kill(os.getpid(), signal.SIGKILL)
    return read_content(path)


def test_a_process_that_dies_costs_one_file(folder: Path, tmp_path: Path) -> None:
    result = build_store(find_files([folder]), tmp_path / "store", jobs=2, read=kill_when_named_three)
    assert Store(tmp_path / "store").keys() == ["four", "mp-1", "two"]
    assert "the process that read it died" in result.rejected["three"]
    assert sorted(result.rejected) == ["short", "three"]


@pytest.mark.parametrize("content", ['{"Si": "4"}', '{"Si": true}', '{"Si": NaN}', '{"Si": 4, "Si": 5}', "[" * 100_000])
def test_bad_tables_of_valences(tmp_path: Path, content: str) -> None:
    (tmp_path / "valence.json").write_text(content)
    with pytest.raises(
        InputError, match=r"valence\.json(: the table of valence electrons is (not JSON|nested too deeply)| must be)"
    ) as error:
        read_valence(tmp_path / "valence.json")
    assert "\n" not in str(error.value)
