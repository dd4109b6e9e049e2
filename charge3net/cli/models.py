"""``charge3net models``: the architectures there are, and the cards of checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``charge3net models`` takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="run folder, checkpoint folder or released weights; without any, the architectures are listed",
    )


def run(args: argparse.Namespace) -> int:
    """Print the list, or one card after the other.

    Raises:
        InputError: for a path without a model.
    """
    if not args.paths:
        from charge3net.models.registry import ARCHITECTURES

        width = max(map(len, ARCHITECTURES))
        for name, architecture in ARCHITECTURES.items():
            print(f"{name:<{width}}  {architecture.summary}")
        return 0
    from charge3net.checkpoints import load_card

    print("\n\n".join(describe(path, load_card(path)) for path in args.paths))
    return 0


def describe(path: Path, card: ModelCard) -> str:
    """A card as lines of text, the path first."""
    from ase.data import chemical_symbols

    elements = " ".join(chemical_symbols[z] for z in card.elements) or "unknown"
    channels = "1 (total density)" if card.channels == 1 else "2 (total density, magnetisation)"
    lines = [
        ("architecture", card.architecture),
        ("hyper-parameters", _pairs(card.hyperparameters)),
        ("cutoff", f"{card.cutoff:g} Å"),
        ("channels", f"{channels}, {card.units}"),
        ("elements seen", elements),
        ("data", _pairs(card.data) or "unknown"),
        ("metrics", _pairs(card.metrics) or "none"),
        ("training", _pairs(card.training) or "unknown"),
        ("written with", _pairs(card.versions)),
    ]
    return "\n".join([str(path), *(f"  {name:<17} {text}" for name, text in lines)])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
