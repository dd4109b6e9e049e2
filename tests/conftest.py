"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

pytest_plugins = ("tests.helpers.skips",)

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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the compiled kernels from the sources as they are; stop where a compiler is and they do not build or load.

    Without this a mistake in a C++ file would skip the tests of the kernels, and the run would pass.
    """
    if hasattr(session.config, "workerinput"):
        return  # a process of xdist; the first one has done it
    from tests.helpers.requirements import build_kernels

    if problem := build_kernels():
        pytest.exit(f"the compiled kernels are broken: {problem}", returncode=pytest.ExitCode.TESTS_FAILED)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``compiled`` need the compiled kernels: skipped where they are switched off or cannot be built."""
    if item.get_closest_marker("compiled") is not None:
        from tests.helpers.requirements import can_compile, no_kernels

        if reason := no_kernels():
            (pytest.fail if can_compile() and "switched off" not in reason else pytest.skip)(reason)
