"""Which model ``charge3net predict`` takes: the one given, or the shipped one that covers the elements."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from charge3net.errors import InputError

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


def without_uncovered(args: argparse.Namespace, targets: list[Target]) -> list[Target]:
    """Without ``--model``, of several structures: those whose elements no shipped model covers as failures.

    If that are all of them, or only one is given, nothing is changed, so that :func:`predictor_of` refuses.
    """
    if args.model is not None or len(targets) < 2:
        return targets
    from charge3net.pretrained.releases import choose_release

    checked = []
    for target in targets:
        try:
            if target.structure is not None:
                choose_release(set(target.structure.numbers.tolist()))
        except InputError as error:
            target = replace(target, structure=None, failure=str(error))
        checked.append(target)
    return checked if any(target.structure is not None for target in checked) else targets


def _default(args: argparse.Namespace, targets: Iterable[Target]) -> Release:
    from charge3net.pretrained.releases import choose_release

    structures = [target.structure for target in targets if target.structure is not None]
    release = choose_release(sorted({int(z) for structure in structures for z in structure.numbers}))
    if not args.quiet:
        errors = ", ".join(f"{kind} {value:.2g} %" for kind, value in release.errors.items())
        print(f"model {release.name} (shipped): {release.density}; error on held-out structures: {errors}")
    return release
