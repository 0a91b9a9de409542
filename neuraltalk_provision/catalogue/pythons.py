"""Which Python the hosts of a release have, and which wheels they can use. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from neuraltalk_provision.catalogue.model import Row, Wheel


@dataclass(frozen=True)
class Release:
    """What decides about wheels: the release's Python, its glibc, and the newest manylinux that its pip installs.

    A pip that is older than a form of wheels does not see them, whatever the glibc is.
    """

    python: str
    glibc: str
    manylinux: str


class OldAnsible(Row):
    """The ansible-core for hosts with an old Python: its release, its wheels, and the Pythons of controllers for it."""

    version: str
    pythons: tuple[str, ...]
    wheels: tuple[Wheel, ...]


_RELEASES = {
    ("debian", 11): Release("3.9", "2.31", "2.31"),
    ("debian", 12): Release("3.11", "2.36", "2.36"),
    ("debian", 13): Release("3.13", "2.41", "2.41"),
    ("debian", 14): Release("3.14", "2.43", "2.43"),
    ("ubuntu", 20): Release("3.8", "2.31", "2.17"),
    ("ubuntu", 22): Release("3.10", "2.35", "2.35"),
    ("ubuntu", 24): Release("3.12", "2.39", "2.39"),
    ("ubuntu", 26): Release("3.14", "2.43", "2.43"),
    ("el", 7): Release("2.7", "2.17", "2.5"),
    ("el", 8): Release("3.6", "2.28", "2.5"),
    ("el", 9): Release("3.9", "2.34", "2.34"),
    ("el", 10): Release("3.12", "2.39", "2.39"),
}
EL = frozenset({"almalinux", "centos", "cloudlinux", "eurolinux", "miraclelinux", "ol", "rhel", "rocky", "scientific"})
"""The IDs of the systems that are Enterprise Linux."""
CONTROLLER = {python: Release(python, "2.28", "2.28") for python in ("3.11", "3.12", "3.13", "3.14")}
"""{Python: release} of the controllers that the mirror can set up."""
_PARTS = 4
"""The dashes in the name of a wheel: project-version-python-abi-platform."""
_OLD_TAGS = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def release(system: str, major: int) -> Release | None:
    """What hosts of this release have; None if it is not known."""
    return _RELEASES.get(("el" if system in EL else system, major))


def releases(python: str) -> tuple[Release, ...]:
    """All releases with that Python."""
    return tuple(one for one in _RELEASES.values() if one.python == python)


def releases_with(versions: Iterable[str]) -> str:
    """The releases of Debian and Ubuntu that have one of these Pythons, in words."""
    wanted = set(versions)
    found = {
        name: [f"{major}{minor}" for (one, major), has in _RELEASES.items() if one == system and has.python in wanted]
        for system, name, minor in (("debian", "Debian", ""), ("ubuntu", "Ubuntu", ".04"))
    }
    return "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in found.items() if numbers)


def every_python() -> tuple[str, ...]:
    """Every Python that hosts have, the oldest first."""
    return tuple(sorted({one.python for one in _RELEASES.values()}, key=version))


def version(text: str) -> tuple[int, ...]:
    """A version such as `2.17` as numbers, which can be compared."""
    return tuple(int(part) for part in text.split("."))


def manylinux(file: str) -> tuple[int, ...]:
    """The glibc that a wheel needs, by its name; (0,) if it contains nothing that was compiled."""
    tags = file.removesuffix(".whl").rpartition("-")[2].split(".")
    needed = [_OLD_TAGS[tag.partition("_")[0]] for tag in tags if tag.partition("_")[0] in _OLD_TAGS]
    needed += [(int(match[1]), int(match[2])) for tag in tags if (match := re.match(r"manylinux_(\d+)_(\d+)_", tag))]
    return min(needed, default=(0,))


def project_name(name: str) -> str:
    """The name of a project in the form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_wheel(files: Iterable[str], python: str) -> tuple[str, ...]:
    """The projects that have wheels among these files, but none that this version of Python can use."""
    fits: dict[str, bool] = {}
    for file in files:
        project = project_name(file.partition("-")[0])
        if python and file.endswith(".whl") and file.count("-") >= _PARTS:
            fits[project] = fits.get(project, False) or _is_for(file, version(".".join(python.split(".")[:2])))
    return tuple(sorted(project for project, usable in fits.items() if not usable))


def _is_for(wheel: str, python: tuple[int, ...]) -> bool:
    """Whether a wheel is for that Python, by its tags: cp311 is for 3.11 alone, py3 and abi3 also for newer ones."""
    kinds, abis = wheel.split("-")[-3:-1]
    for kind in kinds.split("."):
        match = re.fullmatch(r"(py|cp)(\d)(\d*)", kind)
        if match and int(match[2]) == python[0]:
            oldest, newer = int(match[3] or 0), match[1] == "py" or "abi3" in abis.split(".")
            if oldest == python[1] or (newer and oldest < python[1]):
                return True
    return False
