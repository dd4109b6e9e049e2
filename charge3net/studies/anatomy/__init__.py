"""Anatomy of the error: its size for each structure, compared with the spread of functionals, and its distribution."""

from charge3net.studies.anatomy.config import Config
from charge3net.studies.anatomy.figures import figures
from charge3net.studies.anatomy.page import TITLE, section
from charge3net.studies.anatomy.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
