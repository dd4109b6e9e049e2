"""Evaluating models: errors over every voxel of the structures of a store."""

from charge3net.evaluation.materials import Evaluation, MaterialErrors, evaluate, material_errors

__all__ = ["Evaluation", "MaterialErrors", "evaluate", "material_errors"]
