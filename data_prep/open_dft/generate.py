"""Real electron densities with an open code: structures by recipe, one SCF each, one npz each.

    python data_prep/open_dft/generate.py SET -o DIR [--count N] [--jobs N] [--seed S]

SET is ``molecules`` (H, C, N, O, F), ``molecules_chno``, ``ec_liquid``, ``crystals``, ``distorted`` (32 crystals, each
strained and rattled in many ways), ``nmc``, ``nmc_unpolarised`` (without spin), ``charge_transfer`` (cells like those
before and after one lithium atom is taken out), ``magnetic`` (metals, alloys and oxides with moments),
``new_compositions`` and ``magnetic_new`` (formulas that no bundled set holds, each ideal and in two distorted copies),
``new_formulas`` and ``magnetic_formulas`` (still other formulas, each ideal), ``new_molecules`` (of five heavy atoms),
``benchmark_set`` (the structures of data_prep/benchmark_set once more), or ``functionals`` (test structures of it, each
with four functionals).

It runs in the environment that install_gpaw.sh makes (``make gpaw``) and starts itself there. What is already in DIR
is kept, so an interrupted run goes on where it stopped; what failed is listed in DIR/failures.json and tried again by
the next run. Several runs may share DIR. A structure that takes more than LIMIT seconds of CPU time is given up.
Fields of an entry: data_prep/README.md.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".cache" / "gpaw-env"
MOLECULE = {"encut": 500.0, "smearing": 0.01, "kpts_density": 0.0}
LIQUID = {"encut": 500.0, "smearing": 0.05, "kpts_density": 0.0}
CRYSTAL = {"encut": 500.0, "smearing": 0.1, "kpts_density": 2.0}
SETS = {"molecules": MOLECULE, "molecules_chno": MOLECULE, "ec_liquid": LIQUID, "crystals": CRYSTAL, "nmc": CRYSTAL}
SETS |= {"nmc_unpolarised": CRYSTAL, "charge_transfer": CRYSTAL, "magnetic": CRYSTAL, "distorted": CRYSTAL}
SETS |= {"benchmark_set": CRYSTAL, "functionals": CRYSTAL, "new_compositions": CRYSTAL, "magnetic_new": CRYSTAL}
SETS |= {"new_formulas": CRYSTAL, "magnetic_formulas": CRYSTAL, "new_molecules": MOLECULE}
ELSEWHERE = "another run has it"
LIMIT = 480  # s of CPU time for one structure


def structures(name: str, count: int, seed: int) -> list[Atoms]:
    """``count`` structures of a set; the first ones do not change when ``count`` grows."""
    if name in ("crystals", "distorted"):
        from crystals import crystals, distorted

        return (crystals if name == "crystals" else distorted)(count, seed)
    if name in ("nmc", "nmc_unpolarised"):
        from nmc import nmc

        return list(nmc(count, seed, polarised=name == "nmc"))
    if name == "charge_transfer":
        from nmc import pairs

        return list(pairs(count, seed))
    if name == "magnetic":
        from magnetic import magnetic

        return magnetic(count, seed)
    if name in ("new_compositions", "magnetic_new", "new_formulas", "magnetic_formulas"):
        import new_compositions

        return list(getattr(new_compositions, name)(count, seed))
    if name in ("benchmark_set", "functionals"):
        from again import bundled, held_out

        return (bundled if name == "benchmark_set" else held_out)(HERE.parent, count)
    from liquids import ethylene_carbonate
    from molecules import molecules, new_molecules

    if name == "new_molecules":
        return list(new_molecules(count, seed))
    if name == "ec_liquid":
        return list(ethylene_carbonate(count, seed))
    elements = ("C", "N", "O", "F") if name == "molecules" else ("C", "N", "O")
    return list(molecules(count, seed, elements))


def solve(atoms: Atoms, settings: dict[str, Any], out: Path) -> str | None:
    """Run one SCF in a process of its own; None when ``out`` is there, otherwise the last line of what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.npz")
        own = atoms.info.get("settings", {})  # where a structure asks for other settings than its set
        text = json.dumps(
            {**settings, **own, "limit_s": LIMIT, "tag": atoms.info["tag"], "source": atoms.info["source"]}
        )
        arrays = {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell[:], "pbc": atoms.pbc}
        if "moments" in atoms.info:
            arrays["moments"] = atoms.info["moments"]
        np.savez(job, **arrays, settings=text)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "scf.py"), str(job), str(out)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode == 0 and out.exists():
        return None
    if -run.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return f"given up after {LIMIT} s of CPU time"
    lines = run.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {run.returncode}"


def generate(name: str, folder: Path, count: int, jobs: int, seed: int) -> dict[str, str]:
    """Solve what is not in ``folder`` yet; returns and writes the failures, tag → reason."""
    return solve_missing(structures(name, count, seed), SETS[name], folder, jobs)


def solve_missing(wanted: list[Atoms], settings: dict[str, Any], folder: Path, jobs: int) -> dict[str, str]:
    """Solve the structures that have no npz in ``folder`` yet; returns the failures, tag → reason, and keeps
    failures.json, with those of other runs on the folder. What another run is busy with is left to it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    todo = [atoms for atoms in wanted if not (folder / f"{atoms.info['tag']}.npz").exists()]
    failures: dict[str, str] = {}
    started = time.monotonic()
    _record(folder, {}, [atoms.info["tag"] for atoms in todo])
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(_claim_and_solve, atoms, settings, folder): atoms for atoms in todo}
        for done, run in enumerate(as_completed(runs), start=1):
            tag, reason = runs[run].info["tag"], run.result()
            if reason == ELSEWHERE:
                continue
            if reason is not None:
                failures[tag] = reason
                _record(folder, {tag: reason})
            seconds = (time.monotonic() - started) / done
            left = seconds * (len(todo) - done) / 60.0
            state = "done" if reason is None else f"FAILED ({reason})"
            print(f"{done}/{len(todo)} {tag} {state}; {seconds:.1f} s each, {left:.0f} min left", flush=True)
    return failures


def _claim_and_solve(atoms: Atoms, settings: dict[str, Any], folder: Path) -> str | None:
    """As :func:`solve`, or ELSEWHERE when another run on the folder has the structure in hand or done."""
    out = folder / f"{atoms.info['tag']}.npz"
    with open(folder / f".{atoms.info['tag']}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ELSEWHERE
        try:
            return ELSEWHERE if out.exists() else solve(atoms, settings, out)
        finally:
            Path(lock.name).unlink(missing_ok=True)


def _record(folder: Path, failures: dict[str, str], retried: Sequence[str] = ()) -> None:
    """Put failures into failures.json and take those out that are tried again."""
    path = folder / "failures.json"
    with open(folder / ".failures.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(path.read_text()) if path.exists() else {}
        kept = {tag: reason for tag, reason in known.items() if tag not in retried} | failures
        temporary = folder / f".failures.{os.getpid()}"
        temporary.write_text(json.dumps(kept, indent=1) + "\n")
        temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; exit status 0 when every structure has its density, 1 when some failed, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the npz files")
    parser.add_argument("--count", type=int, default=100, help="structures in all (default 100)")
    parser.add_argument("--jobs", type=int, default=1, help="calculations at the same time, one core each (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.count < 1 or options.jobs < 1:
        parser.error("--count and --jobs must be at least 1")
    enter_environment(parser)
    failures = generate(options.set, options.out, options.count, options.jobs, options.seed)
    if failures:
        print(f"{len(failures)} structures failed; see {options.out / 'failures.json'}", file=sys.stderr)
    return 1 if failures else 0


def enter_environment(parser: argparse.ArgumentParser) -> None:
    """Start this program anew in the GPAW environment unless this is it."""
    if all(map(importlib.util.find_spec, ("gpaw", "rdkit", "pymatgen", "spglib"))):
        return
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        parser.error(f"GPAW is not installed in {ENVIRONMENT}; run `make gpaw` first")
    os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    sys.exit(main())
