"""Starts of GPAW: how density matrices are unpacked (the calculations themselves need GPAW's environment)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from charge3net.paw.matrices import pack

OPEN_DFT = Path(__file__).parents[2] / "data_prep" / "open_dft"


def test_matrices_are_unpacked_as_the_package_packs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(OPEN_DFT))
    unpacked = import_module("starts").unpacked
    given = [np.arange(size**2, dtype=float).reshape(size, size) for size in (2, 5)]
    given = [one + one.T for one in given]
    for found, wanted in zip(unpacked(pack(given), [2, 5]), given, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="of 18 numbers where the setups have 3"):
        unpacked(pack(given), [2])
