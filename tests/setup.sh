#!/bin/bash
# Makes a virtual environment with this project and its tests, and installs missing OS packages:
# setup.sh PYTHON DIRECTORY ANSIBLE_REQUIREMENT
set -euo pipefail
python=$1 venv=$2 ansible=$3

# Prints the OS packages that set-up, lint and unit tests need and that are missing.
lacking() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || case ${python##*/} in
        python3.*) echo "${python##*/}-venv" ;;
        *) echo python3-venv ;;
    esac
    compiles c stdlib.h || echo gcc libc6-dev
    compiles c++ vector || echo g++
    luajit -v >/dev/null 2>&1 || echo luajit
}

compiles() {
    gcc -x "$1" -fsyntax-only - <<<"#include <$2>" 2>/dev/null
}

stop() {
    printf '%s\n' "$@" >&2
    exit 2
}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    stop "$python is not there or older than Python 3.11: name a newer one with make PYTHON=..., for example python3.11" \
        "after the installation of python3.11 and python3.11-venv (Ubuntu 22.04)."
fi
read -r -d '' -a packages < <(lacking) || true
if [ ${#packages[@]} != 0 ]; then
    command="apt-get install -y --no-install-recommends ${packages[*]}"
    [ "$(id -u)" = 0 ] || stop "This machine lacks what the tests need. As root: $command" "Then run this again."
    command -v apt-get >/dev/null || stop "This machine lacks what the tests need, and has no apt-get: install" \
        "what these packages of Debian hold, then run this again: ${packages[*]}"
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive $command
    read -r -d '' -a packages < <(lacking) || true
    [ ${#packages[@]} = 0 ] || stop "${packages[*]} was installed, and $python or gcc still does not work with it." \
        "Name the distribution's own Python with make PYTHON=/usr/bin/python3, or see what gcc says."
fi

rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install -q -e '.[test]' "$ansible"
touch "$venv/ready"
