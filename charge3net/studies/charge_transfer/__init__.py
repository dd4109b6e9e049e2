"""Charge transfer: Bader charges before and after one lithium atom is taken out of a cathode, predicted against DFT."""

from charge3net.studies.charge_transfer.config import Config
from charge3net.studies.charge_transfer.figures import figures
from charge3net.studies.charge_transfer.page import TITLE, section
from charge3net.studies.charge_transfer.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
