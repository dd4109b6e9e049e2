"""What pw.x 6.7 prints, and the inputs that are written for it."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.io.qe.pw_input import read_pw_input
from charge3net.io.qe.pw_output import read_pw_output
from charge3net.io.qe.pw_write import format_pw_input

# Lines of a run of rattled silicon with verbosity = 'high'; two of its k-points.
TEXT = """
     Program PWSCF v.6.7MaX starts on 29Nov2026 at  5:27:43
     number of k points=     2
     The initial density is read from file :

     iteration #  1     ecut=    20.00 Ry     beta= 0.70
     Davidson diagonalization with overlap
     ethr =  1.00E-02,  avg # of iterations =  7.9

     total cpu time spent up to now is        2.6 secs

     total energy              =     -15.61338654 Ry
     estimated scf accuracy    <       1.41832063 Ry

     iteration #  2     ecut=    20.00 Ry     beta= 0.70
     total energy              =     -15.73263178 Ry
     estimated scf accuracy    <       0.00000184 Ry

     iteration #  3     ecut=    20.00 Ry     beta= 0.70
     End of self-consistent calculation

          k = 0.4942-0.6268-0.0810 (   135 PWs)   bands (ev):

    -5.3366  -1.3219   1.7676
     2.3700

          k =-0.3492-0.3511-0.3530 (   135 PWs)   bands (ev):

    -6.9159   2.9105   3.9421
    14.7144

!    total energy              =     -15.73263248 Ry
     estimated scf accuracy    <          8.1E-10 Ry

     convergence has been achieved in   3 iterations

     h_psi        :      0.41s CPU      1.11s WALL (    1240 calls)
     fftw         :      0.35s CPU      0.99s WALL (    9038 calls)

     PWSCF        :   1m 2.61s CPU      1m 9.69s WALL
   JOB DONE.
"""


def test_steps_energies_bands_and_work():
    found = read_pw_output(TEXT)
    assert (found.converged, found.from_file) == (True, True)
    assert found.accuracy == pytest.approx([1.41832063, 1.84e-6, 8.1e-10])
    assert found.energies == pytest.approx([-15.61338654, -15.73263178, -15.73263248])
    assert [found.steps(threshold) for threshold in (1.0, 1e-5, 1e-8, 1e-10)] == [2, 2, 3, None]
    printed = f"{float(found.accuracy[-1]):.1E}"
    assert found.steps(float(printed)) == 3  # as printed: a value below conv_thr may be rounded up to it
    assert (found.operations, found.transforms, found.total_seconds) == (1240, 9038, pytest.approx(62.61))
    assert found.bands == pytest.approx(
        np.array([[-5.3366, -1.3219, 1.7676, 2.37], [-6.9159, 2.9105, 3.9421, 14.7144]])
    )


def test_a_run_that_did_not_end():
    stopped = "%%%%%%%%%%%%%%%%%%%%%%%%\n Error in routine readpp (2):\n file not found\n%%%%%%%%%%%%%%%%%%%%%%%%\n"
    with pytest.raises(InputError, match="readpp"):
        read_pw_output(TEXT.replace("JOB DONE", "") + stopped)
    with pytest.raises(InputError, match="did not end"):
        read_pw_output("")


@pytest.mark.parametrize(("mesh", "card"), [(None, "K_POINTS gamma"), ((4, 5, 6), "4 5 6 1 1 1")])
def test_inputs_are_read_back(tmp_path, mesh, card):
    cell = np.array([[0.0, 2.71, 2.7123456789], [2.7, 0.0, 2.7], [2.7, 2.7, 0.0]])
    geometry = Geometry(np.array([31, 33]), np.array([[0.0, 0.0, 0.0], [1.31, 1.4, 1.35]]), cell, np.ones(3, bool))
    text = format_pw_input(
        geometry, {"Ga": "Ga.gth", "As": "As.gth"}, ecutwfc=24.0, mesh=mesh, shift=1, pseudo_dir="pseudo",
        electrons="conv_thr = 1e-08",
    )  # fmt: skip
    (tmp_path / "x.in").write_text(text)
    found = read_pw_input(tmp_path / "x.in")
    assert card in text
    assert found.geometry.positions == pytest.approx(geometry.positions, abs=1e-9)
    assert found.geometry.cell == pytest.approx(cell, abs=1e-9)
    assert found.geometry.numbers.tolist() == [31, 33]
    assert (found.ecutwfc, found.ecutrho, found.gamma_only) == (24, 96, mesh is None)
    assert {one.label: one.pseudopotential for one in found.species} == {"Ga": "Ga.gth", "As": "As.gth"}
