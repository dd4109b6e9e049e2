"""A pytest plugin: in a CI run (``CI=true``), a test that is skipped for a reason not listed here fails the run."""

from __future__ import annotations

import os
import re

import pytest

#: Reasons for which a CI run may skip tests, from the beginning of the reason.
ALLOWED = (
    "CHARGE3NET_SHARED is not set",
    "no GPAW environment",
    "CP2K's list",
    "ABINIT (Debian: abinit) is not installed",
    "PySCF is not installed",
    "pw.x",
    "this system cannot exchange two names",
    "mp-api is not installed",
    "triton is not installed",  # .ci/run has a step with it
    "torch-scatter is not installed",  # likewise
    "kernels are switched off by CHARGE3NET_KERNELS",  # likewise: the suite on plain torch
    "this processor has no ",
    "there is a GPU",
    "no GPU",
)

_found: dict[str, str] = {}


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test or a file was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return re.sub(r"^Skipped: ", "", text)


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and not reason_of(report).startswith(ALLOWED):
        _found[report.nodeid] = reason_of(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a skipped test."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a skipped file."""
    _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run."""
    passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if _found and passed and os.environ.get("CI", "").lower() in ("1", "true"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List them."""
    if _found and os.environ.get("CI", "").lower() in ("1", "true"):
        terminalreporter.section("skipped for a reason that tests/helpers/skips.py does not allow in CI")
        for name, reason in _found.items():
            terminalreporter.line(f"{name}: {reason}")
