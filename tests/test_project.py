"""examples/project, copied: the commands of its Makefile, in its order, on a few densities."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from charge3net.cli.main import main
from charge3net.data.store import Store
from charge3net.io import write_density
from tests.helpers.studies import rattled_density

EXAMPLE = Path(__file__).parents[1] / "examples" / "project"


def test_from_calculations_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    if shutil.which("make") is None:
        pytest.fail("the project template needs make")
    shutil.copytree(EXAMPLE, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("MAKEFLAGS", raising=False)  # set where `make test` started the tests
    monkeypatch.delenv("MAKELEVEL", raising=False)
    Path("calculations").mkdir()
    for i, numbers in enumerate(([8, 1], [8, 3], [8, 25], [3, 1], [25, 1], [25, 3], [8, 3, 1], [8, 8, 3])):
        write_density(rattled_density(numbers, i), f"calculations/m{i}.cube")
    small = "train.max_steps=4 train.val_every=2 model.mul=4 data.probes=10 runtime=cpu runtime.threads=1"
    shown = subprocess.run(["make", "-n", f"SETTINGS={small}"], capture_output=True, text=True, check=True).stdout
    commands = [shlex.split(line) for line in shown.splitlines() if line]
    assert [command[1] for command in commands] == ["data", "data", "train", "evaluate", "report"]
    for command in commands:
        assert command[0] == "charge3net"
        assert main(command[1:]) == 0, command
    assert len(Store("store")) == 8
    assert "mine" in Path("report.html").read_text()
    assert subprocess.run(["make", "-q"], check=False).returncode == 0  # nothing is left to do
