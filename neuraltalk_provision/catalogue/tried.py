"""What was tried with the real sources, what is known not to work, and how a host compares with both. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from neuraltalk_provision.catalogue.model import Row
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import versions
from neuraltalk_provision.rules.packages import LOCAL

NAMES = {
    "gcc": "gcc",
    "cmake": "CMake",
    "hdf5": "HDF5",
    "protobuf": "protobuf",
    "python": "Python",
    "glibc": "glibc",
    "cuda": "CUDA",
}
"""{what is compared: its name in messages}."""
PACKAGES = {
    "gcc": ("gcc",),
    "cmake": ("cmake",),
    "hdf5": ("libhdf5-dev", "hdf5-devel"),
    "protobuf": ("libprotobuf-dev", "protobuf-devel"),
}
"""{what: the OS packages, for apt and rpm, whose version is its version}."""
USERS = {"hdf5": "hdf5", "protobuf": "loadcaffe", "python": "python", "cuda": "cutorch"}
"""{what: the only component that uses it}; all components use what is not listed."""
CC = "cc"
"""The compiler of CMake, which is gcc under another name unless somebody changed that."""
# How many numbers of a version make a series, whose releases are taken as equal.
_SERIES = {"gcc": 1}


Version = Annotated[str, StringConstraints(pattern=r"^(\d{1,9}(\.\d{1,9}){0,5})?$")]
Day = Annotated[
    str,
    BeforeValidator(str),  # YAML reads a day as a date
    StringConstraints(pattern=r"^20\d\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$"),
]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f|]*$")]
Seconds = Annotated[
    Annotated[int, Field(ge=0, le=1_000_000)] | None,
    AfterValidator(lambda count: count or None),  # 0 was not measured
]
What = Literal["gcc", "cmake", "hdf5", "protobuf", "python", "glibc"]


class Tried(Row):
    """One trial of the real sources: where, with which versions, and what was seen. Versions are empty if unknown.

    With `component` only that component was built. None means that nobody recorded it. `verified` is for example
    `16 of 16`, `seconds` the time of `provision site` on the bare host, `why` the reason if it was not built.
    """

    platform: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,60}$")]
    component: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,30}$")] = ""
    seen: Day
    gcc: Version = ""
    cmake: Version = ""
    hdf5: Version = ""
    protobuf: Version = ""
    python: Version = ""
    glibc: Version = ""
    cuda: Version = ""
    ansible_core: Version = ""
    built: bool
    trained: bool | None = None
    captioned: bool | None = None
    verified: Annotated[str, StringConstraints(pattern=r"^(\d{1,4} of \d{1,4})?$")] = ""
    seconds: Seconds = None
    why: Words | Literal[""] = ""
    source: Words

    @model_validator(mode="after")
    def _explained(self) -> Tried:
        if self.trained and not self.built:
            raise ValueError("nothing can be trained that was not built")
        return self


class NotWorking(Row):
    """A range of versions that is known to fail, why, and what helps."""

    what: What
    versions: Annotated[str, StringConstraints(pattern=f"^{versions.RANGE}$")]
    reason: Words
    cure: Words
    seen: Day
    source: Words

    @property
    def words(self) -> str:
        """Why it is refused, and what helps: what follows on its name and version."""
        return f"is known not to work: {self.reason} (seen {self.seen}, {self.source}). {self.cure}"


class Table(Row):
    """The data file."""

    tried: Annotated[tuple[Tried, ...], Field(max_length=1000)]
    not_working: Annotated[tuple[NotWorking, ...], Field(max_length=100)] = ()


@dataclass(frozen=True)
class Comparison:
    """What the table says of a host: reasons not to start, and what was never tried. Without the host's name."""

    refusals: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()


def compare(table: Table, platform: str, found: Mapping[str, str], local: Container[str] = ()) -> Comparison:
    """How a platform and the versions of what it builds with compare with the table. Unknown versions are absent.

    `local` are those that are not OS packages, but in /usr/local.
    """
    refused: dict[str, str] = {}
    untried = [_of_platform(table, platform)]
    for what, version in found.items():
        for row in table.not_working:
            if row.what == what and versions.within(version, row.versions):
                refused.setdefault(what, f"{_named(what, version, local)} {row.words}")
        if what not in refused:
            untried.append(_of_version(table, what, version, local))
    return Comparison(tuple(refused.values()), tuple(filter(None, untried)))


def versions_of(state: HostState) -> dict[str, str]:
    """{what: its version} that is installed on a host, as far as it is known; with `cc` if that is not its gcc."""
    known = {**of_packages(state.packages), **state.programs}
    known |= {"gcc": state.gcc or known.get("gcc", ""), "python": state.platform.python}
    known["glibc"] = state.platform.libc.removeprefix("glibc-")
    found = {what: text for what in NAMES if (text := versions.upstream(known.get(what, "")))}
    differ = state.cc and "gcc" in found and state.gcc not in ("", state.cc)
    return {**found, CC: state.cc} if differ else found


def of_packages(packages: Mapping[str, str]) -> dict[str, str]:
    """{what: its version} in the versions of OS packages."""
    first = {what: next((packages[name] for name in names if name in packages), "") for what, names in PACKAGES.items()}
    return {what: text for what, package in first.items() if (text := versions.upstream(package))}


def unsupported(table: Table, installed: Iterable[str]) -> list[dict[str, Any]]:
    """The rules by which a host refuses OS packages before it installs them. `installed`: what it already has."""
    return [
        {
            "name": NAMES[row.what],
            "packages": list(PACKAGES[row.what]),
            "versions": row.versions,
            "words": row.words,
        }
        for row in table.not_working
        if row.what in PACKAGES and row.what not in installed
    ]


def _of_platform(table: Table, platform: str) -> str:
    there = [row for row in table.tried if row.platform == platform and not row.component]
    if any(row.built and row.trained for row in there):
        return ""
    if any(row.built for row in there):
        return f"the stack was built on {platform}, but nothing was trained there"
    if there:
        why = f" ({there[-1].why})" if there[-1].why else ""
        return f"the stack could not be built on {platform}{why}"
    tried = sorted({row.platform for row in table.tried if row.built and not row.component})
    return f"{platform} was never tried (tried: {', '.join(tried)})"


def _named(what: str, version: str, local: Container[str]) -> str:
    return f"{NAMES[what]} {version}" + (f" in {LOCAL}" if what in local else "")


def _of_version(table: Table, what: str, version: str, local: Container[str]) -> str:
    tried = sorted({text for row in table.tried if row.built and (text := getattr(row, what))}, key=versions.number)
    if not tried or _series(what, tried[0]) <= _series(what, version) <= _series(what, tried[-1]):
        return ""
    span = tried[0] if len(tried) == 1 else f"{tried[0]} to {tried[-1]}"
    return f"{_named(what, version, local)} was never tried (tried: {span})"


def _series(what: str, version: str) -> tuple[int, ...]:
    return versions.number(version)[: _SERIES.get(what, 2)]
