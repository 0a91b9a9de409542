"""The program `install-provision.sh` of a mirror, which sets up a controller from the wheels that are there."""

from __future__ import annotations

from importlib import resources

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.mirror import lock

FILE = "install-provision.sh"


def text(wheels: lock.Entry) -> str:
    """The program for the wheels that this entry of the lock describes."""
    releases = pythons.CONTROLLER.values()
    supported, old = [release.python for release in releases], catalogue.old_ansible()
    values = {
        "VERSION": wheels.version,
        "WHEELS": wheels.file,
        "SHA256": wheels.sha256,
        "PYTHONS": " ".join(supported),
        "RELEASES": pythons.releases_with(supported),
        "OLD_ANSIBLE": old.version,
        "OLD_PYTHONS": " ".join(old.pythons),
        "OLD_RELEASES": pythons.releases_with(old.pythons),
        "GLIBC": max((release.glibc for release in releases), key=pythons.version),
    }
    found = (resources.files(__package__) / FILE).read_text(encoding="utf-8")
    for name, value in values.items():
        found = found.replace(f"@{name}@", value)
    return found
