"""``charge3net models`` and ``charge3net import``."""

from __future__ import annotations

import argparse
import json

import pytest
import torch

from charge3net.checkpoints import ModelCard, load_model, save_model
from charge3net.cli import import_, models
from charge3net.errors import InputError
from charge3net.models.fitted_atoms import FittedAtoms
from charge3net.models.registry import ARCHITECTURES
from tests.helpers.golden import golden_cases, golden_state, relative_error


def call(command, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(a) for a in arguments]))


def test_models_lists_the_architectures(capsys):
    assert call(models) == 0
    architectures = capsys.readouterr().out.partition("Architectures, to train:\n")[2].splitlines()
    assert [line.split()[0] for line in architectures] == list(ARCHITECTURES)


def test_import_makes_a_checkpoint_that_answers_as_the_published_code(tmp_path, capsys):
    torch.save({"model": golden_state("schnet")}, tmp_path / "best_model.pth")
    (tmp_path / "arguments.json").write_text(json.dumps({"cutoff": 4.0, "ignore_pbc": True}))
    assert call(import_, tmp_path, "-o", tmp_path / "imported") == 0
    assert "schnet" in capsys.readouterr().out
    model, _ = load_model(tmp_path / "imported")
    assert model.ignore_pbc
    case = next(golden_cases("schnet"))
    assert relative_error(model(case.batch(4.0)), case.arrays["output"]) <= 1e-5

    assert call(models, tmp_path / "imported") == 0
    card = capsys.readouterr().out
    for text in ("schnet", "features 32", "num_interactions 3", "4 Å", "1 (total density), e/Å³", "unknown"):
        assert text in card


def test_import_leaves_nothing_behind_when_it_fails(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        call(import_, tmp_path / "absent.pt", "-o", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_import_does_not_overwrite(tmp_path):
    torch.save(golden_state("painn"), tmp_path / "painn.pt")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        call(import_, tmp_path / "painn.pt", "-o", tmp_path / "there")


def test_models_names_a_path_without_model(tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        call(models, tmp_path)


def test_models_shows_fitted_atoms_in_a_line(tmp_path, capsys):
    model = FittedAtoms([1, 8], [1.0, 6.0], ["H.PBE.gz", "O.PBE.gz"])
    save_model(tmp_path / "atoms", model, ModelCard.of(model))
    assert call(models, tmp_path / "atoms") == 0
    card = capsys.readouterr().out
    assert "fitted atoms      H 1, O 6 electrons; potentials *.PBE.gz\n" in card
    assert "valences" not in card
