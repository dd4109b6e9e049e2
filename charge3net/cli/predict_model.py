"""Which model ``charge3net predict`` takes: the one given, or the shipped one that covers the elements."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charge3net.cli.targets import Target
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.predictor import Predictor
    from charge3net.pretrained.releases import Release

#: Elements that fewer training structures hold than this are named in a warning.
RARE = 4


def open_predictor(
    args: argparse.Namespace, targets: Iterable[Target], device: str | None
) -> Predictor | EnsemblePredictor:
    """The predictor of ``--model``, or of the shipped model that covers the elements of all structures.

    Raises:
        InputError: if there is no such model, or no shipped one covers the elements.
    """
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.named import members_of
    from charge3net.predict.predictor import Predictor

    paths, calibration = members_of(_default(args, targets) if args.model is None else args.model)
    kernels, strict = not args.no_kernels, args.strict_elements
    if len(paths) == 1:
        return Predictor.from_checkpoint(paths[0], device=device, strict_elements=strict, kernels=kernels)
    return EnsemblePredictor.from_checkpoints(
        paths, calibration, device=device, strict_elements=strict, kernels=kernels
    )


def _default(args: argparse.Namespace, targets: Iterable[Target]) -> Release:
    from ase.data import chemical_symbols

    from charge3net.pretrained.releases import choose_release

    structures = [target.structure for target in targets if target.structure is not None]
    numbers = sorted({int(z) for structure in structures for z in structure.numbers})
    release = choose_release(numbers)
    if not args.quiet:
        errors = ", ".join(f"{kind} {value:.2g} %" for kind, value in release.errors.items())
        print(f"model {release.name} (shipped): {release.density}; error on held-out structures: {errors}")
    rare = [chemical_symbols[z] for z in numbers if release.elements[z] < RARE]
    if rare:
        print(
            f"charge3net predict: warning: fewer than {RARE} training structures hold {', '.join(rare)}",
            file=sys.stderr,
        )
    return release
