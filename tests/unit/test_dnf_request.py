"""What is asked of dnf for a platform."""

from __future__ import annotations

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.mirror import dnf_request
from tests.unit.catalogue import SMALL

CATALOGUE = catalogues.load()
PLACES = [["https://a.example.org/el/"], ["https://b.example.org/el/", "https://c.example.org/el/"]]


def wanted(key: str) -> dnf_request.Wanted:
    return dnf_request.wanted(CATALOGUE, target.parse(key))


def test_names_are_those_of_the_platform_and_the_python_of_ansible() -> None:
    seven, nine = wanted("centos-7-x86_64"), wanted("almalinux-9-x86_64")
    assert {"python-pip", "gcc-c++"} <= set(seven.required)
    assert {"python3-pip", "gcc-c++"} <= set(nine.required)
    assert (seven.provided, nine.provided) == (("python",), ("python3",))
    assert "java-1.8.0-openjdk-headless" in seven.optional
    assert "java-17-openjdk-headless" in nine.optional
    assert not set(nine.required) & set(nine.optional)


def test_names_are_listed_once() -> None:
    twice = SMALL.model_copy(update={"needs": (*SMALL.needs, *SMALL.needs)})
    found = dnf_request.wanted(twice, target.parse("rocky-9-x86_64"))
    assert found == dnf_request.Wanted(("gcc", "python3-pip"), ("sox-devel",), ("python3",))


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


def test_line_changes_with_names_repositories_and_platform_only() -> None:
    nine = target.parse("rocky-9-x86_64")
    names = wanted(nine.key)
    line = dnf_request.line(names, PLACES, nine)
    assert line.endswith(" to https://a.example.org/el/ https://b.example.org/el/")
    assert line == dnf_request.line(wanted(nine.key), PLACES, nine)
    eight = target.parse("rocky-8-x86_64")
    other = dnf_request.Wanted((*names.required, "more"), names.optional, names.provided)
    lines = {line, dnf_request.line(other, PLACES, nine), dnf_request.line(names, PLACES[:1], nine)}
    assert len(lines | {dnf_request.line(names, PLACES, eight)}) == 4


def test_line_of_many_repositories_stays_short() -> None:
    places = [[f"https://{number}.example.org/"] for number in range(100)]
    line = dnf_request.line(wanted("rocky-9-x86_64"), places, target.parse("rocky-9-x86_64"))
    assert line.endswith("and 95 more")
    assert len(line) < 300
