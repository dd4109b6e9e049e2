"""Time and memory against the number of atoms: supercells of two crystals, atoms encoded and a grid read."""
