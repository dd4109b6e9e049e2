"""Checkpoint folders: round trip, replacement, and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch

from charge3net.checkpoints import ModelCard, exchange, load_card, load_model, save_model
from charge3net.checkpoints.card import CARD, FORMAT_VERSION, WEIGHTS
from charge3net.checkpoints.exchange import remove_leftovers
from charge3net.errors import InputError
from charge3net.models.painn import PaiNNDensity
from charge3net.models.registry import build_model
from tests.checkpoints.make import water_densities
from tests.helpers.golden import golden_cases, golden_state, relative_error

SMALL = {
    "charge3net": {"lmax": 1, "mul": 8, "num_interactions": 2, "num_basis": 4, "hidden": 4},
    "schnet": {"features": 4, "num_interactions": 2, "cutoff": 2.0, "channels": 2, "ignore_pbc": True},
    "painn": {"features": 4, "num_interactions": 1, "num_basis": 3},
    "charge3net-published-spin": {"lmax": 1, "mul": 8, "num_interactions": 2, "num_basis": 4, "hidden": 4},
}


@pytest.fixture
def saved(tmp_path):
    """A small checkpoint: (folder, model, card)."""
    model = build_model("painn", SMALL["painn"])
    card = ModelCard.of(model, elements=[8, 1, 8], data={"name": "water"}, metrics={"e_mae_percent": 2.5})
    save_model(tmp_path / "model", model, card)
    return tmp_path / "model", model, card


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SMALL)
def test_a_model_comes_back_as_it_was(tmp_path, name, dtype):
    model = build_model(name, SMALL[name]).to(dtype)
    save_model(tmp_path / "model", model, ModelCard.of(model))
    again, card = load_model(tmp_path / "model")
    assert type(again) is type(model)
    assert again.dtype == dtype
    assert not again.training
    assert again.ignore_pbc == model.ignore_pbc
    assert card.hyperparameters == model.hyperparameters()
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    assert water_densities(again) == water_densities(model)


def test_the_card_comes_back_as_it_was(saved):
    folder, _, card = saved
    assert load_card(folder) == card
    assert card.elements == (1, 8)
    assert card.units == "e/Å³"
    assert card.versions["torch"] == torch.__version__
    content = json.loads((folder / CARD).read_text())
    assert content["weights"]["sha256"] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert sorted(os.listdir(folder)) == [CARD, WEIGHTS]


def test_numbers_that_json_does_not_have(tmp_path):
    model = build_model("painn", SMALL["painn"])
    save_model(tmp_path / "model", model, ModelCard.of(model, metrics={"loss": math.nan}, training={"best": math.inf}))
    card = json.loads((tmp_path / "model" / CARD).read_text(), parse_constant=lambda word: pytest.fail(word))
    assert card["metrics"]["loss"] is None
    assert math.isnan(load_card(tmp_path / "model").metrics["loss"])


@pytest.mark.parametrize("path", ["run", "run/model", "run/model/model.json", "run/model/model.safetensors"])
def test_a_run_stands_for_its_best_model(tmp_path, path):
    for name, value in (("model", 1.0), ("last", 2.0)):
        model = build_model("painn", SMALL["painn"])
        torch.nn.init.constant_(model.readout[2].bias, value)
        save_model(tmp_path / "run" / name, model, ModelCard.of(model))
    assert load_model(tmp_path / path)[0].readout[2].bias.item() == 1.0
    shutil.rmtree(tmp_path / "run" / "model")
    assert load_model(tmp_path / "run")[0].readout[2].bias.item() == 2.0


def test_released_weights_need_no_import(tmp_path):
    torch.save({"model": golden_state("painn")}, tmp_path / "best_model.pth")
    for path in (tmp_path, tmp_path / "best_model.pth"):
        model, card = load_model(path)
        assert isinstance(model, PaiNNDensity)
        assert card.elements == ()
        case = next(golden_cases("painn"))
        assert relative_error(model(case.batch(4.0)), case.arrays["output"]) <= 1e-5


def test_a_newer_checkpoint_replaces_an_older_one(saved):
    folder, model, card = saved
    torch.nn.init.constant_(model.readout[2].bias, 7.0)
    save_model(folder, model, card)
    assert load_model(folder)[0].readout[2].bias.item() == 7.0
    assert os.listdir(folder.parent) == ["model"]


@pytest.fixture(params=["swap", "two renames"])
def way(request, monkeypatch):
    """Replacing with the system's exchange of two names, and as on systems without."""
    if request.param == "two renames":
        monkeypatch.setattr(exchange, "_system_call", lambda: None)
    elif exchange._system_call() is None:
        pytest.skip("this system cannot exchange two names")
    return request.param


def test_a_failure_leaves_the_older_checkpoint(saved, monkeypatch, way):
    folder, model, card = saved
    before = (folder / WEIGHTS).read_bytes()
    torch.nn.init.constant_(model.readout[2].bias, 7.0)
    real = os.replace

    def full_disk(source, target):
        if Path(target) == folder and Path(source).name == "new":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full_disk)
    if way == "swap":
        monkeypatch.setattr(exchange, "_swap", lambda a, b: False)  # it failed, so the renames are tried
    with pytest.raises(OSError, match="No space"):
        save_model(folder, model, card)
    assert (folder / WEIGHTS).read_bytes() == before
    assert load_card(folder) == card
    assert os.listdir(folder.parent) == ["model"]


def test_a_model_that_is_replaced_all_the_time_can_always_be_loaded(tmp_path, way):
    # a run folder: were model/ missing for an instant, last/ would be loaded in its place
    models = [build_model("painn", SMALL["painn"]) for _ in range(2)]
    run, stop, errors = tmp_path / "run", threading.Event(), []
    for value, model in enumerate(models):
        torch.nn.init.constant_(model.readout[2].bias, float(value))
    torch.nn.init.constant_(models[0].readout[2].bias, 9.0)
    save_model(run / "last", models[0], ModelCard.of(models[0]))
    torch.nn.init.constant_(models[0].readout[2].bias, 0.0)
    save_model(run / "model", models[0], ModelCard.of(models[0]))

    def write():
        while not stop.is_set():
            for model in models:
                save_model(run / "model", model, ModelCard.of(model))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            try:
                if (value := load_model(run)[0].readout[2].bias.item()) not in (0.0, 1.0):
                    errors.append(value)
            except InputError as error:
                errors.append(error)
            if way == "swap" and not (run / "model" / CARD).is_file():
                errors.append("model/ is missing")
    finally:
        stop.set()
        writer.join()
    assert errors == []


def test_what_a_kill_left_is_removed(saved):
    folder, _, card = saved
    beside = folder.parent / ".model-abc"
    (beside / "new").mkdir(parents=True)
    remove_leftovers(folder)
    assert os.listdir(folder.parent) == ["model"]
    # between the two renames
    beside.mkdir()
    os.replace(folder, beside / "old")
    (beside / "new").mkdir()
    remove_leftovers(folder)
    assert os.listdir(folder.parent) == ["model"]
    assert load_card(folder) == card


def test_folders_of_others_are_not_overwritten(saved, tmp_path):
    _, model, card = saved
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a checkpoint folder"):
        save_model(tmp_path / "mine", model, card)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_card_of_another_model_is_refused(tmp_path):
    model = build_model("painn", SMALL["painn"])
    other = ModelCard.of(build_model("painn", SMALL["painn"] | {"features": 6}))
    with pytest.raises(InputError, match="another model"):
        save_model(tmp_path / "model", model, other)
    assert not (tmp_path / "model").exists()


def edit(folder, **changes):
    content = json.loads((folder / CARD).read_text()) | changes
    (folder / CARD).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": FORMAT_VERSION + 1}, f"format version {FORMAT_VERSION + 1}.*install a newer one"),
        ({"format_version": None}, "no format_version"),
        ({"format_version": "1"}, "no format_version"),
        ({"elements": None}, "lacks elements"),
        ({"weights": None}, "lacks weights"),
        ({"weights": {"file": "../other.safetensors", "sha256": "0"}}, "must name the file"),
        ({"hyperparameters": [4]}, "hyperparameters has the wrong type"),
        ({"architecture": "os.system"}, "unknown architecture 'os.system'"),
        ({"hyperparameters": {"_target_": "os.system"}}, "no hyper-parameter _target_"),
        ({"hyperparameters": {"features": 5, "num_interactions": 1, "num_basis": 3}}, "has shape .* expected"),
        ({"hyperparameters": {"features": 4, "num_interactions": 2, "num_basis": 3}}, "lacks atom_messages.1"),
        ({"cutoff": 9.0}, "contradict"),
    ],
)
def test_cards_that_are_wrong(saved, changes, words):
    folder, _, _ = saved
    edit(folder, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_damage_is_found_before_the_weights_are_opened(saved):
    folder, _, _ = saved
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: is not the file that model\.json describes"):
        load_model(folder)
    (folder / WEIGHTS).write_bytes(b"short")
    edit(folder, weights={"file": WEIGHTS, "sha256": hashlib.sha256(b"short").hexdigest()})
    with pytest.raises(InputError, match="is not a safetensors file"):
        load_model(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read \(No such file"):
        load_model(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(InputError, match=r"model\.json: the card is not JSON"):
        load_model(folder)


def test_where_there_is_no_model(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_model(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no model; expected"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"cutoff": ', '"cutoff": 5.0,\n  "cutoff": ', "the name 'cutoff' occurs twice"),
        ('"data": {', '"data": {"x": ' + "[" * 100_000, "nested too deeply"),
        ('"elements": [', '"elements": ["8",', "elements must be atomic numbers"),
        ('"cutoff": ', '"cutoff": NaN,\n "x": ', "NaN is not a number of JSON"),
    ],
)
def test_damaged_cards_are_one_sentence(tmp_path, old, new, message):
    folder = tmp_path / "model"
    network = build_model("painn", {"features": 8, "num_interactions": 1})
    save_model(folder, network, ModelCard.of(network, elements=[1]))
    text = (folder / CARD).read_text()
    assert old in text
    (folder / CARD).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        load_model(folder)
    assert "\n" not in str(error.value)
