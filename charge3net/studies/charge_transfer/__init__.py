"""Charge transfer: changes of Bader charges when one atom is removed from a cell, predicted against DFT."""

from charge3net.studies.charge_transfer.config import Config
from charge3net.studies.charge_transfer.figures import figures
from charge3net.studies.charge_transfer.page import TITLE, section
from charge3net.studies.charge_transfer.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
