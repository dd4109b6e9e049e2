"""Quantum ESPRESSO: inputs, pseudopotentials and charge densities of pw.x, read and written.

Written from the documentation of the files and from what pw.x wrote and read, not from its source.
"""
