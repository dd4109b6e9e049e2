"""docs/add_a_study.md followed literally: its files in an empty folder, registered as pip would, its commands run."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from charge3net.cli.main import main
from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from charge3net.studies import GROUP, find_study, studies
from tests.helpers.studies import rattled_density

PAGE = Path(__file__).parents[2] / "docs" / "add_a_study.md"


def _files() -> dict[str, str]:
    """Name → content of the files on the page."""
    found = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))
    listed = re.findall(r"^(\S+/\S+|pyproject\.toml)\b", PAGE.read_text().split("```")[1], re.MULTILINE)
    assert sorted(found) == sorted(listed)
    return found


def _register(folder: Path, name: str, entries: dict[str, str]) -> None:
    """Metadata of an installed package, as far as entry points need them."""
    info = folder / f"{name.replace('-', '_')}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    _write_entries(info, entries)


def _write_entries(info: Path, entries: dict[str, str]) -> None:
    """Entry points of an installed package; its folder looks changed, as after an installation."""
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()))
    stat = info.parent.stat()
    os.utime(info.parent, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def _store(folder: Path, materials: int) -> Store:
    """Cells of one size with two to four atoms, whose superpositions are 10 %, 20 %, … too large."""
    with StoreWriter(folder) as writer:
        for i in range(materials):
            density = rattled_density([8, 3, 1, 25][: 2 + i % 3], i)
            writer.add(f"m{i}", density, baseline=(1.1 + 0.1 * i) * density.total)
    return Store(folder)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the package of the page lies, on the path of Python."""
    for name, content in _files().items():
        file = tmp_path / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    project = tomllib.loads((tmp_path / "site" / "pyproject.toml").read_text())
    _register(tmp_path / "site", project["project"]["name"], project["project"]["entry-points"][GROUP])
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "sad_errors"]:
        del sys.modules[name]


def test_the_page_followed_literally(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(installed)
    store = _store(installed / ".cache" / "demo_set" / "store", 6)
    commands = re.findall(r"^charge3net (study .*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert main(command.split()) == 0
    result = json.loads(Path("results/sad_errors/result.json").read_text())["result"]
    assert [one["key"] for one in result["structures"]] == list(store)
    volumes = [store[key].geometry.volume / len(store[key].geometry) for key in store]
    errors = [
        100 * np.abs(store[key].baseline - store[key].values[0]).sum() / store[key].values[0].sum() for key in store
    ]
    assert errors == pytest.approx([10, 20, 30, 40, 50, 60], rel=1e-5)
    assert [one["sad"] for one in result["structures"]] == pytest.approx(errors, rel=1e-5)
    assert result["summary"]["rho"] == pytest.approx(spearmanr(volumes, errors).statistic, abs=1e-4)
    text = Path("results.md").read_text()
    assert f"over 6 structures: {np.mean(errors):.2f} ± " in text
    assert "## Errors of SAD\n" in text
    assert "## Errors of SAD: small\n" in text
    for folder in ("sad_errors", "sad_errors-small"):
        assert Path(f"results/{folder}/errors.svg").read_bytes().startswith(b"<?xml")
        assert f"(results/{folder}/errors.svg)" in text


def test_a_finished_study_measures_nothing_again(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _store(installed / "store", 4)
    found = find_study("sad_errors").module()
    config = found.Config(str(installed / "store"), 100)
    first = found.run(config, installed / "work")
    monkeypatch.setattr("sad_errors.study.measure", lambda entry: pytest.fail("measured again"))
    assert found.run(config, installed / "work") == first


def test_settings_of_the_study_are_checked(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "sad_errors", "store=x", "larges=3"]) == 2
    assert "did you mean largest?" in capsys.readouterr().err
    assert main(["study", "sad_errors"]) == 2
    assert "store is not given" in capsys.readouterr().err
    assert main(["study", "sad_errors", "store=x", "--show"]) == 0
    assert capsys.readouterr().out == "store: x\nlargest: 100\n"


def test_incomplete_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_study.py").write_text('TITLE = "Half"\n')
    _register(tmp_path, "half", {"half": "half_a_study", "gone": "not_to_be_found", "spin": "half_a_study"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"half names half_a_study in charge3net\.studies as spin"):
        studies()
    info = tmp_path / "half-0.1.dist-info"
    _write_entries(info, {"half": "half_a_study", "gone": "not_to_be_found"})
    with pytest.raises(InputError, match="half_a_study lacks Config"):
        find_study("half").module()
    with pytest.raises(InputError, match="study gone cannot be imported from not_to_be_found"):
        find_study("gone").module()
    _write_entries(info, {"a/b": "half_a_study"})
    with pytest.raises(InputError, match="a/b"):
        studies()


def test_the_result_of_a_study_that_is_not_installed_is_not_dropped_from_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results" / "unknown").mkdir(parents=True)
    (tmp_path / "results" / "unknown" / "result.json").write_text("{}")
    assert main(["study", "page", "-o", str(tmp_path / "results")]) == 2
    assert "study 'unknown', which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "results.md").exists()


def test_every_study_has_the_files_that_the_page_lists() -> None:
    """Those of this package have no settings.yaml: their defaults are in conf/study."""
    listed = {Path(name).name for name in _files() if name.startswith("sad_errors/")} - {"settings.yaml"}
    package = Path(__file__).parents[2] / "charge3net" / "studies"
    for name, study in studies().items():
        if study.package.startswith("charge3net."):
            assert {file.name for file in (package / name).glob("*.py")} >= listed, name
            text = (package / name / "study.py").read_text()
            assert f"{name}.figures" not in text, name
            assert f"{name}.page" not in text, name


def test_defaults_of_studies_are_in_conf_alone() -> None:
    from dataclasses import MISSING, fields

    for study in studies().values():
        for field in fields(study.module().Config):
            assert field.default is MISSING, (study.name, field.name)
            assert field.default_factory is MISSING, (study.name, field.name)
