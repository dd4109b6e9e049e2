"""The head's training: the features of all structures are computed once, and the density model stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from charge3net.graph.build import build_atom_graph
from charge3net.graph.collate import collate_atoms
from charge3net.graph.types import AtomGraph
from charge3net.models.occupations import (
    OccupationHead,
    atom_features,
    difference_tensors,
    distance,
    feature_irreps,
)

if TYPE_CHECKING:
    from charge3net.models.base import DensityModel
    from charge3net.paw.files import DensityMatrices
    from charge3net.studies.occupations.config import Config

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """A structure as the head sees it.

    Attributes:
        graph: its atoms.
        features: of the density model.
        target: differences of its density matrices from neutral atoms, tensors of IRREPS.
    """

    graph: AtomGraph
    features: Tensor
    target: Tensor


def example(geometry: Any, key: str, matrices: DensityMatrices, model: DensityModel) -> Example:
    """The example of a structure."""
    graph = build_atom_graph(geometry, model.cutoff)
    target = difference_tensors(matrices[key], matrices.setups_of(key))
    return Example(graph, atom_features(model, graph), torch.from_numpy(target).to(model.dtype))


def error(head: OccupationHead, examples: Sequence[Example]) -> float:
    """Mean over structures of the mean :func:`distance` of their atoms, in electrons."""
    with torch.no_grad():
        return float(np.mean([distance(head(e.graph, e.features), e.target).mean().item() for e in examples]))


def train(
    config: Config, model: DensityModel, matrices: DensityMatrices, parts: Mapping[str, Sequence[Example]]
) -> tuple[OccupationHead, dict[str, Any]]:
    """A trained head, and errors on training (every batch) and validation (ten times) as it went on.

    The last weights are used: validation watches and chooses nothing.
    """
    torch.manual_seed(config.seed)
    generator = np.random.default_rng(config.seed)
    setups = matrices.setups.values()
    head = OccupationHead(feature_irreps(model), setups, config.lmax, config.mul, model.cutoff)
    known = parts["train"]
    numbers, targets = torch.cat([e.graph.numbers for e in known]), torch.cat([e.target for e in known])
    head.fit_elements(numbers, targets)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    losses, watched = [], [{"step": 0, "validation": error(head, parts["validation"])}]
    for step in range(1, config.steps + 1):
        chosen = [known[i] for i in generator.choice(len(known), min(config.batch, len(known)), replace=False)]
        graph = collate_atoms([e.graph for e in chosen])
        found = head(graph, torch.cat([e.features for e in chosen]))
        loss = distance(found, torch.cat([e.target for e in chosen])).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % max(1, config.steps // 10) == 0:
            watched.append({"step": step, "validation": error(head, parts["validation"]), "train": _recent(losses)})
            logger.info("%s", watched[-1])
    return head.eval(), {"watched": watched, "parameters": sum(p.numel() for p in head.parameters())}


def _recent(losses: Sequence[float]) -> float:
    return float(np.mean(losses[-50:]))
