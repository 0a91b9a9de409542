"""The file of `--repositories`: from which repositories the OS packages of a platform are collected.

A YAML mapping from platform keys to lists of repositories. The fields have the names that apt and dnf use:

    debian-11-x86_64:
      - uris: [http://mirror.example.org/debian]
        suites: [bullseye, bullseye-updates]
        components: [main]
        signed_by: debian-archive-keyring.gpg
    rocky-9-x86_64:
      - baseurl: [https://mirror.example.org/rocky/9/BaseOS/x86_64/os/]
        gpgkey: [RPM-GPG-KEY-Rocky-9]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from neuraltalk_provision import field_words, yaml_file
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.field_words import Problem, Strict
from neuraltalk_provision.mirror import addresses
from neuraltalk_provision.rules import machines

MOST = 200
"""The most repositories of a platform."""
FORM = {
    "apt": "{key}:\n  - uris: [http://mirror.example.org/{id}]\n    suites: [{codename}, {codename}-updates{more}]\n"
    "    components: [{components}]\n    signed_by: /usr/share/keyrings/{id}-archive-keyring.gpg",
    "rpm": "{key}:\n  - baseurl: [https://mirror.example.org/{id}/{major}/x86_64/os/]\n    gpgkey: [RPM-GPG-KEY-{id}]",
}
"""{package manager: how the repositories of a platform are written}."""


def _several(value: object) -> object:
    """A single text as the list of its words, as apt and dnf write lists."""
    return value.split() if isinstance(value, str) else value


def _address(value: str) -> str:
    if re.search(r"[\s\x00-\x1f\x7f\"'<>\\^`{|}$]", value) or addresses.scheme(value) not in addresses.FILES:
        raise ValueError(f"{value[:100]!r} is not an address that begins with https://, http:// or file:///")
    if "://" not in value:
        raise ValueError(f"{value[:100]!r} is not an address: a directory is written as file:///its/path")
    if "@" in value.split("/")[2]:
        raise ValueError(
            "an address must not contain a user name or password, because it is written into the lock: logins belong "
            "into ~/.netrc, or for apt into /etc/apt/auth.conf"
        )
    return value


Address = Annotated[str, Field(max_length=1_000), AfterValidator(_address)]
Word = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9./][A-Za-z0-9._+/~-]*$")]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_several), Field(min_length=1, max_length=50)]


class AptRepository(Strict):
    """A repository of apt; `signed_by` is a file with the public keys of those who may sign it.

    Without `check_valid_until`, an index is also accepted after the day until which its signers declared it valid.
    """

    uris: Addresses
    suites: Annotated[tuple[Word, ...], BeforeValidator(_several), Field(min_length=1, max_length=50)]
    components: Annotated[tuple[Word, ...], BeforeValidator(_several), Field(max_length=50)] = ()
    signed_by: Path
    check_valid_until: bool = Field(default=True, strict=True)


class RpmRepository(Strict):
    """A repository of RPM packages; each of `gpgkey` is a file with a public key of those who may sign it.

    `baseurl` are addresses of the same repository; the first that answers is used. Without `gpgcheck`, packages may be
    unsigned; with `repo_gpgcheck`, the index has to be signed, too.
    """

    baseurl: Addresses
    gpgkey: Annotated[tuple[Path, ...], BeforeValidator(_several), Field(max_length=50)] = ()
    gpgcheck: bool = Field(default=True, strict=True)
    repo_gpgcheck: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _has_keys(self) -> RpmRepository:
        if (self.gpgcheck or self.repo_gpgcheck) and not self.gpgkey:
            raise ValueError(
                "gpgkey must name the files of its keys, unless its packages are unsigned: gpgcheck: false"
            )
        return self


Repository = AptRepository | RpmRepository


@dataclass(frozen=True)
class Repositories:
    """The repositories of a file by platform key; `name` is the file."""

    name: str = ""
    by_platform: Mapping[str, tuple[Repository, ...]] = field(default_factory=dict)

    def apt(self, wanted: Target) -> tuple[AptRepository, ...]:
        """Those of a platform; none if the file does not name it."""
        return tuple(one for one in self.by_platform.get(wanted.key, ()) if isinstance(one, AptRepository))

    def rpm(self, wanted: Target) -> tuple[RpmRepository, ...]:
        """Those of a platform; none if the file does not name it."""
        return tuple(one for one in self.by_platform.get(wanted.key, ()) if isinstance(one, RpmRepository))

    def manager(self, wanted: Target) -> str:
        """`apt` or `rpm`, by those of a platform; empty if the file does not name it."""
        return "apt" if self.apt(wanted) else "rpm" if self.rpm(wanted) else ""


def read(file: Path) -> Repositories:
    """The repositories of a file; relative paths in it are relative to its directory. Raises UsageError."""
    found = parse(yaml_file.read(file), str(file), file.absolute().parent)
    for key, repositories in found.by_platform.items():
        for one in repositories:
            for path in (one.signed_by,) if isinstance(one, AptRepository) else one.gpgkey:
                if not path.is_file():
                    raise UsageError(
                        f"{file}: {key}: there is no file {path}",
                        advice="It must contain the public keys with which the repository is signed. The distribution "
                        "publishes them, and often has a package of them, such as debian-archive-keyring or "
                        "ubuntu-keyring.",
                    )
    return found


def parse(document: Any, name: str, folder: Path) -> Repositories:
    """The repositories in a YAML document; `name` is its source in errors. Raises UsageError."""
    if not isinstance(document, dict) or not document:
        raise UsageError(f"{name}: it must be a mapping from platforms to repositories", advice=_advice("apt"))
    found = {}
    for key, rows in document.items():
        wanted = target.parse(str(key))
        if not isinstance(rows, list) or not 0 < len(rows) <= MOST:
            raise UsageError(
                f"{name}: {key}: it must be a list of repositories", advice=_advice(wanted.manager, wanted)
            )
        found[wanted.key] = tuple(
            _repository(row, f"{name}: {key}: repository {place}", wanted, folder) for place, row in enumerate(rows, 1)
        )
    return Repositories(name, found)


def form(wanted: Target) -> str:
    """How the repositories of this platform are written, as an example."""
    ubuntu = {"more": f", {wanted.codename or 'SUITE'}-security", "components": "main, universe"}
    words = ubuntu if wanted.id == "ubuntu" else {"more": "", "components": "main"}
    words |= {"key": wanted.key, "id": wanted.id, "major": str(wanted.major), "codename": wanted.codename or "SUITE"}
    return FORM[wanted.manager or "apt"].format(**words)


def _repository(row: Any, place: str, wanted: Target, folder: Path) -> Repository:
    if not isinstance(row, dict):
        raise UsageError(f"{place}: it must be a mapping", advice=_advice(wanted.manager, wanted))
    manager = wanted.manager or ("rpm" if "baseurl" in row else "apt")
    try:
        if manager == "rpm":
            rpm = RpmRepository.model_validate(row)
            return rpm.model_copy(update={"gpgkey": tuple(folder / path for path in rpm.gpgkey)})
        apt = AptRepository.model_validate(row)
    except ValidationError as error:
        lines = [f"{place}: {_problem(problem)}" for problem in field_words.problems(error)[:5]]
        raise UsageError("\n".join(lines), advice=_advice(manager, wanted)) from None
    flat = [suite for suite in apt.suites if suite.endswith("/")]
    if bool(apt.components) == bool(flat) or len(flat) not in (0, len(apt.suites)):
        raise UsageError(
            f"{place}: suites need components, and a suite that ends with / (a flat repository) has none",
            advice=_advice(manager, wanted),
        )
    return apt.model_copy(update={"signed_by": folder / apt.signed_by})


def _problem(problem: Problem) -> str:
    words = "there is no such field" if problem.unknown else problem.words
    return f"{problem.name}: {words}" if problem.name else words


def _advice(manager: str, wanted: Target | None = None) -> str:
    wanted = wanted or Target("debian", 12, machines.BUILT_FOR)
    return f"Write it like this:\n{form(wanted)}" if manager in ("", "apt", "rpm") else ""
