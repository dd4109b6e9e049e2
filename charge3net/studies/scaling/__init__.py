"""Time and memory against the number of atoms: supercells of two crystals, atoms encoded and a grid read."""

from charge3net.studies.scaling.config import Config
from charge3net.studies.scaling.figures import figures
from charge3net.studies.scaling.page import TITLE, section
from charge3net.studies.scaling.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
