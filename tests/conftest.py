"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Small tensors on a shared machine: more threads only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real files and densities that are too large for the repository."""
    folder = os.environ.get("CHARGE3NET_SHARED", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CHARGE3NET_SHARED is not set to the folder with real/, dft/ and golden/")
    return Path(folder)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Random-weight models with inputs and float64 outputs of the published implementations."""
    return Path(__file__).parent / "golden"
