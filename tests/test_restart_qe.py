"""A small part of ``make restart-qe``, where pw.x is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.restart_cells import LATTICES, cells
from benchmarks.restart_qe import PSEUDO, check, passed, prepare_potentials
from charge3net.io.qe.pw_input import read_pw_input
from data_prep.quantum_espresso.gth import POTENTIALS

CELLS = {cell.name: cell for cell in cells()}
needs_pw = pytest.mark.skipif(
    not (shutil.which("pw.x") and PSEUDO.is_dir() and POTENTIALS.is_file()),
    reason="pw.x, its pseudopotentials or CP2K's list is not installed",
)


def test_cells_are_of_every_kind(tmp_path: Path) -> None:
    kinds = {cell.kind for cell in CELLS.values()}
    assert {"triclinic", "ties", "gamma only", "ultrasoft", "PAW", "nspin 2", "nspin 2, PAW"} <= kinds
    assert len(CELLS) >= 60
    for ibrav in LATTICES:
        assert f"ibrav{ibrav}" in CELLS
    for cell in CELLS.values():
        (tmp_path / "x.in").write_text(cell.text("pseudo"))
        assert len(read_pw_input(tmp_path / "x.in").geometry) >= 1


@needs_pw
@pytest.mark.parametrize("name", ["ibrav14", "PAW-HSi", "spin-Fe"])
def test_exact_density_restarts_in_one_step(name: str, tmp_path: Path) -> None:
    prepare_potentials(tmp_path / "pseudo")
    found = check(CELLS[name], tmp_path, tmp_path / "pseudo")
    assert passed(found), found
