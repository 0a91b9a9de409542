"""What the project depends on: no version with a known hole, and two lists of files by their hashes."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LISTS = {"requirements.txt": (), "requirements-dev.txt": ("test", "dev")}
"""Each list with the extras that it covers."""


def asked(*extras: str) -> dict[str, SpecifierSet]:
    """Which versions of each dependency are allowed, with those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [text for extra in extras for text in project["optional-dependencies"][extra]]
    found: dict[str, SpecifierSet] = {}
    for requirement in map(Requirement, [*project["dependencies"], *optional]):
        name = canonicalize_name(requirement.name)
        found[name] = found.get(name, SpecifierSet()) & requirement.specifier
    return found


def listed(file: str) -> list[tuple[Requirement, list[str]]]:
    """Every entry of a list with its hashes."""
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", "").splitlines()
    split = [entry.split("--hash=") for entry in entries]
    return [(Requirement(parts[0].strip()), [part.strip() for part in parts[1:]]) for parts in split]


def versions(python: str, file: str = "requirements.txt") -> dict[str, str]:
    """Which version of each package a list gives to a Python on Linux."""
    where = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    fitting = [one for one, _hashes in listed(file) if one.marker is None or one.marker.evaluate(where)]
    assert len(fitting) == len({one.name for one in fitting})
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in fitting}


HOLES = {
    "ansible-core": "2.16.14 2.16.18 2.17.0 2.17.14 2.18.0 2.18.17 2.19.0 2.19.10 2.20.0 2.20.6 2.21.0",
    "jinja2": "3.1.5",
    "pyyaml": "5.3.1 6.0",
    "cryptography": "46.0.7 49.0.0",
    "fonttools": "4.43.0 4.60.1",
    "pillow": "10.2.0 12.2.0 12.3.0",
    "pygments": "2.19.2",
}
GOOD = {"ansible-core": "2.16.19 2.18.18 2.18.19 2.19.11 2.19.14 2.20.7 2.20.10 2.21.1 2.21.5", "jinja2": "3.1.6"}


@pytest.mark.parametrize(("name", "version"), [(name, one) for name, all in HOLES.items() for one in all.split()])
def test_version_with_a_known_hole_is_not_allowed(name: str, version: str) -> None:
    assert version not in asked()[name]


@pytest.mark.parametrize(("name", "version"), [(name, one) for name, all in GOOD.items() for one in all.split()])
def test_version_without_one_is(name: str, version: str) -> None:
    assert version in asked()[name]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("file", LISTS)
def test_list_has_every_dependency_in_a_version_that_is_allowed(file: str, python: str) -> None:
    given = versions(python, file)
    assert {name: given[name] for name, allowed in asked(*LISTS[file]).items() if given[name] not in allowed} == {}


@pytest.mark.parametrize("python", PYTHONS)
def test_developers_get_the_versions_that_users_get(python: str) -> None:
    assert versions(python).items() <= versions(python, "requirements-dev.txt").items()


def test_list_has_what_the_dependencies_need_themselves() -> None:
    given, seen = versions("3.13"), set(asked())
    waiting = list(seen)
    while waiting:
        for text in metadata.requires(waiting.pop()) or ():
            needed = Requirement(text)
            name = canonicalize_name(needed.name)
            if name not in seen and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
                seen.add(name)
                waiting.append(name)
    assert seen - set(given) == set()


@pytest.mark.parametrize("file", LISTS)
def test_every_entry_is_one_version_with_hashes_and_names_no_place(file: str) -> None:
    for entry, hashes in listed(file):
        assert re.fullmatch(r"==[0-9.]+", str(entry.specifier)), entry
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), entry
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")
