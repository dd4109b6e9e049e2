"""How many SCF steps does pw.x save when it starts from a prediction, and how good are energies without SCF?"""

from charge3net.studies.restart.config import Config
from charge3net.studies.restart.figures import figures
from charge3net.studies.restart.page import TITLE, section
from charge3net.studies.restart.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
