"""Predict the electron density of structures: as CHGCAR, cube or npz, or as the start of a DFT run (docs/restart.md).

charge3net predict POSCAR --model runs/mine -o CHGCAR
charge3net predict POSCAR --model charge3net_mp.pt --like old/CHGCAR -o CHGCAR
charge3net predict *.cif --model runs/mine --spacing 0.15 --format cube -o densities/
charge3net predict si.in --model runs/mine --format qe -o out/si.save
charge3net predict sio_DEN --model runs/mine -o start_DEN
charge3net predict path.xyz --model runs/mine -o 'densities/{formula}-{index}.npz'
torchrun --nproc-per-node 8 -m charge3net.cli.main predict POSCAR --model runs/mine -o CHGCAR
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from charge3net.cli.predict_options import add_arguments
from charge3net.cli.predict_target import Reference, predict_target
from charge3net.cli.timing import age_of_process, nothing_is_garbage, print_profile
from charge3net.errors import InputError
from charge3net.io.formats import density_format
from charge3net.predict.distributed import ALONE, Processes, started_processes
from charge3net.progress import Clock

if TYPE_CHECKING:
    from charge3net.cli.predict_record import PredictionLog
    from charge3net.cli.targets import Target
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.predictor import Predictor

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Predict all structures; 0 if all went well, 1 if some failed.

    Of several processes (``torchrun``) only the first one reports errors and the exit status.

    Raises:
        InputError: for a mistake that concerns all structures, or the only one.
    """
    clock = Clock()
    if args.profile:
        clock.seconds["start of Python"] = age_of_process()
    if args.slurm is not None or args.job:
        from charge3net.cli.predict_jobs import launch

        return launch(args)
    with started_processes() as processes:
        try:
            return _run(args, clock, processes)
        except InputError:
            if processes.collects:
                raise
            return 0


def _run(args: argparse.Namespace, clock: Clock, processes: Processes) -> int:
    """The work of one process; the exit status is that of the command in the process that collects, else 0."""
    with clock("imports"), nothing_is_garbage():
        from charge3net.cli.targets import with_spreads
    with clock("structures"):
        targets = processes.share(lambda: _targets(args))
        if args.uncertainty is not None:
            targets = processes.share(lambda: with_spreads(targets, args.uncertainty, args.format))
    with clock("imports"), nothing_is_garbage():
        import torch

        from charge3net.cli.predict_model import predictor_of, without_uncovered
    if args.threads is not None:
        if args.threads < 1:
            raise InputError(f"--threads takes a positive number, found {args.threads}")
        torch.set_num_threads(args.threads)
    with clock("reference"):
        reference = processes.share(lambda: _reference(args, targets))
    with clock("model"), nothing_is_garbage(), processes.together():
        targets = without_uncovered(args, targets)
        predictor = predictor_of(args, targets, args.device or _own_device(processes))
    several = len(targets) > 1 or len(args.structures) > 1 or args.part is not None
    log = _log(predictor, args, targets, processes) if several or args.skip_existing else None
    if log is not None and args.skip_existing:
        targets = processes.share(lambda: log.without_finished(targets, args))
    failures = _all(predictor, targets, args, reference, clock, processes, log)
    if not processes.collects:
        return 0
    if reference.augmentation is None and not args.quiet and _is_chgcar(targets):
        from charge3net.cli.vasp import NO_RESTART

        print(NO_RESTART)
    if args.profile:
        print_profile(clock)
    if several:
        _print_summary(len(targets) - len(failures), failures, args.quiet)
    return 1 if failures else 0


def _targets(args: argparse.Namespace) -> list[Target]:
    """The structures of this command with their files.

    Raises:
        InputError: if files exist, without ``--overwrite`` or ``--skip-existing``, or options contradict each other.
    """
    from charge3net.cli.targets import check_pattern_of_parts, collect, expand, with_outputs

    args.structures = expand(args.structures)
    if args.part is not None:
        check_pattern_of_parts(args.output, args.format, len(args.structures))
        if args.model is None:
            raise InputError("--part needs --model, so that all parts take the same (`charge3net models` lists names)")
    targets = with_outputs(collect(args.structures, args.part), args.output, args.format, shared=args.part is not None)
    there = [target for target in targets if target.output.exists()]
    if there and not (args.overwrite or args.skip_existing):
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise InputError(f"{there[0].output}{more}: exists; give --overwrite, --skip-existing, or another output")
    return targets


def _log(
    predictor: Predictor | EnsemblePredictor, args: argparse.Namespace, targets: list[Target], processes: Processes
) -> PredictionLog:
    from charge3net.cli.predict_record import PredictionLog

    job = [] if args.part is None else [args.part.label]
    if processes.size > 1:
        job.append(f"process-{processes.rank}")
    return PredictionLog(predictor, args, targets, ".".join(job))


def _all(
    predictor: Predictor | EnsemblePredictor,
    targets: list[Target],
    args: argparse.Namespace,
    reference: Reference,
    clock: Clock,
    processes: Processes,
    log: PredictionLog | None,
) -> list[str]:
    """Predict and write every target; what failed, with the reason.

    With as many targets as processes or more, every target is predicted by one process; else all of them share each.

    Raises:
        Exception: the failure itself when there is only one target.
    """
    failures = []
    only_one = len(targets) == 1 and len(args.structures) == 1 and args.part is None
    apart = 1 < processes.size <= len(targets)
    team = ALONE if apart else processes
    for turn in processes.turns(len(targets)) if apart else range(len(targets)):
        target, begun = targets[turn], time.perf_counter()
        try:
            density = predict_target(predictor, target, args, reference, clock, team)
            if log is not None and density is not None:
                log.written(target, density, time.perf_counter() - begun)
        except Exception as error:  # whatever befalls one structure, the others are kept
            known_to_all = team.size == 1 or isinstance(error, InputError)
            if only_one or not known_to_all:
                raise
            failures.append(_reason(target, error))
            if team.collects:
                print(f"charge3net predict: failed: {failures[-1]}", file=sys.stderr)
                if log is not None:
                    log.manifest.failed(target, failures[-1])
    if log is not None and (apart or processes.collects):
        log.manifest.finished()
    failures = processes.gather_messages(failures) if apart else failures
    if log is not None and processes.collects and args.part is None:
        log.manifest.collect()
    return failures


def _own_device(processes: Processes) -> str | None:
    """A GPU for every process, where there are some; None leaves it to the predictor."""
    import torch

    if processes.size == 1 or not torch.cuda.is_available():
        return None
    return f"cuda:{processes.here % torch.cuda.device_count()}"


def _reference(args: argparse.Namespace, targets: list[Target]) -> Reference:
    """What ``--like`` and ``--augmentation-from`` name; a start of Quantum ESPRESSO reads the former itself."""
    from charge3net.cli.vasp import is_vasp_settings, potentials_of
    from charge3net.io import read_density, read_grid
    from charge3net.io.plausible import what_looks_wrong

    kind = density_format(targets[0].output, args.format) if targets else "chgcar"
    if kind == "qe":
        return Reference(None, None)
    holds = kind in ("chgcar", "npz")
    if args.augmentation_from is not None and not holds:
        raise InputError(
            f"--augmentation-from: a file of the format {kind} holds no augmentation charges; write a CHGCAR"
        )
    potentials, settings = potentials_of(args), is_vasp_settings(args)
    source = args.augmentation_from or (None if settings else args.like)
    if source is None:
        return Reference(None, None, potentials)
    try:
        density = read_density(source)
    except InputError as error:
        if args.augmentation_from is not None:
            raise
        grid = read_grid(source)  # of a potential, of several frames
        print(f"charge3net predict: warning: only the grid of --like is used: {error}", file=sys.stderr)
        return Reference(grid, None, potentials)
    if args.augmentation_from is not None and not density.augmentation:
        raise InputError(f"{source}: holds no augmentation charges; give a CHGCAR written by VASP")
    if wrong := what_looks_wrong(density):
        print(f"charge3net predict: warning: {source}: {wrong}", file=sys.stderr)
    like = None if args.like is None or settings else density.grid if args.like == source else read_grid(args.like)
    return Reference(like, density if density.augmentation and holds else None, potentials)


def _is_chgcar(targets: list[Target]) -> bool:
    """Whether files are written under the name by which VASP reads them."""
    return any("CHGCAR" in target.output.name and target.structure is not None for target in targets)


def _print_summary(written: int, failures: list[str], quiet: bool) -> None:
    if failures:
        print(f"{written} written, {len(failures)} failed:", file=sys.stderr)
        for failure in failures:
            print(f"  {failure}", file=sys.stderr)
    elif not quiet:
        print(f"{written} written")


def _reason(target: Target, error: Exception) -> str:
    message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return message if message.startswith(target.source.split(" #")[0]) else f"{target.source}: {message}"
