"""Spin: total density and magnetisation at several rotation orders, the global sign, and magnetic moments."""

from charge3net.studies.spin.config import Config
from charge3net.studies.spin.figures import figures
from charge3net.studies.spin.page import TITLE, section
from charge3net.studies.spin.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
