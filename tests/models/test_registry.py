"""The registry of architectures."""

from __future__ import annotations

import pytest

from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import ARCHITECTURES, build_model


@pytest.mark.parametrize("name", ["charge3net", "schnet", "painn", "charge3net-published-spin"])
def test_every_name_is_that_of_its_class(name):
    model_class = ARCHITECTURES[name].load()
    assert issubclass(model_class, DensityModel)
    assert model_class.architecture == name


def test_whole_numbers_stand_for_lengths():
    model = build_model("painn", {"features": 4, "cutoff": 3})
    assert isinstance(model.cutoff, float)
    assert model.cutoff == 3.0
    assert model.hyperparameters()["num_interactions"] == 3


@pytest.mark.parametrize(
    ("name", "hyperparameters", "words"),
    [
        ("transformer", {}, "unknown architecture 'transformer'.*schnet"),
        ("schnet", {"featurs": 4}, "no hyper-parameter featurs.*features"),
        ("painn", {"radial_step": 0.1}, "no hyper-parameter radial_step"),
        ("painn", {"features": "many"}, "features"),
        ("schnet", {"cutoff": None}, "cutoff"),
        ("schnet", {"channels": 5}, "channels"),
    ],
)
def test_what_makes_no_model_is_one_sentence(name, hyperparameters, words):
    with pytest.raises(InputError, match=words):
        build_model(name, hyperparameters)
