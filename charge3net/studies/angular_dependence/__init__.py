"""Angular dependence: whether a density that varies around its atoms gains more from a high rotation order."""
