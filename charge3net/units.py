"""Units. Inside the package lengths are Å and densities e/Å³ (number density of electrons, positive).

Factors are CODATA 2018, the set that ASE and pymatgen use to the digits given here.
"""

#: Bohr radius in Å (CODATA 2018: 5.29177210903(80)e-11 m).
BOHR = 0.529177210903

#: e/Bohr³ → e/Å³; Gaussian cube files hold e/Bohr³.
E_PER_BOHR3 = 1.0 / BOHR**3

#: Hartree in eV (CODATA 2018).
HARTREE = 27.211386245988

#: Rydberg in eV, half a Hartree.
RYDBERG = HARTREE / 2.0

#: ħ²/2mₑ in eV·Å²; a plane wave of wave vector G [1/Å] has the kinetic energy HBAR2_2M·G² [eV].
HBAR2_2M = RYDBERG * BOHR**2
