"""What pw.x prints about a run: steps, energies, bands, work and time."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError

_NUMBER = r"(-?\d+\.?\d*(?:[EeDd][+-]?\d+)?)"
_FROM_FILE = "The initial density is read from file"


@dataclass(frozen=True, eq=False)
class PwOutput:
    """A run of pw.x that ended.

    Attributes:
        converged: whether the self-consistency did.
        from_file: whether the density was read from a file.
        accuracy: [steps] estimated accuracy of the energy after each step, Ry.
        energies: [steps] total energy after each step, Ry.
        total_seconds: processor time of the run.
        operations: applications of the Hamiltonian to sets of wavefunctions.
        transforms: FFTs of wavefunctions.
        bands: [k-points, bands] eigenvalues in eV that were printed last; empty where none are.
    """

    converged: bool
    from_file: bool
    accuracy: Float[ndarray, "steps"]
    energies: Float[ndarray, "steps"]
    total_seconds: float
    operations: int
    transforms: int
    bands: Float[ndarray, "kpoints bands"]

    def steps(self, threshold: float) -> int | None:
        """Steps until the estimated accuracy is below a conv_thr (Ry); None if it never is.

        pw.x prints the accuracy to two digits, so the last one of a converged run may be printed as the threshold.
        """
        below = self.accuracy < threshold
        if self.converged and len(below):
            below[-1] |= self.accuracy[-1] <= threshold
        return int(np.argmax(below)) + 1 if below.any() else None


def read_pw_output(text: str) -> PwOutput:
    """Read what pw.x 6.7 printed, with ``verbosity = 'high'`` also the bands.

    Raises:
        InputError: if the run did not end.
    """
    total = re.search(r"^\s*PWSCF\s*:\s*(.+?)CPU", text, re.MULTILINE)
    if "JOB DONE" not in text or total is None:
        what = re.search(r"%{20,}\n(.*?)%{20,}", text, re.DOTALL)
        said = " ".join(what[1].split()) if what else " ".join(text.split()[-20:]) or "nothing"
        raise InputError(f"the run of pw.x did not end; it said: {said[:200]}")
    return PwOutput(
        converged="convergence has been achieved" in text,
        from_file=_FROM_FILE in text,
        accuracy=_column(r"estimated scf accuracy\s+<\s+", text),
        energies=_column(r"^!?\s+total energy\s+=\s+", text),
        total_seconds=_time(total[1]),
        operations=_calls("h_psi", text),
        transforms=_calls("fftw", text),
        bands=_bands(text),
    )


def _column(before: str, text: str) -> Float[ndarray, "values"]:
    found = re.findall(before + _NUMBER, text, re.MULTILINE)
    return np.array([float(re.sub("[dD]", "e", word)) for word in found])


def _calls(name: str, text: str) -> int:
    found = re.search(rf"^\s*{name}\s*:.*\(\s*(\d+) calls\)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _time(words: str) -> float:
    """Seconds from e.g. ``1m 2.34s``."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+\.?\d*)\s*([hms])", words))


def _bands(text: str) -> Float[ndarray, "kpoints bands"]:
    """The bands that were printed last."""
    count = re.search(r"number of k points=\s*(\d+)", text)
    blocks = re.findall(r"^\s*k =.*\(ev\):\s*\n\s*\n((?:.*\d.*\n)+)", text, re.MULTILINE)
    rows = [[float(word) for word in re.findall(r"-?\d+\.\d+", block)] for block in blocks]
    rows = rows[-int(count[1]) :] if count else []
    if not rows or len({len(row) for row in rows}) != 1:
        return np.zeros((0, 0))
    return np.array(rows)
