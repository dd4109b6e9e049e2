"""Fetching by address, from a local server that breaks the connection."""

from __future__ import annotations

import hashlib
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.io import write_density
from charge3net.pretrained.download import download
from data_prep.published import tar_sets
from tests.helpers.random_densities import make_density


class Handler(BaseHTTPRequestHandler):
    """Serves one file, in parts when asked to; the first connection breaks in the middle."""

    content = bytes(range(256)) * 40
    asked: list[str | None] = []  # noqa: RUF012
    break_at = 3000

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            self.end_headers()
            return
        body = self.content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        self.wfile.write(body[: self.break_at] if len(type(self).asked) == 1 else body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a local server."""
    Handler.asked = []
    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_download_goes_on_where_it_broke(server: str, tmp_path: Path) -> None:
    waits: list[float] = []
    md5 = hashlib.md5(Handler.content).hexdigest()
    path = download(f"{server}/files/1#md5={md5}&name=a.tar", tmp_path, wait=waits.append)
    assert (path, path.read_bytes()) == (tmp_path / "a.tar", Handler.content)
    assert Handler.asked == [None, "bytes=3000-"]
    assert len(waits) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tar"]
    download(f"{server}/files/1#md5={md5}&name=a.tar", tmp_path)
    assert len(Handler.asked) == 2  # it is here, nothing is asked


def test_a_whole_part_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    Handler.asked = ["an earlier run"]
    (tmp_path / "a.tar.part").write_bytes(Handler.content)
    assert download(f"{server}/a.tar", tmp_path).read_bytes() == Handler.content
    assert Handler.asked[1:] == [f"bytes={len(Handler.content)}-"]


def test_a_wrong_checksum_is_refused(server: str, tmp_path: Path) -> None:
    Handler.asked = ["an earlier run"]
    with pytest.raises(InputError, match=r"a\.tar: sha256 is .* where 00 was expected"):
        download(f"{server}/a.tar#sha256=00", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.tar").write_bytes(b"mine")
    with pytest.raises(InputError, match="delete it and fetch it again"):
        download(f"{server}/a.tar#sha256=00", tmp_path)
    assert (tmp_path / "a.tar").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "url", ["ftp://x/a.tar", "http://x/files/12", "http://x/a.tar#name=../a.tar", "http://x/a.tar#crc=1"]
)
def test_addresses_that_cannot_work(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"address|name of a file|are allowed"):
        download(url, tmp_path)


def test_url_on_the_command_line(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_density(make_density(0), tmp_path / "mgo.CHGCAR")
    with tarfile.open(tmp_path / "made.tar", "w:") as tar:
        tar.add(tmp_path / "mgo.CHGCAR", "mgo.CHGCAR")
    monkeypatch.setattr(Handler, "content", (tmp_path / "made.tar").read_bytes())
    Handler.asked = ["an earlier run"]
    arguments = ["--tars", str(tmp_path / "tars"), "-o", str(tmp_path / "store"), "--jobs", "1"]
    assert tar_sets.main(["qm9_vasp", *arguments, "--url", f"{server}/fetched.tar"]) == 0
    assert Store(tmp_path / "store").keys() == ["mgo"]
    assert Store(tmp_path / "store")["mgo"].meta["file"] == "fetched.tar:mgo.CHGCAR"
