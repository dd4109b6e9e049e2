"""The registry of architectures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.registry import ARCHITECTURES, build_model, label


@pytest.mark.parametrize("name", ARCHITECTURES)
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


#: In a process of its own: in tests a checker of types refuses most of these values first.
REFUSED = """
import inspect, math
from charge3net.errors import InputError
from charge3net.models.registry import ARCHITECTURES

WRONG = {
    "int": [0.5, 2.5, True, -1, "4", None, math.nan],
    "float": [math.nan, math.inf, -math.inf, 0.0, -1.0, True, "4", None],
    "bool": ["yes", 1, None],
    "Sequence[int]": [[0], [1.5], [8, 1], [119], "8", None],
    "Sequence[float]": [[1.0], "4", None],
    "Sequence[str]": [["H"], "H", None],
}
for name, entry in ARCHITECTURES.items():
    for parameter in inspect.signature(entry.load()).parameters.values():
        for value in WRONG[parameter.annotation]:
            try:
                entry.load()(**{parameter.name: value})
            except InputError as error:
                if str(error).startswith(f"{name}: {parameter.name} must be ") and repr(value) in str(error):
                    continue
                print(name, parameter.name, repr(value), "is refused with", error)
            except Exception as error:
                print(name, parameter.name, repr(value), "raises", repr(error))
            else:
                print(name, parameter.name, repr(value), "is taken")
"""


def test_every_hyperparameter_is_checked():
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    ("name", "hyperparameters", "words"),
    [
        ("charge3net", {"num_basis": 1}, "num_basis must be an integer of at least 2"),
        ("charge3net", {"mul": 0}, "mul must be an integer of at least 1"),
        ("charge3net", {"channels": 3}, "channels must be 1 .* or 2"),
        ("schnet", {"radial_step": 1e-320}, "cutoff / radial_step"),
        ("painn", {"features": 0}, "features must be an integer of at least 1"),
    ],
)
def test_bounds_of_hyperparameters(name, hyperparameters, words):
    with pytest.raises(InputError, match=words):
        build_model(name, hyperparameters)


def test_labels():
    assert label("charge3net", {"lmax": 2}) == "ChargE3Net L=2"
    assert label("schnet", {}) == "SchNet"
    assert label("of another version", {"lmax": 1}) == "of another version L=1"
