#!/bin/sh
# docs/viewer.png: benzene as `charge3net view` shows it. Needs Chromium (Debian: chromium) and an installation with [plot].
#     sh tools/viewer_picture.sh docs/viewer.png
set -eu
out=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python -c 'from ase.build import molecule; molecule("C6H6").write("benzene.xyz")'
charge3net predict benzene.xyz --spacing 0.15 -o benzene.npz
charge3net view benzene.npz -o benzene.html
chromium --headless=new --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars \
    --window-size=900,620 --virtual-time-budget=8000 --screenshot="$out" "file://$work/benzene.html"
