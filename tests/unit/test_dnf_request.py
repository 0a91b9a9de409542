"""What is asked of dnf for a platform."""

from __future__ import annotations

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.mirror import dnf_request, package_names
from neuraltalk_provision.mirror.package_names import Names

NAMES = Names(("gcc", "make"), ("sox",))
NINE, SEVEN = target.parse("rocky-9-x86_64"), target.parse("centos-7-x86_64")


@pytest.mark.parametrize(
    ("key", "platform"),
    [
        ("rocky-8-x86_64", "platform:el8"),
        ("ol-9-x86_64", "platform:el9"),
        ("centos-7-x86_64", ""),
        ("fedora-40-x86_64", "platform:f40"),
    ],
)
def test_default_streams_of_modules_are_those_of_the_platform(key: str, platform: str) -> None:
    assert dnf_request.module_platform(target.parse(key)) == platform


def test_line_has_names_repositories_and_platform() -> None:
    places = "https://a.example.org/, https://b.example.org/"
    assert NAMES.line("dnf", NINE, places) == f"dnf for rocky-9-x86_64 from {places}: gcc make; if they have them: sox"


def test_python_of_ansible_can_be_what_another_package_provides() -> None:
    catalogue = catalogues.load()
    for system, python, pip in ((NINE, "python3", "python3-pip"), (SEVEN, "python", "python-pip")):
        names = package_names.names(catalogue, system, "rpm")
        assert python not in names.required
        assert pip in names.required
        document = dnf_request.document(names, system, repositories=[])
        assert document["provided"] == [python]
        assert (document["release"], document["machine"]) == (str(system.major), system.machine)
