"""Fine-tuning: errors of a trained model after training on a few new structures, and of the same model from scratch."""

from charge3net.studies.fine_tuning.config import Config
from charge3net.studies.fine_tuning.figures import figures
from charge3net.studies.fine_tuning.page import TITLE, section
from charge3net.studies.fine_tuning.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
