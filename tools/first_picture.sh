#!/bin/sh
# How long does a newcomer wait? Clones a repository, installs it, predicts a crystal and writes the page of its density;
# prints the seconds since the start after each step. Nothing is taken from an installation that is there, except what
# pip has in its cache.
#     sh tools/first_picture.sh [REPOSITORY]
set -eu
repository=$(cd "${1:-$(dirname "$0")/..}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
start=$(date +%s)
after() { echo "$(($(date +%s) - start)) s: $1"; }
git clone -q "$repository" charge3net
after "cloned"
make -s -C charge3net install
after "installed"
cat > POSCAR << 'END'
NaCl
1.0
0.0 2.82 2.82
2.82 0.0 2.82
2.82 2.82 0.0
Na Cl
1 1
Direct
0.0 0.0 0.0
0.5 0.5 0.5
END
charge3net/.venv/bin/charge3net predict POSCAR -o CHGCAR
after "density predicted"
charge3net/.venv/bin/charge3net view CHGCAR -o density.html
after "picture written"
