"""Anatomy of the error: how large it is for each structure beside the spread between functionals, and where it sits."""

from charge3net.studies.anatomy.config import Config
from charge3net.studies.anatomy.figures import figures
from charge3net.studies.anatomy.page import TITLE, section
from charge3net.studies.anatomy.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
