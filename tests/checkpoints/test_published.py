"""Released weights in every layout they come in, and files that are not what they should be."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from charge3net.checkpoints import load_published
from charge3net.errors import InputError
from charge3net.models.charge3net import ChargE3Net
from charge3net.models.painn import PaiNNDensity
from charge3net.models.schnet import SchNetDensity
from tests.helpers.golden import golden_cases, golden_state, relative_error

CLASSES = {"schnet": SchNetDensity, "schnet_spin": SchNetDensity, "painn": PaiNNDensity, "e3_l0": ChargE3Net}


def prefixed(state, prefix):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def training_dict(state):
    """What a training script keeps beside the weights, a numpy number included."""
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}
    return {
        "model": state,
        "optimizer": optimizer,
        "scheduler": {"last_epoch": 3},
        "step": 3,
        "best_val_mae": np.float64(0.25),
    }


LAYOUTS = {
    "bare": lambda s: s,
    "bare_module": lambda s: prefixed(s, "module."),
    "model": training_dict,
    "model_module": lambda s: training_dict(prefixed(s, "module.")),
    "lightning_network": lambda s: {"state_dict": prefixed(s, "network."), "epoch": 1, "global_step": 7},
    "lightning_nested": lambda s: {
        "state_dict": prefixed(s, "model.module.network."),
        "hyper_parameters": {"lr": 0.01},
    },
    "dict_in_dict": lambda s: {"state_dict": {"model": prefixed(s, "network.module.")}},
    "compiled": lambda s: {"state_dict": prefixed(s, "model._orig_mod.")},
}


CASES = [("painn", layout) for layout in LAYOUTS] + [
    ("schnet", "model_module"),
    ("schnet", "lightning_network"),
    ("schnet_spin", "bare"),
    ("e3_l0", "bare"),
    ("e3_l0", "model"),
    ("e3_l0", "lightning_nested"),
]


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_every_layout_gives_the_published_density(tmp_path, name, layout):
    torch.save(LAYOUTS[layout](golden_state(name)), tmp_path / "weights.pt")
    model = load_published(tmp_path / "weights.pt")
    assert type(model) is CLASSES[name]
    assert not model.training
    assert model.cutoff == 4.0
    case = next(golden_cases(name))
    assert relative_error(model(case.batch(4.0)), case.arrays["output"]) <= 1e-5


@pytest.mark.parametrize("name", ["schnet", "painn"])
def test_double_weights_stay_double(tmp_path, name):
    torch.save({k: v.double() for k, v in golden_state(name).items()}, tmp_path / "weights.pt")
    model = load_published(tmp_path / "weights.pt")
    case = next(golden_cases(name))
    assert relative_error(model(case.batch(4.0)), case.arrays["output"]) <= 1e-9


def run_folder(folder, name, **changes):
    arguments = {"cutoff": 4.0, "num_interactions": 3, "node_size": 32, "use_painn_model": name == "painn"}
    (folder / "arguments.json").write_text(json.dumps(arguments | changes))
    torch.save(training_dict(golden_state(name)), folder / "best_model.pth")
    return folder


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_deepdft_run_folder_says_cutoff_and_periodicity(tmp_path, as_folder):
    folder = run_folder(tmp_path, "painn", cutoff=5.0, ignore_pbc=True)
    model = load_published(folder if as_folder else folder / "best_model.pth")
    assert isinstance(model, PaiNNDensity)
    assert model.ignore_pbc
    assert model.cutoff == 5.0
    assert not load_published(run_folder(tmp_path, "schnet", ignore_pbc=False)).ignore_pbc


def test_first_deepdft_arguments_do_not_name_the_model(tmp_path):
    run_folder(tmp_path, "schnet", ignore_pbc=True)
    arguments = json.loads((tmp_path / "arguments.json").read_text())
    del arguments["use_painn_model"]
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    model = load_published(tmp_path)
    assert isinstance(model, SchNetDensity)
    assert model.ignore_pbc


def test_more_gaussians_mean_a_longer_cutoff(tmp_path):
    longer = SchNetDensity(features=4, num_interactions=1, cutoff=5.0)
    state = golden_like(longer)
    torch.save(state, tmp_path / "weights.pt")
    assert load_published(tmp_path / "weights.pt").cutoff == 5.0


def golden_like(model):
    from charge3net.checkpoints.published.deepdft import published_names

    names = published_names(model)
    return {names[ours]: tensor for ours, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_interactions": 6}, ["num_interactions", "6", "3"]),
        ({"node_size": 128}, ["node_size", "128", "32"]),
        ({"use_painn_model": True}, ["use_painn_model"]),
        ({"cutoff": 6.0}, ["cutoff", "6.0", "40"]),
        ({"cutoff": "four"}, ["cutoff", "four"]),
    ],
)
def test_arguments_that_contradict_the_weights(tmp_path, changes, words):
    with pytest.raises(InputError) as caught:
        load_published(run_folder(tmp_path, "schnet", **changes))
    assert all(word in str(caught.value) for word in words)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["{ not json", "[1, 2]"])
def test_arguments_that_are_no_json_object(tmp_path, text):
    run_folder(tmp_path, "schnet")
    (tmp_path / "arguments.json").write_text(text)
    with pytest.raises(InputError, match=r"arguments\.json"):
        load_published(tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("schnet", "probe_model.probe_state_gate_functions.1.2.bias"),
        ("schnet", "atom_model.atom_embeddings.weight"),
        ("painn", "atom_model.scalar_vector_update.2.linearV.weight"),
        ("painn", "probe_model.readout_function.2.weight"),
        ("e3_l0", "probe_model.convolutions.1.fc.layer1.weight"),
    ],
)
def test_a_missing_tensor_is_named(tmp_path, name, tensor):
    state = golden_state(name)
    del state[tensor]
    torch.save({"model": state}, tmp_path / "weights.pt")
    with pytest.raises(InputError) as caught:
        load_published(tmp_path / "weights.pt")
    assert tensor in str(caught.value)
    assert "missing" in str(caught.value)


@pytest.mark.parametrize("name", ["schnet", "painn", "e3_l0"])
def test_a_left_over_tensor_is_named(tmp_path, name):
    state = golden_state(name) | {"probe_model.extra_head.weight": torch.zeros(3, 3)}
    torch.save({"model": state}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"left over.*probe_model\.extra_head\.weight"):
        load_published(tmp_path / "weights.pt")


def test_a_tensor_of_the_wrong_shape_is_named(tmp_path):
    state = golden_state("painn")
    state["probe_model.readout_function.0.weight"] = torch.zeros(32, 31)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"readout_function\.0\.weight has shape \(32, 31\), expected \(32, 32\)"):
        load_published(tmp_path / "weights.pt")


class Code:
    """Unpickling this would run a shell command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, zipped):
    path, marker = tmp_path / "weights.pt", tmp_path / "ran"
    content = {"model": golden_state("schnet"), "extra": Code(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"holds more than weights \(\w+\.system\)"):
        load_published(path)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_of_another_kind_is_not_run(tmp_path):
    path, marker = tmp_path / "weights.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"model": Code(marker)}))
    with pytest.raises(InputError, match="is not a weight file"):
        load_published(path)
    assert not marker.exists()


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_truncated_file_is_damaged(tmp_path, kept):
    whole, part = tmp_path / "whole.pt", tmp_path / "part.pt"
    torch.save(golden_state("schnet"), whole)
    part.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"part\.pt: is not a weight file of torch, or is damaged"):
        load_published(part)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "lr": 0.1}, "no state dict"),
        ([torch.zeros(2)], "no state dict"),
        ({"layer.weight": torch.zeros(2, 2)}, r"neither ChargE3Net nor DeepDFT, found layer\.weight"),
    ],
)
def test_torch_files_of_other_kinds(tmp_path, content, words):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=words):
        load_published(tmp_path / "weights.pt")


def test_two_copies_under_different_prefixes_are_refused(tmp_path):
    state = golden_state("painn")
    torch.save(prefixed(state, "network.") | prefixed(state, "model."), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="twice"):
        load_published(tmp_path / "weights.pt")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_published(tmp_path / "absent.pt")
    with pytest.raises(InputError, match=r"best_model\.pth"):
        load_published(tmp_path)
    (tmp_path / "notes.pt").write_text("these are my notes\n")
    with pytest.raises(InputError, match="is not a weight file"):
        load_published(tmp_path / "notes.pt")


@pytest.mark.parametrize("kind", ["meta", "complex", "nan", "int", "flat", "text"])
def test_tensors_that_are_no_weights_are_one_sentence(tmp_path, kind):
    state = {name: value.float() for name, value in golden_state("painn").items()}
    name = max(state, key=lambda name: state[name].ndim)
    changed = {
        "meta": lambda value: value.to("meta"),
        "complex": lambda value: value.to(torch.complex64),
        "nan": lambda value: value * float("nan"),
        "int": lambda value: value.to(torch.int64).reshape(-1),
        "flat": lambda value: value.reshape(-1),
        "text": lambda value: "weights",
    }[kind]
    torch.save({**state, name: changed(state[name])}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: ") as error:
        load_published(tmp_path / "x.pt")
    assert "\n" not in str(error.value)
