"""Evaluating models: errors over every voxel of the structures of a store."""
