"""Densities of single atoms: radial functions of the elements, their fit to data, and features of their sum.

``splines`` has the radial functions, ``isolated`` reads the atoms of a code, ``fit`` fits them to densities,
``functions`` derives from a function what models look up, and ``superposition`` sums it over the atoms around a probe.
"""
