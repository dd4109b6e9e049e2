"""Charge transfer: Bader charges before and after one lithium atom is taken out of a cathode, predicted against DFT."""
