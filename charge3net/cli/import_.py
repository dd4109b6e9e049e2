"""Convert released weights of the published codes to a checkpoint folder."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net import``."""
    parser.add_argument(
        "published",
        type=Path,
        help="weight file of the charge3net or DeepDFT code, or a DeepDFT run folder (arguments.json, best_model.pth)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="checkpoint folder to make")


def run(args: argparse.Namespace) -> int:
    """Convert, write, and print the card.

    Raises:
        InputError: if the weights cannot be read or do not fit, or the folder exists.
    """
    from charge3net.checkpoints import ModelCard, load_published, save_model
    from charge3net.cli.models import describe
    from charge3net.errors import InputError

    if args.output.exists():
        raise InputError(f"{args.output}: exists already; choose another folder")
    model = load_published(args.published)
    card = ModelCard.of(model, data={"published": args.published.resolve().name})
    save_model(args.output, model, card)
    print(describe(args.output, card))
    return 0
