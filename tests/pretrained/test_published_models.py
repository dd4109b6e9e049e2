"""Published models by name, from a local server that serves files of the layout that the released ones have."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

import charge3net.pretrained.cache
import charge3net.pretrained.resolve
from charge3net import InputError, load_model
from charge3net.cli.main import main
from charge3net.pretrained.catalogue import PUBLISHED, PublishedModel
from charge3net.pretrained.download import download
from charge3net.pretrained.resolve import resolve_model
from tests.helpers.golden import golden_state


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CHARGE3NET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("charge3net.pretrained.download.ATTEMPTS", 1)
    return tmp_path / "cache"


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder whose files the addresses of two published models lead to."""
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save({"model": golden_state("e3_l0"), "step": 3}, folder / "charge3net_mp.pt")
    torch.save({"model": golden_state("painn")}, folder / "best_model.pth")
    arguments = {"use_painn_model": True, "num_interactions": 3, "node_size": 32, "cutoff": 4.0, "ignore_pbc": False}
    (folder / "arguments.json").write_text(json.dumps(arguments))
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        models = {
            name: PublishedModel(
                name,
                model.summary,
                {file: f"{address}/{file}" for file in model.addresses},
                model.weights,
                model.citation,
            )
            for name, model in PUBLISHED.items()
        }
        monkeypatch.setattr(charge3net.pretrained.resolve, "PUBLISHED", models)
        yield folder
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("name", "golden"), [("charge3net-mp", "e3_l0"), ("deepdft-painn-qm9", "painn")])
def test_a_published_model_is_fetched_converted_and_kept(cache, served, name, golden):
    folder = resolve_model(name)
    state = load_model(folder)[0].state_dict()
    assert cache in folder.parents
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors"}
    card = load_model(folder)[1]
    assert card.data["published"] == name
    source = json.loads((folder.parent / "source.json").read_text())
    assert set(source["sha256"]) == set(PUBLISHED[name].addresses)
    for file in served.iterdir():
        file.unlink()  # from now on nothing can be fetched
    again = load_model(resolve_model(name))[0].state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)


def test_without_a_network_the_sentence_says_where_to_put_the_file(cache, served):
    (served / "charge3net_mp.pt").rename(served / "elsewhere.pt")
    with pytest.raises(InputError) as refused:
        resolve_model("charge3net-mp")
    place = cache / "published" / "charge3net-mp" / "charge3net_mp.pt"
    assert str(place) in str(refused.value)
    assert "/charge3net_mp.pt elsewhere" in str(refused.value)
    place.write_bytes((served / "elsewhere.pt").read_bytes())
    assert (resolve_model("charge3net-mp") / "model.json").is_file()


def test_the_sentence_names_all_files_that_are_missing(cache, served):
    for file in served.iterdir():
        file.unlink()
    with pytest.raises(InputError) as refused:
        resolve_model("deepdft-painn-qm9")
    home = cache / "published" / "deepdft-painn-qm9"
    assert f"put it at {home / 'arguments.json'} and {home / 'best_model.pth'}" in str(refused.value)


def test_a_damaged_file_is_not_remembered_as_the_right_one(cache, served):
    home = cache / "published" / "charge3net-mp"
    home.mkdir(parents=True)
    good = (served / "charge3net_mp.pt").read_bytes()
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 1
    (home / "charge3net_mp.pt").write_bytes(damaged)
    with pytest.raises(InputError, match="does not match its checksum"):
        resolve_model("charge3net-mp")
    (home / "charge3net_mp.pt").write_bytes(good)
    assert (resolve_model("charge3net-mp") / "model.json").is_file()


def test_several_processes_fetch_a_model_once(cache, served, monkeypatch):
    asked = []
    monkeypatch.setattr(Quiet, "log_message", lambda self, *_: asked.append(self.path))
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(resolve_model, ["charge3net-mp"] * 4))
    assert asked == ["/charge3net_mp.pt"]
    assert len(set(folders)) == 1
    assert load_model(folders[0])[1].data["published"] == "charge3net-mp"


def test_a_cache_that_cannot_be_written_is_one_sentence(cache, served, monkeypatch):
    monkeypatch.setenv("CHARGE3NET_CACHE", str(served / "charge3net_mp.pt" / "cache"))
    with pytest.raises(InputError, match=r"cannot be written .* CHARGE3NET_CACHE sets another folder"):
        resolve_model("charge3net-mp")


def test_without_name_service_nothing_is_tried_again(cache, tmp_path, monkeypatch):
    def no_name_service(*_, **__):
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    waited = []
    monkeypatch.setattr("charge3net.pretrained.download.ATTEMPTS", 5)
    monkeypatch.setattr("charge3net.pretrained.download.urlopen", no_name_service)
    with pytest.raises(InputError, match="no network"):
        download("http://example.invalid/a.pt", tmp_path, wait=waited.append)
    assert not waited


def test_a_file_that_changed_since_its_first_use_is_refused(cache, served):
    folder = resolve_model("charge3net-mp")
    for path in folder.iterdir():
        path.unlink()
    torch.save({"model": golden_state("e3_l1")}, folder.parent / "charge3net_mp.pt")
    with pytest.raises(InputError, match="is not the file that was used before"):
        resolve_model("charge3net-mp")


def test_unknown_names_and_paths_are_told_apart(cache):
    with pytest.raises(InputError, match=r"no model of that name; there are .*charge3net-mp"):
        resolve_model("charge3net-oqmd")
    with pytest.raises(InputError, match="no such file or folder; give a run folder"):
        resolve_model("runs/mine")
    with pytest.raises(InputError, match="no such file or folder; give a run folder"):
        resolve_model("mine.pt")


def test_what_exists_as_a_path_is_a_path(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("charge3net-mp").mkdir()
    assert resolve_model("charge3net-mp") == Path("charge3net-mp")


def test_the_list_names_every_model(cache, capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PUBLISHED)
    assert printed.count("fetched on first use") == len(PUBLISHED) == 9
