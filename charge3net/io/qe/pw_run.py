"""Run pw.x."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.io.qe.pw_output import PwOutput, read_pw_output


def run_pw(folder: Path, limit: float) -> PwOutput:
    """Run pw.x on ``folder``/x.in, on one core; what it prints is kept in x.out.

    Args:
        folder: with the input; pw.x runs in it.
        limit: s of processor time.

    Raises:
        InputError: if pw.x is not installed, or the run does not end.
    """
    if shutil.which("pw.x") is None:
        raise InputError("pw.x is not installed; Debian has it in quantum-espresso")
    command = ["sh", "-c", f"ulimit -t {int(limit)}; exec pw.x -in x.in"]
    # Open MPI would start a daemon beside every run on one core
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_MCA_ess_singleton_isolated": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    write_whole(folder / "x.out", done.stdout)
    return read_pw_output(done.stdout)
