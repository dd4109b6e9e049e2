"""``charge3net predict --slurm``: the parts of one command as jobs of Slurm, by submitit."""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charge3net.cli.parts import Part
from charge3net.errors import InputError

#: What a job asks for if ``--job`` does not say otherwise.
DEFAULTS = {"timeout_min": 1440, "cpus_per_task": 4}

#: Parameters that submitit has for every kind of cluster; others are those of Slurm and get a prefix.
_GENERAL = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "nodes", "mem_gb", "name")


def launch(args: argparse.Namespace) -> int:
    """Start the parts, wait for them, and report; 0 if all structures are written, 1 if some failed.

    Raises:
        InputError: for options that do not go together, a model that is not found, or a launcher that is missing.
    """
    from charge3net.cli.predict_record import Manifest, manifest_folder
    from charge3net.cli.targets import check_pattern_of_parts, expand
    from charge3net.pretrained.resolve import resolve_model

    _check(args)
    args.structures = [path.absolute() for path in expand(args.structures)]
    check_pattern_of_parts(args.output, args.format, len(args.structures))
    for path in args.structures:
        if not path.exists():
            raise InputError(f"{path}: no such file")
    resolve_model(args.model)  # a published model is fetched here: jobs may have no network
    manifest = Manifest(manifest_folder(args.output, ()))
    statuses = _run_parts(args, manifest.folder / "jobs")
    died = [f"part {number}: {status}" for number, status in enumerate(statuses, start=1) if isinstance(status, str)]
    manifest.collect()
    sources = set(map(str, args.structures))
    lines = [line for line in manifest.lines().values() if line["source"].rsplit(" #", 1)[0] in sources]
    failed = [line["reason"] for line in lines if line["status"] == "failed"]
    written = sum(line["status"] == "written" for line in lines)
    if not args.quiet:
        print(f"{written} written, {len(failed)} failed: {manifest.path}")
    for reason in (*failed[:20], *died):
        print(f"charge3net predict: failed: {reason}", file=sys.stderr)
    if failed or died:
        print("the same command with --skip-existing predicts what is missing", file=sys.stderr)
    return int(bool(failed or died or any(statuses)))


def run_part(args: argparse.Namespace) -> int:
    """One part, in its job; returns the exit status."""
    from charge3net.cli.predict import run

    try:
        return run(args)
    except InputError as error:
        print(f"charge3net predict: error: {error}", file=sys.stderr)
        return 2


def _check(args: argparse.Namespace) -> None:
    if args.slurm is None:
        raise InputError("--job goes with --slurm N, the number of jobs")
    if args.slurm < 1:
        raise InputError(f"--slurm takes the number of jobs, 1 or more, found {args.slurm}")
    if args.part is not None:
        raise InputError("--part is one part, --slurm starts all of them; give one of the two")
    if args.model is None:
        raise InputError("--slurm needs --model, so that all parts take the same (`charge3net models` lists names)")


def parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """``--job`` as submitit takes it.

    Raises:
        InputError: for what is not KEY=VALUE.
    """
    found: dict[str, Any] = dict(DEFAULTS)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.isidentifier() and equals):
            raise InputError(f"--job takes KEY=VALUE, e.g. partition=gpu, found {pair!r}")
        name = name if name in _GENERAL else f"slurm_{name.removeprefix('slurm_')}"
        found[name] = int(value) if value.isdecimal() else value
    return found


def _run_parts(args: argparse.Namespace, folder: Path) -> list[int | str]:
    """Exit status of each part, or how its job ended without one."""
    try:
        import submitit
    except ImportError:
        raise InputError("--slurm needs submitit: pip install 'charge3net[sweep]'") from None
    asked, each = parameters(args.job), []
    for number in range(1, args.slurm + 1):
        one = copy.copy(args)
        one.part, one.slurm, one.job = Part(number, args.slurm), None, []
        each.append(one)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(folder, cluster="slurm")
        executor.update_parameters(**asked)
        jobs = executor.map_array(run_part, each)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError) as error:
        raise InputError(f"the jobs could not be started: {error}") from error
    except submitit.core.utils.FailedJobError as error:
        raise InputError(f"Slurm refused the jobs: {str(error).strip().splitlines()[-1]}") from error
    if not args.quiet:
        print(f"{len(jobs)} jobs, logs in {folder}: {', '.join(job.job_id for job in jobs)}", flush=True)
    try:
        return [_status(job) for job in jobs]
    except KeyboardInterrupt:
        raise KeyboardInterrupt("while waiting; the jobs go on, scancel stops them") from None


def _status(job: Any) -> int | str:
    """Waits for a job."""
    try:
        return int(job.result())
    except Exception as error:  # the job was killed, or ran out of time or memory: submitit says so in many ways
        return f"{str(error).strip().splitlines()[0]} ({job.paths.stderr})"
