"""Weights of DeepDFT (SchNet and PaiNN), also those trained with the charge3net code."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import build_model
from charge3net.models.schnet import count_gaussians

#: Published distance between the Gaussians of the SchNet-like network, Å.
RADIAL_STEP = 0.1

#: Cutoff of every published run, Å, where no ``arguments.json`` says otherwise.
DEFAULT_CUTOFF = 4.0

_LAYER = re.compile(r"(?:atom_model\.interactions|probe_model\.message(?:sum)?_layers)\.(\d+)\.")
_MESSAGE = "message_function.msg_function_"
_SCHNET_NAMES = (
    ("embedding.", "atom_model.atom_embeddings."),
    ("atom_messages.*.edge_mlp.", f"atom_model.interactions.*.message_sum_module.{_MESSAGE}edge."),
    ("atom_messages.*.node_in.", f"atom_model.interactions.*.message_sum_module.{_MESSAGE}node.0."),
    ("atom_messages.*.node_out.", f"atom_model.interactions.*.message_sum_module.{_MESSAGE}node.2."),
    ("atom_updates.*.", "atom_model.interactions.*.state_transition_function."),
    ("probe_messages.*.edge_mlp.", f"probe_model.messagesum_layers.*.{_MESSAGE}edge."),
    ("probe_messages.*.node_in.", f"probe_model.messagesum_layers.*.{_MESSAGE}node.0."),
    ("probe_messages.*.node_out.", f"probe_model.messagesum_layers.*.{_MESSAGE}node.2."),
    ("probe_gates.*.", "probe_model.probe_state_gate_functions.*."),
    ("probe_updates.*.", "probe_model.probe_state_transition_functions.*."),
    ("readout.", "probe_model.readout_function."),
)
_PAINN_NAMES = (
    ("embedding.", "atom_model.atom_embeddings."),
    ("atom_messages.*.filter.", "atom_model.interactions.*.filter_layer."),
    ("atom_messages.*.sender_mlp.", "atom_model.interactions.*.scalar_message_mlp."),
    ("atom_updates.*.u.", "atom_model.scalar_vector_update.*.linearU."),
    ("atom_updates.*.v.", "atom_model.scalar_vector_update.*.linearV."),
    ("atom_updates.*.mlp.", "atom_model.scalar_vector_update.*.combined_mlp."),
    ("probe_messages.*.filter.", "probe_model.message_layers.*.filter_layer."),
    ("probe_messages.*.sender_mlp.", "probe_model.message_layers.*.scalar_message_mlp."),
    ("probe_gates.*.", "probe_model.message_layers.*.update_gate_mlp."),
    ("probe_updates.*.u.", "probe_model.scalar_vector_update.*.linearU."),
    ("probe_updates.*.v.", "probe_model.scalar_vector_update.*.linearV."),
    ("probe_updates.*.mlp.", "probe_model.scalar_vector_update.*.combined_mlp."),
    ("readout.", "probe_model.readout_function."),
)


def is_schnet(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of DeepDFT's invariant network."""
    return any(".message_function.msg_function_" in name for name in state)


def is_painn(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of DeepDFT's equivariant network."""
    return any(".scalar_vector_update." in name or ".filter_layer." in name for name in state)


def convert(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> DensityModel:
    """A SchNetDensity or PaiNNDensity with these weights; two outputs are total density and magnetisation.

    Args:
        state: tensors by their published names without wrappers' prefixes.
        arguments: content of DeepDFT's ``arguments.json``; may be empty.

    Raises:
        InputError: naming tensors that are missing, left over or of a wrong shape, or arguments that contradict the
            shapes.
    """
    painn = is_painn(state)
    features = _shape(state, "atom_model.atom_embeddings.weight")[1]
    layers = 1 + max((int(m.group(1)) for m in map(_LAYER.match, state) if m), default=0)
    hyperparameters: dict[str, Any] = {
        "features": features,
        "num_interactions": layers,
        "channels": _shape(state, "probe_model.readout_function.2.weight")[0],
        "ignore_pbc": bool(arguments.get("ignore_pbc", False)),
    }
    _compare(arguments, {"use_painn_model": painn, "num_interactions": layers, "node_size": features})
    stated = _stated_cutoff(arguments)
    if painn:
        num_basis = _shape(state, "atom_model.interactions.0.filter_layer.weight")[1]
        hyperparameters |= {"num_basis": num_basis, "cutoff": stated or DEFAULT_CUTOFF}
        return _load_by_name(build_model("painn", hyperparameters), state)
    num_basis = _shape(state, f"atom_model.interactions.0.message_sum_module.{_MESSAGE}edge.0.weight")[1]
    hyperparameters["cutoff"] = _schnet_cutoff(num_basis, stated)
    return _load_by_name(build_model("schnet", hyperparameters), state)


def published_names(model: DensityModel) -> dict[str, str]:
    """Name of every tensor of a SchNetDensity or PaiNNDensity → its published name."""
    names = _PAINN_NAMES if model.architecture == "painn" else _SCHNET_NAMES
    return {ours: _published_name(ours, names) for ours in model.state_dict()}


def _load_by_name(model: DensityModel, state: Mapping[str, Tensor]) -> DensityModel:
    """Load the weights in the dtype of ``state``; the tensors must match one to one."""
    wanted = published_names(model)
    missing = [name for name in wanted.values() if name not in state]
    left_over = sorted(set(state) - set(wanted.values()))
    problems = [f"missing: {', '.join(missing)}"] if missing else []
    problems += [f"left over: {', '.join(left_over)}"] if left_over else []
    for ours, parameter in model.state_dict().items():
        given = state.get(wanted[ours])
        if given is not None and given.shape != parameter.shape:
            problems.append(f"{wanted[ours]} has shape {tuple(given.shape)}, expected {tuple(parameter.shape)}")
    if problems:
        raise InputError(f"the weights do not fit {model.architecture}; {'; '.join(problems)}")
    weights = {ours: state[published] for ours, published in wanted.items()}
    dtype = weights["readout.0.weight"].dtype
    model.to(dtype).load_state_dict(weights)
    return model.eval()


def _published_name(ours: str, names: Sequence[tuple[str, str]]) -> str:
    for beginning, published in names:
        match = re.match(re.escape(beginning).replace(r"\*", r"(\d+)"), ours)
        if match:
            layer = match.group(1) if match.groups() else ""
            return published.replace("*", layer) + ours[match.end() :]
    raise KeyError(ours)


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Shape of a matrix; an error if it is missing."""
    if name not in state:
        raise InputError(f"the weights are incomplete; missing: {name}")
    if state[name].ndim != 2:
        raise InputError(f"{name} has shape {tuple(state[name].shape)}, expected a matrix")
    rows, columns = state[name].shape
    return rows, columns


def _stated_cutoff(arguments: Mapping[str, Any]) -> float | None:
    if "cutoff" not in arguments:
        return None
    cutoff = arguments["cutoff"]
    if isinstance(cutoff, bool) or not isinstance(cutoff, int | float) or not (0 < cutoff < math.inf):
        raise InputError(f"arguments.json: cutoff must be a positive length in Å, found {cutoff!r}")
    return float(cutoff)


def _schnet_cutoff(num_basis: int, stated: float | None) -> float:
    """The cutoff of ``arguments.json``, or else that of the number of Gaussians 0.1 Å apart."""
    cutoff = stated if stated is not None else round(num_basis * RADIAL_STEP, 10)
    if count_gaussians(cutoff, RADIAL_STEP) != num_basis:
        raise InputError(
            f"arguments.json says cutoff {cutoff} Å, but the weights have {num_basis} Gaussians {RADIAL_STEP} Å apart"
        )
    return cutoff


def _compare(arguments: Mapping[str, Any], inferred: Mapping[str, int]) -> None:
    for name, value in inferred.items():
        if name in arguments and arguments[name] != value:
            raise InputError(f"arguments.json says {name} = {arguments[name]}, but the weights say {value}")
