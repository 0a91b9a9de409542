#!/bin/sh
# Sets up provision @VERSION@ on a controller from this mirror alone, without a network and without root:
#   sh MIRROR/install-provision.sh [--ansible @OLD_ANSIBLE@] [DIRECTORY]
# It makes a virtual environment in DIRECTORY (default: neuraltalk-provision in the home directory) and changes nothing else.
# It needs Python (@PYTHONS@) with venv. PYTHON=/path/to/python3 names another one than those that are found.
# With --ansible @OLD_ANSIBLE@ it drives hosts whose only Python is 2.7 or 3.6; give it a directory of its own (default:
# neuraltalk-provision-ansible-@OLD_ANSIBLE@ in the home directory). It then needs Python @OLD_PYTHONS@.
set -eu
umask 022
VERSION='@VERSION@'
WHEELS='@WHEELS@'
WHEELS_SHA256='@SHA256@'
PYTHONS='@PYTHONS@'
RELEASES='@RELEASES@'
GLIBC='@GLIBC@'
OLD_ANSIBLE='@OLD_ANSIBLE@'
OLD_PYTHONS='@OLD_PYTHONS@'
MARKER='.neuraltalk-provision'
USAGE='Usage: sh MIRROR/install-provision.sh [--ansible @OLD_ANSIBLE@] [DIRECTORY]'

stop() {
    printf '%s\n' "$@" >&2
    exit 2
}

# What is installed: `which` makes it part of the marker, so that one is not taken for the other.
requirements=requirements.txt which=$WHEELS_SHA256 name=neuraltalk-provision
case "${1:-}" in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --ansible)
        [ "${2:-}" = "$OLD_ANSIBLE" ] || stop "install-provision.sh: --ansible can only be $OLD_ANSIBLE." "$USAGE"
        requirements=requirements-ansible-$OLD_ANSIBLE.txt which=$WHEELS_SHA256-$OLD_ANSIBLE
        name=neuraltalk-provision-ansible-$OLD_ANSIBLE PYTHONS=$OLD_PYTHONS RELEASES='@OLD_RELEASES@'
        shift 2
        ;;
esac
case "${1:-}" in
    -*) stop "install-provision.sh: there is no option $1." "$USAGE" ;;
esac
[ $# -le 1 ] || stop "install-provision.sh: one directory is expected." "$USAGE"

mirror=$(cd "$(dirname "$0")" && pwd)
target=${1:-${HOME:?HOME is not set: give the directory}/$name}
case "$target" in
    /*) ;;
    *) target=$(pwd)/$target ;;
esac

# Nothing of the user's settings reaches Python or pip.
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV
export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The first Python of a version that the wheels are for, and that can make virtual environments.
python='' without_venv='' seen=''
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    found=$("$candidate" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    seen="$seen $candidate is Python $found."
    case " $PYTHONS " in
        *" $found "*) ;;
        *) continue ;;
    esac
    if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
        python=$candidate
        break
    fi
    without_venv=${without_venv:-$found}
done
if [ -z "$python" ] && [ -n "$without_venv" ]; then
    stop "Python $without_venv is there, but it cannot make virtual environments: venv or ensurepip is missing." \
        "Install the package of the OS: python3-venv or python$without_venv-venv (Debian, Ubuntu), python3-pip (others)."
fi
[ -n "$python" ] || stop "No Python was found that provision can use; it needs one of $PYTHONS.$seen" \
    "Install it from the OS: python3 and python3-venv ($RELEASES), or python3.11 and python3.11-venv (Ubuntu 22.04)," \
    "or python3.12 (RHEL 9 and its like)." \
    "If it is in another place, name it: PYTHON=/path/to/python3 sh $0"
"$python" -I -c '
import platform, sys
kind, version = platform.libc_ver()
numbers = lambda text: [int(part) for part in text.split(".")[:2] if part.isdigit()]
fits = platform.machine() == "x86_64" and kind == "glibc" and numbers(version) >= numbers(sys.argv[1])
sys.exit(0 if fits else "This machine is %s with %s %s, but the wheels are for x86_64 with glibc %s or later." % (
    platform.machine(), kind or "no glibc", version, sys.argv[1]))
' "$GLIBC" || exit 2

# What is there already?
state=''
[ ! -f "$target/$MARKER" ] || read -r state <"$target/$MARKER" || true
case "$state" in
    "complete $which")
        "$target/bin/provision" --version || stop "$target is complete, but its provision does not run." \
            "Remove it (rm -r '$target'), then run this again."
        echo "It is already installed in $target; nothing was changed."
        exit 0
        ;;
    complete\ *)
        stop "$target has another version of provision or of ansible-core, which is kept." \
            "Give another directory, or remove this one first: rm -r '$target'"
        ;;
    building\ *)
        if kill -0 "${state#building }" 2>/dev/null; then
            stop "$target is being made by another process (${state#building }) at this moment." "Wait until it has ended."
        fi
        ;;
    *)
        if [ -L "$target" ] || { [ -e "$target" ] && [ ! -d "$target" ]; }; then
            stop "$target exists and is not a directory." "Give another directory."
        fi
        there=$(ls -A "$target" 2>/dev/null || true)
        if [ -n "$there" ] && [ "$there" != "$MARKER" ]; then
            stop "$target exists, is not empty, and was not made by this program. It is kept." "Give another directory."
        fi
        ;;
esac

[ -f "$mirror/$WHEELS" ] || stop "$mirror/$WHEELS is not there." \
    "If you unpacked the parts of a bundle, it is in the directory artifacts of one part: copy it from there." \
    "Otherwise copy the whole mirror, or fetch it again: provision mirror pull --for PLATFORM --only provision-wheels"
digest=$("$python" -I -c '
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
print(digest.hexdigest())
' "$mirror/$WHEELS") || stop "$mirror/$WHEELS cannot be read."
[ "$digest" = "$WHEELS_SHA256" ] || stop "$mirror/$WHEELS was changed or is damaged: its sha256 is $digest," \
    "but $WHEELS_SHA256 is expected. Nothing was installed." "Copy the mirror again from its origin."

# From here on the marker says whose directory it is. It was empty before, so all that is in it is ours.
empty() {
    for entry in "$target"/* "$target"/.[!.]*; do
        case "$entry" in
            */"$MARKER") ;;
            *) rm -rf "$entry" ;;
        esac
    done
}
undo() {
    code=$?
    trap - EXIT INT TERM HUP
    empty
    rm -f "$target/$MARKER"
    rmdir "$target" 2>/dev/null || true
    echo "Nothing was installed, and what was begun in $target was removed." >&2
    exit "$code"
}
mkdir -p "$target" && [ -w "$target" ] || stop "$target cannot be written." "Give a directory where you may write."
rm -f "$target/$MARKER"
(set -C && echo "building $$" >"$target/$MARKER") 2>/dev/null ||
    stop "$target cannot be written, or another process is making it." "Give another directory, or wait."
trap undo EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
empty

echo "Installing provision $VERSION into $target ..."
mkdir "$target/.wheels"
"$python" -I -W ignore -m tarfile -e "$mirror/$WHEELS" "$target/.wheels"
[ -f "$target/.wheels/$requirements" ] || stop "$mirror/$WHEELS has no $requirements: it was made by an older version." \
    "Fetch it again: provision mirror pull --for PLATFORM --only provision-wheels"
"$python" -I -m venv "$target"
"$target/bin/python" -I -m pip --isolated install --quiet --no-cache-dir --no-index --find-links "$target/.wheels" \
    --only-binary :all: --require-hashes --requirement "$target/.wheels/$requirements"
rm -rf "$target/.wheels"
"$target/bin/provision" --version
echo "complete $which" >"$target/.complete"
mv "$target/.complete" "$target/$MARKER"
trap - EXIT INT TERM HUP

echo "provision is installed in $target. Next:"
if [ -f "$mirror/mirror.lock" ]; then
    echo "  '$target/bin/provision' mirror verify --mirror '$mirror'"
else # the unpacked parts of a bundle
    echo "  '$target/bin/provision' init my-site"
    echo "and then in my-site, with the directories of the parts:"
    echo "  '$target/bin/provision' mirror unbundle DIR..."
fi
