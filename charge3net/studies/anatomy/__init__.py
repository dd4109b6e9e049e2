"""Anatomy of the error: how large it is for each structure beside the spread between functionals, and where it sits."""
