"""The releases of Debian and Ubuntu that the real test runs on: `make test-real RELEASE=...`."""

from __future__ import annotations

from tests.lab.spec import Lab

IMAGES = {
    "11": "bare11",
    "12": "bare",
    "13": "bare13",
    "testing": "bare14",
    "ubuntu-22": "bareubuntu22",
    "ubuntu-24": "bareubuntu24",
    "ubuntu-26": "bareubuntu26",
}
"""{release: the lab's image of a bare host}."""
DEFAULT = "12"
NO_OWN_INSTALLER = frozenset({"testing"})
"""Releases whose CMake refuses Torch's unchanged sources, so that there is nothing to compare the role with."""


def lab(release: str) -> Lab:
    """A host of the release without a route out. Labs of different releases can exist side by side."""
    return Lab(name=f"real-{release}", image=IMAGES[release], airgap=True)
