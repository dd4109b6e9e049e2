"""What records say about the machine and the code."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from charge3net.provenance import clone_state, commit, installed_version, installed_versions
from charge3net.version import __version__

ROOT = Path(__file__).parent.parent


def test_versions_are_of_what_is_installed():
    assert installed_versions(("numpy", "no-such-package")) == {"charge3net": __version__, "numpy": np.__version__}
    assert list(installed_versions()) == ["charge3net", "torch", "e3nn", "numpy"]
    assert installed_version("torch") == version("torch")
    assert installed_version("no-such-package") is None


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not in a clone")
def test_the_commit_is_that_of_the_clone():
    found = clone_state()
    assert found is not None
    head, changed = found
    assert re.fullmatch("[0-9a-f]{40}", head)
    assert commit() == head + (" + changes" if changed else "")
    assert clone_state("no/such/folder") == (head, False)
