"""Predicting densities: from a structure to a density on a grid or at points."""
