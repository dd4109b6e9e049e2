"""Fixtures of the tests of the kernels."""

from tests.nn.conftest import calls

__all__ = ["calls"]
