"""What a second thread gains: the package's read of a 60³ grid, encoding included, by the clock.

Protocol: the models and structures of benchmarks/read_grid.py; one and two threads alternate, ``--rounds`` times; the
best of each, since other work on the machine only adds time. Quick, so that it can be run when the machine is quiet.

    python -m benchmarks.two_threads [--rounds 9] [--cases L4 L3 …] [--out FILE] [--smoke]
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.read_grid import CASES, Contest, Protocol, imported, published
from benchmarks.record import circumstances, write_result
from benchmarks.structures import structures


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "two_threads.json")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes; writes nothing")
    args = parser.parse_args()
    protocol = Protocol(1, 10, (8, 8, 8)) if args.smoke else Protocol(args.rounds)
    facts = {"protocol": asdict(protocol), "machine": circumstances(("torch", "e3nn", "numpy"))}
    results: dict[str, dict[str, Any]] = {}
    with torch.no_grad():
        for case in ["L1"] if args.smoke else args.cases:
            literal = published(case, protocol.seed)
            model = imported(literal)
            for name, geometry in structures().items():
                if name not in (CASES[case][1] or structures()):
                    continue
                contest = Contest(literal, model, geometry, protocol)
                contest.read()
                seconds = contest.wall_times()
                results.setdefault(case, {})[name] = seconds
                print(
                    f"{case:6} {name:8} {seconds['1']:.3f} s → {seconds['2']:.3f} s  {seconds['1'] / seconds['2']:.2f}×"
                )
    if not args.smoke:
        write_result(args.out, {**facts, "cases": results})


if __name__ == "__main__":
    main()
