"""Training that starts from a trained model: what is taken, what stays, and what is refused."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.checkpoints import fingerprint, load_card, load_model, model_record, save_model
from charge3net.checkpoints.fingerprint import weights_hash
from charge3net.data.splits import Split
from charge3net.data.store import Store, StoreWriter
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.pretrained.resolve import resolve_model
from charge3net.train.config import TrainConfig
from charge3net.train.datamodule import DensityDataModule
from charge3net.train.run import train
from charge3net.train.run_folder import read_metrics
from tests.helpers.golden import golden_cases, golden_state, relative_error
from tests.train.test_atoms import SIZES, isolated
from tests.train.test_resume import assert_same_runs, at_step, crash

#: All layers of a SchNet.
EVERYTHING = ["embedding", "atom_messages", "atom_updates", "probe_messages", "probe_gates", "probe_updates", "readout"]


@pytest.fixture
def source(config: TrainConfig, tmp_path: Path) -> str:
    """A trained SchNet."""
    first = copy.deepcopy(config)
    first.output, first.seed = str(tmp_path / "source"), 5
    train(first)
    return first.output


@pytest.fixture
def tuned(config: TrainConfig, source: str) -> TrainConfig:
    """A run that starts from it."""
    config.init, config.model, config.optim.lr = source, {}, 1e-3
    return config


@pytest.fixture
def delta(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A run that starts from a trained network on fitted atoms of Z = 1 … 14."""
    config.model, config.loss.name = dict(SIZES), "nmae"
    config.data.isolated_atoms = isolated(tmp_path / "atoms.npz", range(1, 15))
    first = copy.deepcopy(config)
    first.output = str(tmp_path / "source")
    train(first)
    config.init, config.model, config.data.isolated_atoms = first.output, {}, None
    return config


def error_by_hand(path: str, config: TrainConfig, channels: int = 1) -> float:
    """Mean ε_mae of a model on the validation probes, in %."""
    model, _ = load_model(path)
    data = DensityDataModule(
        config.data.store, config.data.split, model.cutoff, validation_probes=config.data.val_probes, channels=channels
    )
    errors = []
    for batch in data.validation_loader():
        with torch.no_grad():
            found = model(batch)[:, 0].double()
        errors.append(float((found - batch.target[:, 0]).abs().sum() / batch.target[:, 0].abs().sum()))
    return 100.0 * float(np.mean(errors))


def first_error(config: TrainConfig) -> float:
    """ε_mae that a run logged before its first step."""
    row = read_metrics(Path(config.output) / "metrics.csv")[0]
    assert row["step"] == "0"
    return float(row["val/emae"])


def weights(path: str) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def write_other(folder: Path, store: str, numbers: dict[int, int], electrons: float = 1.0) -> tuple[str, str]:
    """The same densities with other elements (and other electrons), in a store of its own."""
    before = Store(store)
    with StoreWriter(folder / "store") as writer:
        for key in before:
            old = before[key].density()
            renamed = np.array([numbers.get(int(z), int(z)) for z in old.geometry.numbers])
            writer.add(key, Density(replace(old.geometry, numbers=renamed), old.grid, electrons * old.values))
    keys = tuple(before.keys())
    Split(keys[:5], keys[5:], ()).save(folder / "split.json")
    return str(folder / "store"), str(folder / "split.json")


def test_it_starts_where_the_source_ended(tuned: TrainConfig, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    summary = train(tuned)
    assert first_error(tuned) == pytest.approx(error_by_hand(source, tuned), rel=1e-5)
    assert f"tiny: starts from {source} (schnet): 33 of 33 tensors are taken" in capsys.readouterr().err
    assert weights(tuned.output).keys() == weights(source).keys()
    assert summary["best"]["val/emae"] <= first_error(tuned)  # the source itself is a candidate
    settings = json.loads((Path(tuned.output) / "config.json").read_text())
    assert settings["init"] == source
    assert settings["model"]["features"] == 8


def test_the_card_and_provenance_name_the_source(tuned: TrainConfig, source: str) -> None:
    train(tuned)
    model, card = load_model(tuned.output)
    record, theirs = card.training["init"], load_card(source)
    assert record["model"] == source
    assert record["weights_sha256"] == weights_hash(load_model(source)[0])
    assert record["data"]["store_hash"] == theirs.data["store_hash"]
    assert record["elements"] == list(theirs.elements)
    assert model_record(model, card)["init"] == {"model": source, "weights_sha256": record["weights_sha256"]}
    assert "init" not in model_record(load_model(source)[0], theirs)


def test_frozen_layers_stay_bit_for_bit(tuned: TrainConfig, source: str) -> None:
    tuned.train.freeze, tuned.train.ema = ["embedding", "atom_messages.0"], 0.9
    train(tuned)
    before, after = weights(source), weights(f"{tuned.output}/last")
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    frozen = {name for name in before if name.startswith(("embedding.", "atom_messages.0."))}
    assert len(frozen) > 4
    assert frozen <= same
    assert "readout.0.weight" not in same
    assert load_card(tuned.output).training["init"]["frozen"] == ["embedding", "atom_messages.0"]


def test_fresh_layers_are_those_of_the_seed(tuned: TrainConfig, source: str) -> None:
    fresh = copy.deepcopy(tuned)
    fresh.init, fresh.model, fresh.output = None, {"architecture": "schnet", **schnet(source)}, tuned.output + "-fresh"
    fresh.optim.lr = tuned.optim.lr = 1e-20
    tuned.train.fresh = ["readout"]
    train(tuned)
    train(fresh)
    found, ours, theirs = weights(f"{tuned.output}/last"), weights(f"{fresh.output}/last"), weights(source)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (ours if name.startswith("readout.") else theirs)[name], rtol=0, atol=1e-12)
    assert load_card(tuned.output).training["init"]["fresh"][0].startswith("readout.")


def schnet(path: str) -> dict[str, object]:
    return dict(load_card(path).hyperparameters)


@pytest.mark.parametrize(
    "sizes",
    [
        {"architecture": "schnet", "features": 8, "num_interactions": 1, "cutoff": 3.0},
        {"architecture": "painn", "features": 8, "num_interactions": 1, "cutoff": 3.0},
        {"architecture": "charge3net", "lmax": 1, "mul": 6, "hidden": 6, "num_basis": 4, "cutoff": 3.0},
        SIZES,
    ],
    ids=lambda sizes: sizes["architecture"],
)
def test_a_magnetisation_is_added_at_zero(config: TrainConfig, tmp_path: Path, sizes: dict[str, object]) -> None:
    config.data.isolated_atoms = isolated(tmp_path / "atoms.npz", range(1, 15))
    before = Store(config.data.store)
    with StoreWriter(tmp_path / "spin") as writer:
        for key in before:
            old = before[key].density()
            writer.add(key, replace(old, values=np.concatenate([old.values, 0.2 * old.values])))
    config.model, config.output = dict(sizes), str(tmp_path / "source")
    config.train.max_steps = config.train.val_every = 2
    train(config)
    spin = copy.deepcopy(config)
    spin.init, spin.model, spin.output = config.output, {"channels": 2}, str(tmp_path / "tuned")
    spin.data.store, spin.optim.lr = str(tmp_path / "spin"), 1e-20
    train(spin)
    model, plain = load_model(f"{spin.output}/last")[0], load_model(config.output)[0]
    assert model.channels == 2
    batch = next(iter(DensityDataModule(spin.data.store, spin.data.split, model.cutoff, channels=2).train_loader()))
    torch.testing.assert_close(model(batch)[:, :1], plain(batch))
    assert model(batch)[:, 1].abs().max() < 1e-12
    # and back: the total density alone
    back = copy.deepcopy(config)
    back.init, back.model, back.output = spin.output, {"channels": 1}, str(tmp_path / "back")
    train(back)
    assert first_error(back) == pytest.approx(first_error(spin), rel=1e-4)
    assert load_card(back.output).channels == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"architecture": "painn"}}, r"is a schnet, but model\.architecture is painn; leave model= out"),
        ({"model": {"features": 12}}, r"do not fit the model: embedding\.weight has \(119, 8\) there and \(119, 12\)"),
        ({"freeze": ["backbone"]}, r"train\.freeze: the model has no layer 'backbone'; it has embedding, atom_messag"),
        ({"fresh": ["head"]}, r"train\.fresh: the model has no layer 'head'; it has embedding, .* readout"),
        ({"freeze": ["embed"]}, "no layer 'embed'"),
        ({"freeze": EVERYTHING}, "leaves nothing to train"),
        ({"init": None, "freeze": ["readout"]}, r"train\.freeze is for a training that starts from a model; add init="),
        ({"init": None, "fresh": ["readout"]}, r"train\.fresh is for a training that starts from a model"),
        ({"init": None, "model": {"architecture": "init"}}, "the model is that of init=MODEL, which is not given"),
        ({"init": "nothing/here"}, "nothing/here: no such file or folder"),
    ],
)
def test_what_does_not_fit_is_refused(tuned: TrainConfig, change: dict[str, object], words: str) -> None:
    for name, value in change.items():
        setattr(tuned.train if name in ("freeze", "fresh") else tuned, name, value)
    with pytest.raises(InputError, match=words) as raised:
        train(tuned)
    assert "\n" not in str(raised.value)
    assert not Path(tuned.output).exists()


@pytest.mark.parametrize("name", ["schnet", "painn", "e3_l2"])
def test_published_weights(config: TrainConfig, tmp_path: Path, name: str) -> None:
    """Training from a published file starts at the published densities."""
    torch.save({"model": golden_state(name)}, tmp_path / "published.pt")
    config.init, config.model, config.optim.lr = str(tmp_path / "published.pt"), {}, 1e-20
    config.train.max_steps = config.train.val_every = 2
    train(config)
    model, card = load_model(f"{config.output}/last")
    case = next(golden_cases(name))
    assert relative_error(model(case.batch(model.cutoff)), case.arrays["output"]) <= 1e-5
    assert card.training["init"]["data"] == {"published": "published.pt"}


def test_the_published_spin_network(config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its channel 1 is the density of spin up, an even scalar: half of the total density at the start."""
    torch.save(golden_state("e3_l2_spin"), tmp_path / "published.pt")
    config.init, config.model, config.optim.lr = str(tmp_path / "published.pt"), {"channels": 1}, 1e-20
    config.train.max_steps = config.train.val_every = 1
    train(config)
    model, card = load_model(f"{config.output}/last")
    assert (card.architecture, card.channels) == ("charge3net", 1)
    assert "its density of spin up, twice, is the total density" in capsys.readouterr().err
    assert card.training["init"]["weights_sha256"] == weights_hash(load_model(tmp_path / "published.pt")[0])
    for case in golden_cases("e3_l2_spin"):
        assert relative_error(model(case.batch(4.0))[:, 0] / 2, case.arrays["output"][:, 1]) <= 1e-5


def test_a_resumed_run_needs_no_source(
    tuned: TrainConfig, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tuned.train.freeze, tuned.train.save_every = ["embedding"], 1
    train(tuned)
    parts = replace(tuned, output=tuned.output + "-resumed")
    at_step(monkeypatch, 7, crash)
    with pytest.raises(RuntimeError, match="power failure"):
        train(parts)
    shutil.rmtree(source)
    train(replace(parts, resume=True))
    assert_same_runs(tuned.output, parts.output)
    assert load_card(parts.output).training["init"] == load_card(tuned.output).training["init"]
    # in another folder, and with a source that is not that of the run
    other = replace(tuned, output=str(tmp_path / "other"), resume=parts.output)
    assert train(replace(other, train=replace(other.train, max_steps=14)))["step"] == 14
    assert train(tuned)["skipped"]
    own = {"architecture": "schnet", **schnet(tuned.output)}
    with pytest.raises(InputError, match="holds a run with other settings: init is None, was"):
        train(replace(tuned, init=None, model=own, train=replace(tuned.train, freeze=[])))


def test_atoms_of_the_source_are_kept(delta: TrainConfig) -> None:
    train(delta)
    before, after = load_model(delta.init or "")[0], load_model(f"{delta.output}/last")[0]
    assert torch.equal(before.atoms.table, after.atoms.table)
    assert before.atoms.hyperparameters() == after.atoms.hyperparameters()
    assert first_error(delta) == pytest.approx(error_by_hand(delta.init or "", delta), rel=1e-5)
    assert load_card(delta.output).training["init"]["atoms"] == "atoms are those of the source"


@pytest.mark.parametrize("with_table", [False, True])
def test_new_elements_get_atoms_of_their_own(delta: TrainConfig, tmp_path: Path, with_table: bool) -> None:
    """Every hydrogen is renamed to potassium, which has one electron here, as its density."""
    delta.data.store, delta.data.split = write_other(tmp_path / "other", delta.data.store, {1: 19})
    if with_table:
        delta.data.isolated_atoms = isolated(tmp_path / "more.npz", range(1, 20), {19: 1.0})
    train(delta)
    before, after = load_model(delta.init or "")[0], load_model(f"{delta.output}/last")[0]
    assert after.atoms.elements == (*range(1, 15), 19)
    assert after.atoms.valences[-1] == 1.0
    assert torch.equal(after.atoms.table[:-1], before.atoms.table)
    # its density is that of the hydrogen that it was; no point of the data is near a nucleus, only the table knows that
    first = 0 if with_table else 4
    held = after.atoms.table[-1, first:, 0] - before.atoms.table[0, first:, 0]
    assert held.abs().max() < 0.02 * before.atoms.table[0, :, 0].max()
    assert load_card(delta.output).training["init"]["atoms"].endswith("with further ones of K")


def test_elements_of_validation_entries_alone(delta: TrainConfig, tmp_path: Path) -> None:
    """The model needs an atom of them too: from a table, or the training is refused before anything is written."""
    before = Store(delta.data.store)
    last = list(before)[-1]
    with StoreWriter(tmp_path / "other") as writer:
        for key in before:
            old = before[key].density()
            renamed = np.full_like(old.geometry.numbers, 20 if key == last else 1)
            writer.add(
                key,
                Density(replace(old.geometry, numbers=renamed), old.grid, old.values * len(renamed) / old.electrons()),
            )
    delta.data.store = str(tmp_path / "other")
    with pytest.raises(InputError, match=rf"validation entry '{last}' holds Ca, of which the model has no atom"):
        train(delta)
    assert not Path(delta.output).exists()
    delta.data.isolated_atoms = isolated(tmp_path / "more.npz", range(1, 21))
    train(delta)
    assert load_model(delta.output)[0].atoms.elements == (*range(1, 15), 20)


def test_atoms_of_other_potentials_are_refused_or_fitted_again(delta: TrainConfig, tmp_path: Path) -> None:
    """Densities of twice as many electrons."""
    delta.data.store, delta.data.split = write_other(tmp_path / "other", delta.data.store, {}, electrons=2.0)
    with pytest.raises(InputError, match=r"stand for other potentials; fit new ones with train\.fresh=\[atoms\]"):
        train(delta)
    delta.train.fresh = ["atoms"]
    delta.data.isolated_atoms = isolated(tmp_path / "more.npz", range(1, 15), {z: 2.0 * z for z in range(1, 15)})
    train(delta)
    before, after = load_model(delta.init or "")[0], load_model(f"{delta.output}/last")[0]
    assert after.atoms.valences == tuple(2 * z for z in before.atoms.valences)
    assert load_card(delta.output).training["init"]["atoms"] == "atoms are fitted to the training entries"
    assert first_error(delta) < 100.0


def with_codes(folder: Path, store: str, code: str) -> str:
    before = Store(store)
    with StoreWriter(folder) as writer:
        for key in before:
            writer.add(key, before[key].density(), meta={"code": code})
    return str(folder)


@pytest.mark.parametrize(("code", "fine"), [("gpaw 27.1", True), ("Quantum ESPRESSO", False)])
def test_densities_of_another_code(delta: TrainConfig, tmp_path: Path, code: str, fine: bool) -> None:
    """Equal electrons do not make two codes one."""
    model, card = load_model(delta.init or "")
    save_model(f"{delta.init}/model", model, replace(card, data={**card.data, "codes": ["gpaw 26.7.0"]}))
    delta.data.store = with_codes(tmp_path / "coded", delta.data.store, code)
    if fine:
        train(delta)
        assert load_card(delta.output).data["codes"] == [code]
        return
    with pytest.raises(InputError, match=r"trained on densities of gpaw, those of the store are of quantum; fit atoms"):
        train(delta)


def test_another_code_is_noted_where_there_are_no_atoms(
    tuned: TrainConfig, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, card = load_model(source)
    save_model(f"{source}/model", model, replace(card, data={**card.data, "codes": ["ABINIT"]}))
    tuned.data.store = with_codes(tmp_path / "coded", tuned.data.store, "gpaw 26.7.0")
    train(tuned)
    assert "note: it was trained on densities of abinit, those of the store are of gpaw" in capsys.readouterr().err


def test_a_fresh_head_has_the_standard_inputs_of_the_new_data(delta: TrainConfig) -> None:
    delta.train.fresh, delta.optim.lr = ["head"], 1e-20
    train(delta)
    before, after = load_model(delta.init or "")[0], load_model(f"{delta.output}/last")[0]
    assert torch.equal(after.atoms.table, before.atoms.table)
    torch.testing.assert_close(after.head.mean, before.head.mean)  # the same data: the same features
    assert after.head.layers[-1].weight.abs().max() < 1e-12  # it starts at the superposition of atoms


def test_members_of_a_shipped_ensemble() -> None:
    from charge3net.pretrained.releases import shipped_releases

    name, release = next(iter(shipped_releases().items()))
    assert [resolve_model(f"{name}#{member.name}") for member in release.members] == list(release.members)
    with pytest.raises(InputError, match=f"{name} has no member seed99; it has seed0"):
        resolve_model(f"{name}#seed99")


def test_command(densities: tuple[Path, Path], source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without other settings the model is that of the source and the settings are those of fine-tuning."""
    from charge3net.cli.main import main

    data = [f"data.store={densities[0]}", f"data.split={densities[1]}", "runtime=cpu", "runtime.threads=1"]
    short = ["train.max_steps=2", "train.val_every=2", "train.log_every=1", f"output={tmp_path / 'tuned'}"]
    assert main(["train", f"init={source}", *data, *short]) == 0
    settings = json.loads((tmp_path / "tuned" / "config.json").read_text())
    assert settings["name"] == "fine_tuning"
    assert settings["optim"]["lr"] < 0.01  # conf/optim/cosine.yaml
    assert fingerprint_of(settings["init"]) == fingerprint_of(source)
    capsys.readouterr()
    assert main(["models", str(tmp_path / "tuned")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "starts from" in line)
    assert line.split("starts from")[1].strip() == f"{source} (weights {weights_hash(load_model(source)[0])[:12]})"
    assert main(["train", f"init={source}", "experiment=small", *data, *short, f"output={tmp_path / 'other'}"]) == 0
    assert json.loads((tmp_path / "other" / "config.json").read_text())["model"]["architecture"] == "schnet"
    assert main(["train", f"init={source}", "model.channels=2", *data, *short, f"output={tmp_path / 'spin'}"]) == 2
    assert "magnetisation" in capsys.readouterr().err.splitlines()[-1]
    assert main(["train", f"init={source}", "model.width=2", *data, *short, f"output={tmp_path / 'wide'}"]) == 2
    assert "model.width is that of the model that init= names" in capsys.readouterr().err.splitlines()[-1]


def fingerprint_of(path: str) -> str:
    model: DensityModel = load_model(path)[0]
    return fingerprint(model)
