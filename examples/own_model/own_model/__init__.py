"""A model, a loss and a reader for charge3net."""
