"""Derivatives of the density: ∇ρ, Hessian, IRI and DORI of a model, against DFT and against finite differences."""

from charge3net.studies.fields.config import Config
from charge3net.studies.fields.figures import figures
from charge3net.studies.fields.page import TITLE, section
from charge3net.studies.fields.study import run

__all__ = ["TITLE", "Config", "figures", "run", "section"]
