"""Which model ``charge3net predict`` takes: the one given, or the shipped one that covers the elements."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charge3net.cli.targets import Target
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.predictor import Predictor
    from charge3net.pretrained.releases import Release


def predictor_of(
    args: argparse.Namespace, targets: Iterable[Target], device: str | None
) -> Predictor | EnsemblePredictor:
    """The predictor of ``--model``, or of the shipped model that covers the elements of all structures.

    Raises:
        InputError: if there is no such model, or no shipped one covers the elements.
    """
    from charge3net.predict.opened import open_predictor

    model = _default(args, targets) if args.model is None else args.model
    return open_predictor(model, device=device, strict_elements=args.strict_elements, kernels=not args.no_kernels)


def _default(args: argparse.Namespace, targets: Iterable[Target]) -> Release:
    from charge3net.pretrained.releases import choose_release

    structures = [target.structure for target in targets if target.structure is not None]
    release = choose_release(sorted({int(z) for structure in structures for z in structure.numbers}))
    if not args.quiet:
        errors = ", ".join(f"{kind} {value:.2g} %" for kind, value in release.errors.items())
        print(f"model {release.name} (shipped): {release.density}; error on held-out structures: {errors}")
    return release
