"""Learning curves: the error against the number of training materials, for every rotation order and the baselines."""

from charge3net.studies.learning_curves.config import Config
from charge3net.studies.learning_curves.figures import figures
from charge3net.studies.learning_curves.page import TITLE, section
from charge3net.studies.learning_curves.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
