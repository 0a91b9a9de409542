"""What is installed in a container: Python before Ansible can work there, and afterwards packages and wheels."""

from __future__ import annotations

import re
from pathlib import Path

from neuraltalk_provision.catalogue.pythons import project_name
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.mirror.lock import Entry
from neuraltalk_provision.proof.container import Container
from neuraltalk_provision.rules import artifacts, packages

_PYTHONS = "/usr/libexec/platform-python python3 python2.7 python2 python"
_FOLDER = "/var/tmp/neuraltalk-prove"


def packages_of(container: Container) -> dict[str, str]:
    """{name: version} of all OS packages in the container."""
    script = (
        "if command -v dpkg-query >/dev/null; then "
        "dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}\\n'; "
        "else rpm -qa --queryformat 'ii |%{NAME}|%{VERSION}-%{RELEASE}\\n'; fi"
    )
    listing = container.must("the list of OS packages", script)
    return dict(sorted(re.findall(r"^ii *\|([^|\n]+)\|([^|\n]+)$", listing, re.M)))


def wheels_of(container: Container, generation: str) -> dict[str, str]:
    """{project: version} of what pip installed into a generation."""
    return wheels_in(container.run('ls -1 "$1/python" 2>/dev/null || true', generation).output)


def wheels_in(listing: str) -> dict[str, str]:
    """{project: version} of what pip installed into a directory, by the names of its files, one a line."""
    found = re.findall(r"^([^\s/]+)-([^\s/-]+)\.(?:dist|egg)-info$", listing, re.M)
    return dict(sorted((project_name(name), version) for name, version in found))


def ensure_python(container: Container, mirror: Path, entry: Entry | None, stack_root: str) -> bool:
    """Install the distribution's Python from the mirror, if the image has none; whether that was necessary.

    Ansible's modules need it. The archive is left where site.yml will look for it. Raises HostError.
    """
    if container.run(f"for p in {_PYTHONS}; do command -v $p && exit 0; done; exit 1").code == 0:
        return False
    if entry is None or container.run("command -v apt-get").code:
        raise HostError(
            "the image has no Python, which Ansible's modules need, and it cannot be installed from the mirror",
            advice="Choose an image with Python, or add packages for this platform that contain python3.",
        )
    folder = f"{stack_root}/artifacts"
    archive = artifacts.path_of(folder, {"sha256": entry.sha256, "file": entry.file})
    container.must("making the directory of artifacts", 'umask 022; mkdir -p "$1" "$2/lists/partial"', folder, _FOLDER)
    container.copy(mirror / entry.file, archive)
    listing, sources = packages.apt_listing(_FOLDER)
    unpack = 'chown 0:0 "$2" && chmod 0644 "$2" && tar -xf "$2" -C "$1" --no-same-owner && printf %s "$3" > "$4"'
    container.must("unpacking the packages", unpack, _FOLDER, archive, sources, listing)
    options = packages.apt_options(_FOLDER)
    install = (
        'export DEBIAN_FRONTEND=noninteractive; apt-get -q "$@" update && '
        'apt-get -q -y --no-install-recommends "$@" install python3'
    )
    try:
        container.must("installing python3 from the mirror", install, *options)
    finally:
        container.run('rm -rf "$1"', _FOLDER)
    return True
