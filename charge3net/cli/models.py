"""Models by name (shipped, published), the architectures, and the cards of checkpoints.

charge3net models                        what there is
charge3net models charge3net-mp          fetch a published model and show its card
charge3net models runs/mine model.pt     cards of checkpoints and released weights
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charge3net.checkpoints import ModelCard
    from charge3net.pretrained.releases import Release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net models``."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="MODEL",
        help="name, run folder, checkpoint folder or released weights; without any, all names are listed",
    )


def run(args: argparse.Namespace) -> int:
    """Print the list, or one card after the other.

    Raises:
        InputError: for a path without a model.
    """
    if not args.paths:
        print(overview())
        return 0
    from charge3net.checkpoints import load_card
    from charge3net.pretrained.releases import release_at
    from charge3net.pretrained.resolve import resolve_model

    texts = []
    for name in args.paths:
        path = resolve_model(name)
        release = release_at(path)
        if release is not None:
            texts.append(describe_release(release))
        texts += [describe(one, load_card(one)) for one in (release.members[:1] if release else (path,))]
    print("\n\n".join(texts))
    return 0


def overview() -> str:
    """All names: shipped models, published models (and whether they are in the cache), architectures."""
    from charge3net.models.registry import architectures
    from charge3net.pretrained.cache import cache_folder, cached_model
    from charge3net.pretrained.catalogue import PUBLISHED
    from charge3net.pretrained.releases import shipped_releases

    releases = shipped_releases()
    names = {name: release.summary for name, release in releases.items()}
    published = {
        name: f"{model.summary} ({'cached' if cached_model(model) else 'fetched on first use'})"
        for name, model in PUBLISHED.items()
    }
    trainable = {name: architecture.summary for name, architecture in architectures().items()}
    width = max(map(len, (*names, *published, *trainable)))
    blocks = {
        "Shipped with this package": names or {"none": ""},
        f"Published weights, cached in {cache_folder()}": published,
        "Architectures, to train": trainable,
    }
    return "\n\n".join(
        "\n".join([f"{title}:", *(f"  {name:<{width}}  {text}".rstrip() for name, text in block.items())])
        for title, block in blocks.items()
    )


def describe_release(release: Release) -> str:
    """A shipped model as lines of text."""
    from ase.data import chemical_symbols

    elements = " ".join(f"{chemical_symbols[z]} ({count})" for z, count in sorted(release.elements.items()))
    errors = ", ".join(f"{kind} {value:.3g} %" for kind, value in release.errors.items())
    lines = [
        ("what", release.summary),
        ("density", release.density),
        ("members", str(len(release.members))),
        ("ε_mae, held out", errors or "not measured"),
        ("90 % intervals", _intervals(release) or "no expected error"),
        ("elements", f"{elements} (training structures with it)"),
    ]
    return "\n".join([release.name, *(f"  {name:<17} {text}" for name, text in lines)])


def _intervals(release: Release) -> str:
    """How many test structures of each group the intervals of the expected errors held."""
    tested = {name: line.get("tested") for name, line in release.calibration.get("groups", {}).items()}
    return ", ".join(f"{name} {100 * held[1]:.0f} % of {held[0]}" for name, held in tested.items() if held) + (
        " test structures in them" if any(tested.values()) else ""
    )


def describe(path: Path, card: ModelCard) -> str:
    """A card as lines of text, the path first."""
    from ase.data import chemical_symbols

    elements = " ".join(chemical_symbols[z] for z in card.elements) or "unknown"
    channels = "1 (total density)" if card.channels == 1 else "2 (total density, magnetisation)"
    lines = [
        ("architecture", card.architecture),
        ("hyper-parameters", _pairs({k: v for k, v in card.hyperparameters.items() if k not in _OF_ATOMS})),
        *([("fitted atoms", _atoms(card.hyperparameters))] if "potentials" in card.hyperparameters else []),
        ("cutoff", f"{card.cutoff:g} Å"),
        ("channels", f"{channels}, {card.units}"),
        ("elements", elements),
        ("data", _pairs(card.data) or "unknown"),
        ("metrics", _pairs(card.metrics) or "none"),
        ("training", _pairs({k: v for k, v in card.training.items() if k != "init"}) or "unknown"),
        *([("starts from", _source(card.training["init"]))] if "init" in card.training else []),
        ("written with", _pairs(card.versions)),
    ]
    return "\n".join([str(path), *(f"  {name:<17} {text}" for name, text in lines)])


#: Hyper-parameters that say which fitted atoms a model has: lists, an entry for each element.
_OF_ATOMS = ("elements", "valences", "potentials")


def _atoms(hyperparameters: Mapping[str, Any]) -> str:
    """The atoms of a model with their electrons, and what names the potentials have in common with the elements."""
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[z] for z in hyperparameters["elements"]]
    electrons = ", ".join(f"{s} {v:g}" for s, v in zip(symbols, hyperparameters["valences"], strict=True))
    names = sorted({p.replace(s, "*", 1) for s, p in zip(symbols, hyperparameters["potentials"], strict=True)})
    return f"{electrons} electrons; potentials {', '.join(names)}"


def _source(record: Mapping[str, Any]) -> str:
    """The model that a training started from, and what is not its own."""
    parts = [f"{record['model']} (weights {record['weights_sha256'][:12]})"]
    for name, title in (("fresh", "not taken"), ("total_density_only", "total density alone"), ("frozen", "frozen")):
        if record[name]:
            parts.append(f"{title}: {', '.join(record[name])}")
    return "; ".join([*parts, *([record["atoms"]] if "atoms" in record else [])])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
