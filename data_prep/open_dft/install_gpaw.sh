#!/bin/sh
# Build GPAW and its PBE setups in an environment of their own (GPL; called as a separate program, never imported by
# the package). Needs Python >= 3.11 with headers and g++; no MPI, BLAS, FFTW or libxc. About two minutes.
#
#   data_prep/open_dft/install_gpaw.sh [ENVIRONMENT]      default .cache/gpaw-env beside the repository's root
#
# PYTHON names the interpreter (default python3). Nothing is done when the environment already works.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
environment=${1:-$root/.cache/gpaw-env}
python=${PYTHON:-python3}
probe='import gpaw, _gpaw, rdkit, spglib, pymatgen.analysis.prototypes; from gpaw.setup_data import search_for_file; search_for_file("C.PBE")'

if "$environment/bin/python" -c "$probe" >/dev/null 2>&1; then
    echo "GPAW is already in $environment"
    exit 0
fi
command -v g++ >/dev/null || { echo "install_gpaw.sh: error: g++ is missing; install it (apt-get install g++)" >&2; exit 2; }

mkdir -p "$(dirname "$environment")"
[ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
config=$(mktemp)
trap 'rm -f "$config"' EXIT
cat >"$config" <<'PY'
mpi = False
scalapack = False
fftw = False
noblas = True
nolibxc = True
libraries = []
library_dirs = []
include_dirs = []
compiler = 'g++'
define_macros += [('GPAW_WITHOUT_LIBXC', None), ('GPAW_WITHOUT_BLAS', None)]
PY

"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip setuptools wheel
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'numpy<3' scipy 'rdkit==2026.9.1' \
    'pymatgen==2026.10.24' 'spglib==2.8.0'
GPAW_CONFIG=$config "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    'gpaw==26.7.0' 'gpaw-data==1.2.1'
"$environment/bin/python" -c "$probe" || {
    echo "install_gpaw.sh: error: GPAW was built but does not import; remove $environment and run this again" >&2
    exit 1
}
"$environment/bin/python" -c 'import gpaw; print("GPAW", gpaw.__version__, "is ready in", __import__("sys").prefix)'
