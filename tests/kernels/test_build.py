"""Building and finding the libraries."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from charge3net import kernels
from charge3net.kernels import build, library
from tests.helpers.kernels import assert_step_agrees, example, network

ROOT = Path(__file__).parent.parent.parent
needs_kernels = pytest.mark.skipif(library.library().handle is None, reason="no compiled kernels")
needs_compiler = pytest.mark.skipif(
    build.find_compiler() is None or build.machine() not in build.VARIANTS, reason="no compiler for kernels here"
)


@pytest.fixture
def fresh(monkeypatch):
    """Look for libraries anew, and again when the test is over."""
    library.library.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    library.library.cache_clear()


@needs_kernels
@pytest.mark.parametrize("variant", ["baseline", "avx2", "avx512", "neon"])
def test_every_variant_gives_the_same_numbers(variant, calls, monkeypatch):
    levels = {name: level for level, (name, _) in build.VARIANTS[build.machine()].items()}
    if variant not in levels or not build.library_path(variant).exists():
        pytest.skip(f"{variant} is not built here")
    if levels[variant] > library.compiled().c3n_processor_level():
        pytest.skip(f"this processor has no {variant}")
    one = library.Library(ctypes.CDLL(str(build.library_path(variant))), variant)
    monkeypatch.setattr(library, "library", lambda: one)
    assert_step_agrees(network(3, mul=100), example(1), calls, runs=6)


def test_without_a_library_torch_does_the_work_and_status_says_why(tmp_path, fresh):
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


@needs_compiler
def test_a_wheel_holds_the_libraries(tmp_path):
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("charge3net", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "lib"))
    for slow in ("messages.cpp", "edges.cpp"):
        (tmp_path / "charge3net" / "kernels" / "src" / slow).unlink()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").iterdir()
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    held = zipfile.ZipFile(wheel).namelist()
    libraries = [name for name in held if "charge3net/kernels/lib/" in name and name.endswith(".so")]
    assert len(libraries) == len(build.VARIANTS[build.machine()])
    assert [name for name in held if name.endswith("charge3net/kernels/src/common.h")]
