"""A CI run fails on a test that is skipped for a reason nobody allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(folder: Path, files: dict[str, str], ci: str, *options: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{text}\ndef test_fine():\n    pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.helpers.skips", "-c", "pytest.ini", *options, str(folder)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


SKIPPED = {
    "mark": "@pytest.mark.skipif(True, reason='no compiled kernels')\ndef test_a():\n    pass",
    "call": "def test_a():\n    pytest.skip('not today')",
    "file": "pytest.skip('whole file', allow_module_level=True)",
    "import": "pytest.importorskip('no_such_package')",
    "nothing": "@pytest.mark.parametrize('x', [])\ndef test_a(x):\n    pass",
}

ALLOWED = {
    "skip": "def test_b():\n    pytest.skip('triton is not installed')",
    "xfail": "@pytest.mark.xfail(reason='known')\ndef test_b():\n    assert 0",
}


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "xdist"])
def test_skips_for_other_reasons_fail_in_ci(tmp_path, options):
    done = run(tmp_path, SKIPPED | ALLOWED, "true", *options)
    assert done.returncode == 1, done.stdout
    listed = done.stdout.split("does not allow in CI")[1]
    for reason in ("no compiled kernels", "not today", "whole file", "could not import", "got empty parameter set"):
        assert listed.count(reason) == 1, listed
    assert "triton" not in listed
    assert "known" not in listed


def test_a_single_file_that_is_skipped_fails_in_ci(tmp_path):
    assert run(tmp_path, {"import": SKIPPED["import"]}, "true").returncode == 1


def test_allowed_reasons_pass_in_ci_and_all_reasons_elsewhere(tmp_path):
    assert run(tmp_path, ALLOWED, "true").returncode == 0
    done = run(tmp_path, SKIPPED, "")
    assert done.returncode == 0, done.stdout
    assert "does not allow" not in done.stdout
