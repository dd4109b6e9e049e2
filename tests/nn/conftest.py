"""Fixtures of the tests of the kernels."""

from __future__ import annotations

import pytest

from charge3net.nn import messages_compiled as messages


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """Names of the compiled functions called."""
    found: list[str] = []
    original = messages._call

    def count(name, job):
        found.append(name)
        original(name, job)

    monkeypatch.setattr(messages, "_call", count)
    return found
