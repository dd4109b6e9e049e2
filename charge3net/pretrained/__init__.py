"""Trained models by name: those shipped with the package, and the published ones, fetched once and kept in a cache."""

from charge3net.pretrained.resolve import resolve_model
from charge3net.pretrained.shipped import Release, choose_release, shipped_releases

__all__ = ["Release", "choose_release", "resolve_model", "shipped_releases"]
