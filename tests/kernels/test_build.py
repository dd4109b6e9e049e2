"""Building and finding the libraries."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from charge3net import kernels
from charge3net.kernels import build, library
from tests import conftest
from tests.helpers.kernels import example, network
from tests.helpers.requirements import build_kernels, can_compile, no_kernels

ROOT = Path(__file__).parent.parent.parent
needs_compiler = pytest.mark.skipif(not can_compile(), reason="no compiler for kernels here")


@pytest.fixture
def fresh(monkeypatch):
    """Look for libraries anew, and again when the test is over."""
    library.library.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    library.library.cache_clear()


@needs_compiler
def test_where_a_compiler_is_the_library_is_there():
    assert library.library().handle is not None
    for name, _ in build.VARIANTS[build.machine()].values():
        assert build.library_path(name).exists(), f"{name} is not built"


@needs_compiler
def test_a_mistake_in_a_source_stops_the_tests(tmp_path, monkeypatch, request):
    (tmp_path / "wrong.cpp").write_text("int c3n_processor_level( {")
    monkeypatch.setattr(build, "SOURCE_FOLDER", tmp_path)
    monkeypatch.setattr(build, "LIBRARY_FOLDER", tmp_path / "lib")
    problem = build_kernels(tmp_path / "lib")
    assert problem.count("was not built") == len(build.VARIANTS[build.machine()])
    assert "wrong.cpp:1" in problem
    session = SimpleNamespace(config=SimpleNamespace())
    monkeypatch.setattr("tests.helpers.requirements.build_kernels", lambda: problem)
    with pytest.raises(pytest.exit.Exception, match="compiled kernels are broken") as stopped:
        conftest.pytest_sessionstart(session)
    assert stopped.value.returncode == 1


def test_a_test_of_kernels_fails_without_them_where_a_compiler_is(tmp_path, fresh):
    item = SimpleNamespace(get_closest_marker=lambda name: name == "compiled" or None)
    fresh.setattr(build, "LIBRARY_FOLDER", tmp_path)
    fresh.setattr(build, "library_path", lambda variant: tmp_path / variant)
    fresh.delenv(kernels.SWITCH, raising=False)
    assert no_kernels().startswith("no compiled kernels: they are not built")
    for there, outcome in ((True, pytest.fail.Exception), (False, pytest.skip.Exception)):
        fresh.setattr("tests.helpers.requirements.can_compile", lambda there=there: there)
        with pytest.raises(outcome, match="not built"):
            conftest.pytest_runtest_setup(item)
    fresh.setenv(kernels.SWITCH, "torch")
    fresh.setattr("tests.helpers.requirements.can_compile", lambda: True)
    with pytest.raises(pytest.skip.Exception, match="switched off"):
        conftest.pytest_runtest_setup(item)


def test_without_a_library_torch_does_the_work_and_status_says_why(tmp_path, fresh):
    fresh.setattr(build, "LIBRARY_FOLDER", tmp_path)
    fresh.setattr(build, "library_path", lambda variant: tmp_path / variant)
    status = kernels.status()
    assert status["backend"] == "torch"
    assert "python -m charge3net.kernels.build" in status["reason"]
    model, batch = network(1), example(0)
    with torch.no_grad():
        assert model(batch).shape == (7, 1)
    with pytest.raises(RuntimeError, match="not built"):
        library.compiled()


def test_a_broken_library_is_reported(tmp_path, fresh):
    fresh.setattr(build, "library_path", lambda variant: tmp_path / variant)
    for name, _ in build.VARIANTS[build.machine()].values():
        (tmp_path / name).write_bytes(b"not a library")
    assert "does not load" in kernels.status()["reason"]


def test_a_library_of_other_sources_is_reported(tmp_path, fresh, caplog):
    fresh.setattr(build, "LIBRARY_FOLDER", tmp_path)
    fresh.setattr(build, "library_path", lambda variant: tmp_path / variant)
    with caplog.at_level("WARNING"):
        assert "not built" in kernels.status()["reason"]
        assert not caplog.records
        library.library.cache_clear()
        (tmp_path / f"charge3net-{sys.platform}-{build.machine()}-avx2-00000000.so").write_bytes(b"")
        assert "built from other sources" in kernels.status()["reason"]
    assert len(caplog.records) == 1


def test_another_machine_has_none(fresh):
    fresh.setattr(build.platform, "machine", lambda: "riscv64")
    assert kernels.status()["reason"] == "no kernels are written for riscv64"


def test_a_failing_compiler_is_reported_and_not_raised(tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'messages.cpp: error: no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    said: list[str] = []
    assert build.build(tmp_path / "lib", said.append) == []
    assert all("no such thing" in line for line in said)
    assert len(said) == len(build.VARIANTS[build.machine()])
    assert list((tmp_path / "lib").iterdir()) == []


def test_no_compiler_is_reported(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert build.build(tmp_path / "lib", said.append) == []
    assert "no C++ compiler" in said[0]


@needs_compiler
def test_building_replaces_libraries_of_other_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "sources", lambda: [build.SOURCE_FOLDER / "processor.cpp"])
    stale = tmp_path / f"charge3net-{sys.platform}-{build.machine()}-baseline-00000000.so"
    stale.write_bytes(b"")
    built = build.build(tmp_path)
    assert built
    assert not stale.exists()
    assert sorted(tmp_path.iterdir()) == sorted(built)
    assert ctypes.CDLL(str(built[0])).c3n_processor_level() in (0, 1, 3, 4)
    before = [path.stat().st_mtime_ns for path in built]
    assert [path.stat().st_mtime_ns for path in build.build(tmp_path)] == before


def test_the_digest_changes_with_the_sources(tmp_path, monkeypatch):
    before = build.digest()
    copy = tmp_path / "src"
    shutil.copytree(build.SOURCE_FOLDER, copy)
    monkeypatch.setattr(build, "SOURCE_FOLDER", copy)
    assert build.digest() == before
    (copy / "common.h").write_text((copy / "common.h").read_text() + "\n")
    assert build.digest() != before


#: A C++ compiler that leaves out all sources but one, so that it is done in a second.
QUICK_COMPILER = """#!{python}
import subprocess, sys
arguments = [a for a in sys.argv[1:] if not a.endswith(".cpp") or a.endswith("processor.cpp")]
sys.exit(subprocess.run([*{compiler!r}, *arguments]).returncode)
"""


@needs_compiler
def test_a_wheel_holds_the_libraries_and_all_files_of_the_package(tmp_path):
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("charge3net", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "lib"))
    compiler = tmp_path / "quick"
    compiler.write_text(QUICK_COMPILER.format(python=sys.executable, compiler=build.find_compiler()))
    compiler.chmod(0o755)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    environment = {**os.environ, "CXX": str(compiler)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").iterdir()
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    names = zipfile.ZipFile(wheel).namelist()
    held = {re.sub(r"^[^/]*\.data/purelib/", "", name) for name in names if ".dist-info/" not in name}
    libraries = {name for name in held if name.startswith("charge3net/kernels/lib/")}
    assert len(libraries) == len(build.VARIANTS[build.machine()])
    assert all(name.endswith(".so") for name in libraries)
    found = [path.relative_to(ROOT) for folder in ("charge3net", "conf") for path in (ROOT / folder).rglob("*")]
    files = {str(path) for path in found if (ROOT / path).is_file() and not {"__pycache__", "lib"} & set(path.parts)}
    assert held - libraries == {re.sub("^conf/", "charge3net/conf/", name) for name in files}
