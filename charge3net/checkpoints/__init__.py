"""Checkpoints: saving and loading models, and weights of the published codes."""

from charge3net.checkpoints.card import ModelCard
from charge3net.checkpoints.fingerprint import fingerprint, model_record
from charge3net.checkpoints.published import load_published
from charge3net.checkpoints.save_load import load_card, load_model, save_model

__all__ = ["ModelCard", "fingerprint", "load_card", "load_model", "load_published", "model_record", "save_model"]
