"""Time and memory of predictions for supercells of crystals against the number of atoms."""

from charge3net.studies.scaling.config import Config
from charge3net.studies.scaling.figures import figures
from charge3net.studies.scaling.page import TITLE, section
from charge3net.studies.scaling.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
