"""Angular dependence: do densities that vary strongly with direction gain more from a high rotation order?"""

from charge3net.studies.angular_dependence.config import Config
from charge3net.studies.angular_dependence.figures import figures
from charge3net.studies.angular_dependence.page import TITLE, section
from charge3net.studies.angular_dependence.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
