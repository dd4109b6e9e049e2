"""Slurm's commands as far as submitit and job scripts need them: jobs run at once, on this machine.

``sbatch`` keeps a copy of the script and runs it, in the background, for each task of its array; ``srun`` runs its
command in as many processes as there are tasks, with the variables that Slurm sets.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_SBATCH = r"""#!/bin/bash
script="${@: -1}"
cp "$script" "$FAKE_SLURM/submitted.sh"
array=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$script")
echo "Submitted batch job 7"
(for task in $(seq 0 "${array:-0}"); do
    env SLURM_JOB_ID=70$task SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_NTASKS=1 SLURM_NNODES=1 \
        SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_JOB_NODELIST=localhost \
        bash "$script" > "$FAKE_SLURM/task-$task.log" 2>&1
done) > /dev/null 2>&1 &
"""

_SRUN = r"""#!/usr/bin/env python3
import os, signal, subprocess, sys
arguments = sys.argv[1:]
while arguments and arguments[0].startswith("-"):
    option = arguments.pop(0)
    if option in ("--output", "--error"):
        arguments.pop(0)
tasks = int(os.environ.get("SLURM_NTASKS", "1"))
nodes = int(os.environ.get("SLURM_NNODES", "1"))
per_node = tasks // nodes
started = []
for rank in range(tasks):
    own = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank % per_node, "SLURM_NODEID": rank // per_node}
    started.append(subprocess.Popen(arguments, env={**os.environ, **{k: str(v) for k, v in own.items()}}))
signal.signal(signal.SIGTERM, lambda *_: [one.terminate() for one in started])
sys.exit(max(one.wait() for one in started))
"""

_SACCT = "#!/bin/sh\necho 'JobID|State|NodeList'\n"


def install_fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands in a folder, first on the path of programs; returns the folder for what sbatch keeps."""
    programs, kept = folder / "slurm-bin", folder / "slurm"
    programs.mkdir()
    kept.mkdir()
    for name, text in {"sbatch": _SBATCH, "srun": _SRUN, "sacct": _SACCT, "scancel": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("FAKE_SLURM", str(kept))
    return kept
