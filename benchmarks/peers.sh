#!/bin/sh
# Environments of their own for the two libraries that benchmarks/engine.py runs beside ours.
# Their requirements and ours need not agree; a peer that does not install is reported as such.
#   benchmarks/peers.sh [nnsight] [pyvene]
set -u
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3)}
for peer in ${*:-nnsight pyvene}; do
  home=.venv-peers/$peer
  test -x "$home/bin/python" || "$PYTHON" -m venv "$home"
  # torch by exact version and first, as in the Makefile; 'pip' decides on everything else.
  if "$home/bin/python" -m pip install -q torch==2.13.0 &&
    "$home/bin/python" -m pip install -q "$peer" &&
    "$home/bin/python" -c "import $peer"; then
    echo "$peer: $("$home/bin/python" -m pip list 2>/dev/null | grep -i "^$peer ")"
  else
    echo "$peer: does not install beside torch 2.13.0"
    echo "does not install" >"$home/failed"
  fi
done
