"""Whether pseudopotentials of training data and of a run are the same."""

from __future__ import annotations

import pytest

from charge3net.errors import InputError
from charge3net.io.potentials import compare_potentials
from charge3net.io.qe.pseudopotential import one_per_element

SI = {"file": "Si.pbe-q4.gth", "kind": "NC", "valence": 4.0, "functional": "PBE", "md5": "a"}


def test_the_same_file_is_silent() -> None:
    assert compare_potentials({"Si": [SI]}, {"Si": SI}) == []
    assert compare_potentials({"Si": [SI]}, {"Si": {**SI, "file": "renamed.gth"}}) == []
    assert compare_potentials({"Si": [{**SI, "md5": "b", "file": "x"}, SI]}, {"Si": SI}) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("valence", 12.0, "12.0"), ("functional", "PZ", "PZ"), ("kind", "PAW", "PAW"), ("file", "Si.pz-vbc.UPF", "vbc")],
)
def test_another_kind_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare_potentials({"Si": [SI]}, {"Si": {**SI, "md5": "b", key: value}})


def test_what_cannot_be_compared_is_a_warning() -> None:
    assert "does not say" in compare_potentials(None, {"Si": SI})[0]
    assert "Si.pbe-q4.gth" in compare_potentials({}, {"Si": SI})[0]
    assert "other contents" in compare_potentials({"Si": [SI]}, {"Si": {**SI, "md5": "b"}})[0]
    assert (
        "the run has Si.pbe-q4.upf"
        in compare_potentials({"Si": [SI]}, {"Si": {**SI, "md5": "b", "file": "Si.pbe-q4.upf"}})[0]
    )  # the same potential in another format
    assert "compare them" in compare_potentials({"Si": [SI]}, {"Si": {"title": "PAW_PBE Si", "valence": 4.0}})[0]


def test_unseen_elements_are_left_to_the_predictor() -> None:
    assert compare_potentials({"Si": [SI]}, {"C": SI}) == []


def test_an_element_has_one_pseudopotential_in_a_run() -> None:
    soft, hard = {"file": "Fe.soft.UPF", "md5": "1"}, {"file": "Fe.hard.UPF", "md5": "2"}
    assert one_per_element([("Fe", soft), ("O", hard), ("Fe", dict(soft))]) == {"Fe": soft, "O": hard}
    with pytest.raises(InputError, match=r"Fe has two pseudopotentials in one run, Fe\.soft\.UPF and Fe\.hard\.UPF"):
        one_per_element([("Fe", soft), ("O", hard), ("Fe", hard)])
