"""The format of checkpoints: stored files of every version load, and a change of structure needs a new version."""

from __future__ import annotations

import copy
import json

import pytest

from charge3net.checkpoints import card, load_card, load_model
from charge3net.checkpoints.card import FORMAT_VERSION, UPGRADERS
from charge3net.models.registry import ARCHITECTURES
from tests.checkpoints.make import FIXED, FOLDER, STRUCTURE, structure, water_densities

#: e/Å³, of each stored checkpoint when it was written (make.py).
STORED_DENSITIES = {1: [-0.5338764865609653, -0.6055548764152263]}


def differences(before, now, path=""):
    """Where two structures differ, as sentences."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if key not in now:
                yield f"{path}/{key} is gone"
            elif key not in before:
                yield f"{path}/{key} is new"
            else:
                yield from differences(before[key], now[key], f"{path}/{key}")
    elif before != now:
        yield f"{path} was {before}, is {now}"


def stored_structure(version):
    return json.loads((FOLDER / f"v{version}" / STRUCTURE).read_text())


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_every_format_version_loads(version):
    model, card = load_model(FOLDER / f"v{version}")
    assert card.elements == (1, 8)
    assert card.metrics["e_mae_percent"] == 3.5
    assert card.training["steps"] == 12
    assert water_densities(model) == pytest.approx(STORED_DENSITIES[version], rel=1e-12)


def test_older_cards_are_upgraded_step_by_step(monkeypatch):
    steps = {
        1: lambda card: card | {"units": "from 1"},
        2: lambda card: card | {"units": card["units"] + " to 3"},
    }
    monkeypatch.setattr(card, "FORMAT_VERSION", 3)
    monkeypatch.setattr(card, "UPGRADERS", steps)
    assert load_card(FOLDER / "v1").units == "from 1 to 3"


def test_the_structure_is_that_of_its_version():
    found = list(differences(stored_structure(FORMAT_VERSION), structure()))
    assert not found, (
        f"checkpoints changed: {'; '.join(found)}. Raise FORMAT_VERSION in charge3net/checkpoints/card.py and "
        "add an upgrader (not for a new architecture), then run `python -m tests.checkpoints.make`"
    )


def test_a_change_of_structure_is_noticed():
    now = structure()
    for change in (
        lambda s: s["card"].pop("units"),
        lambda s: s["card"].update(cutoff="int"),
        lambda s: s["architectures"]["schnet"]["hyperparameters"].update(features="float"),
        lambda s: s["architectures"]["painn"]["tensors"].update({"readout.0.weight": "F32 [4, 5]"}),
        lambda s: s["architectures"]["painn"]["tensors"].update({"extra": "F32 [1]"}),
        lambda s: s["architectures"]["charge3net"]["tensors"].update({"readout.weights.0e": "F64 [1, 2]"}),
    ):
        changed = copy.deepcopy(now)
        change(changed)
        assert len(list(differences(now, changed))) == 1


def test_every_architecture_and_version_is_covered():
    assert set(FIXED) == set(ARCHITECTURES)
    assert set(UPGRADERS) == set(range(1, FORMAT_VERSION))
    assert set(STORED_DENSITIES) == set(range(1, FORMAT_VERSION + 1))
