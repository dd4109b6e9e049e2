"""Magnetisation beside the total density: rotation orders, the global sign, moments, and what no network can tell."""
