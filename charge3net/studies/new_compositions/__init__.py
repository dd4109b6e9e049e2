"""New compositions: which models are right about crystals of formulas that no training structure has?"""

from charge3net.studies.new_compositions.config import Config
from charge3net.studies.new_compositions.figures import figures
from charge3net.studies.new_compositions.page import TITLE, section
from charge3net.studies.new_compositions.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
