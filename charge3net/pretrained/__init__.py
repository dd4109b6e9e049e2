"""Trained models by name: those shipped with the package, and the published ones, downloaded once into a cache."""

from charge3net.pretrained.releases import Release, choose_release, shipped_releases
from charge3net.pretrained.resolve import resolve_model

__all__ = ["Release", "choose_release", "resolve_model", "shipped_releases"]
