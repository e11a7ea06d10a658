#!/bin/sh
# tools/venv.sh PYTHON FOLDER EXTRA: a virtual environment with this package, pinned by constraints.txt.
set -eu
python=$1 folder=$2 extra=$3
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "cxr_node needs Python 3.11, 3.12 or 3.13; $python is $("$python" --version 2>&1). Try: make PYTHON=python3.11" >&2
    exit 1
fi
if [ ! -x "$folder/bin/pip" ]; then
    "$python" -m venv "$folder" || {
        rm -rf "$folder"
        echo "python3-venv is missing; install it first: apt-get install python3-venv" >&2
        exit 1
    }
fi
"$folder/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt torch
"$folder/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extra]"
