"""Learning curves: the error against the number of training materials, for every rotation order and the baselines."""
