"""Checkpoints: saving and loading models, and weights of the published codes."""
