"""A thousand damaged files of every format: read, or refused with one sentence; never anything else."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.helpers import fuzz


def test_damaged_files_are_read_or_refused() -> None:
    counts = fuzz.run(cases=1000, seed=20)
    total: Counter[str] = sum(counts.values(), Counter())
    assert set(total) == {"read", "refused"}, total
    assert total["read"] > 100
    assert total["refused"] > 400
    assert set(counts) == {
        *("chgcar", "cube", "npz", "compressed", "poscar", "cif", "xyz", "json", "split", "store"),
    }


def test_what_is_unforeseen_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting itself: a reader that dies is neither read nor refused."""

    def die(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(fuzz, "use", die)
    (found,) = fuzz.run(cases=3, only="xyz").values()
    assert found == {"ZeroDivisionError: on purpose": 3}
