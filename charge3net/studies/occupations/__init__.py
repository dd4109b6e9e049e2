"""How well are PAW density matrices predicted, and what is a start of GPAW from them worth?"""

from charge3net.studies.occupations.config import Config
from charge3net.studies.occupations.figures import figures
from charge3net.studies.occupations.page import TITLE, section
from charge3net.studies.occupations.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
