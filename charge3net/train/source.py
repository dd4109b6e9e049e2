"""Weights of a trained model as the start of a training (fine-tuning): which tensors are taken, and which are not.

Tensors are taken by name. Only the number of channels may differ: the total density is taken, an added magnetisation
starts at zero. Any other difference is an error, unless the layer is named in ``train.fresh``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from charge3net.checkpoints import ModelCard, load_model
from charge3net.checkpoints.fingerprint import weights_hash
from charge3net.checkpoints.published.charge3net import even_part
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.published_spin import PseudoscalarSpinChargE3Net
from charge3net.pretrained.releases import release_at
from charge3net.pretrained.resolve import resolve_model
from charge3net.train.config import MISSING, TrainConfig

#: ``model.architecture`` where the model is that of ``init``.
OF_SOURCE = "init"

#: Hyper-parameters and tensors that follow from fitted atoms, which are not taken by name (:mod:`.source_atoms`).
OF_ATOMS = ("elements", "valences", "potentials")
ATOM_TENSORS = ("atoms.table", "atoms.properties", "properties")

_EVEN_PART = "its density of spin up, twice, is the total density, and the magnetisation starts at zero"


@dataclass(frozen=True, eq=False)
class Source:
    """A trained model.

    Attributes:
        name: as it was given.
        model: with its weights.
        card: its card.
        weights: hash of its weights.
        note: how ``model`` differs from it.
    """

    name: str
    model: DensityModel
    card: ModelCard
    weights: str
    note: str = ""

    def settings(self) -> dict[str, Any]:
        """Architecture and hyper-parameters as ``model`` settings of a training; fitted atoms are not among them."""
        sizes = {name: value for name, value in self.model.hyperparameters().items() if name not in OF_ATOMS}
        return {"architecture": self.model.architecture, **sizes}

    def record(self) -> dict[str, Any]:
        """What a card says of it: name, architecture, hash of the weights, training data, elements."""
        return {
            "model": self.name,
            "architecture": self.model.architecture,
            "weights_sha256": self.weights,
            "data": dict(self.card.data),
            "elements": list(self.card.elements),
        }


@dataclass(frozen=True)
class Taken:
    """Names of tensors: taken whole, in part (other channels), and not.

    Attributes:
        whole: equal to those of the source.
        total_only: the total density is that of the source.
        fresh: not taken.
    """

    whole: tuple[str, ...]
    total_only: tuple[str, ...]
    fresh: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"taken": len(self.whole), "total_density_only": list(self.total_only), "fresh": list(self.fresh)}

    def sentence(self) -> str:
        """For the terminal."""
        count = len(self.whole) + len(self.total_only) + len(self.fresh)
        parts = [f"{len(self.whole)} of {count} tensors are taken"]
        if self.total_only:
            parts.append(f"of {', '.join(self.total_only)} only the total density")
        if self.fresh:
            parts.append(f"not {', '.join(self.fresh)} (train.fresh)")
        return ", ".join(parts)


def open_source(name: str) -> Source:
    """The model of ``init``: of a shipped ensemble its first member, or ``NAME#MEMBER``.

    Of the published spin network (:mod:`charge3net.models.published_spin`) it is the part that can be trained.

    Raises:
        InputError: if there is none.
    """
    path = resolve_model(name)
    release = release_at(path)
    model, card = load_model(path if release is None else release.members[0])
    name, weights = name if release is None else f"{name}#{release.members[0].name}", weights_hash(model)
    if isinstance(model, PseudoscalarSpinChargE3Net):
        return Source(name, even_part(model), card, weights, _EVEN_PART)
    return Source(name, model, card, weights)


def with_model_of(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The configuration with the ``model`` settings of a source where it has none of its own.

    Raises:
        InputError: for another architecture.
    """
    own = {name: value for name, value in config.model.items() if value is not None}
    if own.get("architecture") in (MISSING, OF_SOURCE):
        del own["architecture"]
    asked = own.get("architecture", settings["architecture"])
    if asked != settings["architecture"]:
        raise InputError(
            f"init={config.init} is a {settings['architecture']}, but model.architecture is {asked}; leave model= out"
        )
    return replace(config, model={**settings, **own})


@torch.no_grad()
def take_weights(model: DensityModel, source: Source, fresh: Sequence[str]) -> Taken:
    """Copy the tensors of the source into a model; fitted atoms are left as they are.

    Args:
        model: is changed.
        source: the trained model.
        fresh: layers of ``model`` that are not taken.

    Raises:
        InputError: for a name that is no layer, or tensors that do not fit.
    """
    here, there = model.state_dict(), source.model.state_dict()
    names = [name for name in here if name not in ATOM_TENSORS]
    skipped = names_of(fresh, names, "train.fresh")
    channels = (source.model.channels, model.channels)
    whole, part, misfits = [], [], []
    for name in names:
        if name in skipped:
            continue
        if name in there and there[name].shape == here[name].shape:
            here[name].copy_(there[name])
            whole.append(name)
        elif name in there and _copy_channels(here[name], there[name], *channels):
            part.append(name)
        else:
            found = tuple(there[name].shape) if name in there else "nothing"
            misfits.append(f"{name} has {found} there and {tuple(here[name].shape)} here")
    misfits += [f"{name} is there only" for name in there if name not in here]
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise InputError(
            f"the tensors of init={source.name} do not fit the model: {'; '.join(misfits[:3])}{more}; leave its sizes "
            "as they are, or name layers that start anew in train.fresh=[…]"
        )
    return Taken(tuple(whole), tuple(part), tuple(name for name in names if name in skipped))


def _copy_channels(here: Tensor, there: Tensor, channels: int, wanted: int) -> bool:
    """Copy a tensor of other channels, added ones start at zero; False where the shapes differ otherwise."""
    if here.dim() != there.dim() or channels == wanted:
        return False
    differing = [i for i, sizes in enumerate(zip(there.shape, here.shape, strict=True)) if sizes[0] != sizes[1]]
    if len(differing) != 1 or (there.shape[differing[0]], here.shape[differing[0]]) != (channels, wanted):
        return False
    shared = min(channels, wanted)
    here.zero_()
    here.narrow(differing[0], 0, shared).copy_(there.narrow(differing[0], 0, shared))
    return True


def freeze(model: DensityModel, layers: Sequence[str]) -> list[str]:
    """Keep the parameters of these layers as they are during training; returns their names.

    Raises:
        InputError: for a name that is no layer with parameters, or if nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    frozen = names_of(layers, list(parameters), "train.freeze")
    for name in frozen:
        parameters[name].requires_grad_(False)
    if frozen and len(frozen) == len(parameters):
        raise InputError("train.freeze leaves nothing to train; name fewer layers")
    return [name for name in parameters if name in frozen]


def names_of(layers: Sequence[str], names: Sequence[str], setting: str) -> Collection[str]:
    """The tensors of these layers: a name itself, or all that stand below it.

    Raises:
        InputError: for a layer without any; lists those that there are.
    """
    found: set[str] = set()
    for layer in layers:
        below = {name for name in names if name == layer or name.startswith(f"{layer}.")}
        if not below:
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise InputError(f"{setting}: the model has no layer {layer!r}; it has {known} (and parts, as {names[0]})")
        found |= below
    return found
