#!/bin/bash
# Makes a virtual environment with this project and its tests: setup.sh PYTHON DIRECTORY ANSIBLE_REQUIREMENT
set -euo pipefail
python=$1 venv=$2 ansible=$3

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$python is older than Python 3.11: name a newer one with make PYTHON=..." >&2
    exit 2
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" != 0 ]; then
        echo "$python has no ensurepip: install the distribution's python3-venv, then run this again" >&2
        exit 2
    fi
    apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y python3-venv
fi
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install -q -e '.[test]' "$ansible"
touch "$venv/ready"
