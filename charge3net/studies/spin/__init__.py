"""Magnetisation beside the total density: rotation orders, the global sign, moments, and what no network can tell."""

from charge3net.studies.spin.config import Config
from charge3net.studies.spin.figures import figures
from charge3net.studies.spin.page import TITLE, section
from charge3net.studies.spin.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
