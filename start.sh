#!/bin/sh
# From a fresh copy of this folder to the form in the browser: ./start.sh
#
# The first time it makes an environment in .venv (some minutes, most of it PyTorch); from then on it only starts the app.
# What stands behind it goes to the app: ./start.sh port=9000
set -eu
cd "$(dirname "$0")"

right='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

# The newest Python from 3.11 to 3.13 that is here
find_python() {
    for name in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c "$right" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "No Python from 3.11 to 3.13 was found; get one from https://www.python.org/downloads/ and start this again." >&2
    exit 1
}

if [ ! -e .venv/started ]; then
    python=$(find_python)
    echo "Making an environment with $("$python" --version). This takes some minutes, once."
    [ -e .venv ] || "$python" -m venv .venv
    torch=$(sed -n 's/^torch==/torch==/p' constraints.txt)
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$torch"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[app]'
    touch .venv/started
fi

exec .venv/bin/mapperatorinator app "$@"
