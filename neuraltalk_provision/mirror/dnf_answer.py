"""What mirror/dnf_program.py answers, and which files follow from it. Pure.

The answer repeats what the index of a repository says, so anybody can have written it.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.collection import Piece

MOST = 20_000
"""The most packages of a platform."""
LARGEST = 4 << 30
"""The most bytes of a package."""
_RELEASE = re.compile(r"(rocky|almalinux|centos|centos-stream|redhat|oraclelinux|fedora)-release(-server|-common)?")
"""The packages whose version is that of the system."""
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
_Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~^]{0,99}$")]
_Text = Annotated[str, StringConstraints(max_length=4_000)]
_DISTRUST = "Do not use this repository before those who maintain it have explained this."


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Package(_Part):
    """A package as its repository's index describes it; `size` in bytes.

    `location` is its place in the repository, `base` another address that the index gives for it.
    """

    name: _Name
    epoch: int = Field(ge=0)
    version: _Version
    release: _Version
    machine: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,20}$")]
    repository: int = Field(ge=0)
    location: _Text
    base: _Text
    checksum_type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{0,20}$")]
    checksum: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,128}$")]
    size: int = Field(gt=0, le=LARGEST)

    @property
    def file(self) -> str:
        """The name of its file in the mirror, whatever it is called in the repository."""
        return f"{self.name}-{self.version}-{self.release}.{self.machine}.rpm".replace("^", "_")


class Repository(_Part):
    """A repository that was used; `signed` if its index was signed by one of its keys."""

    id: _Text
    address: _Text
    signed: bool
    gpgcheck: bool
    keys: tuple[_Text, ...]


class Failure(_Part):
    """Why there is no result; `kind` says what failed, `repository` is the id of the repository if it was one."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}$")]
    repository: _Text
    text: _Text


class Answer(_Part):
    """An answer: a failure; or the packages, and what was missing or left out. A good attempt has nothing to tell."""

    failure: Failure | None = None
    missing: tuple[_Text, ...] = ()
    left_out: dict[_Text, _Text] = {}
    repositories: tuple[Repository, ...] = ()
    packages: Annotated[tuple[Package, ...], Field(max_length=MOST)] = ()


def read(data: bytes) -> Answer:
    """The answer in these bytes. Raises MirrorError for what a package or a repository cannot be."""
    try:
        return Answer.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        shown = f": {str(first['input'])[:100]!r}" if isinstance(first["input"], str | int) else ""
        raise MirrorError(
            f"the index of a repository describes a package that cannot exist: {place}: {first['msg']}{shown}",
            advice=_DISTRUST,
        ) from None


def pieces(answer: Answer) -> tuple[Piece, ...]:
    """The files of the packages. Raises MirrorError for one that is outside of its repository, or has no SHA-256."""
    found: dict[str, Piece] = {}
    for package in answer.packages:
        address = _address(package, answer.repositories)
        if package.checksum_type != "sha256" or len(package.checksum) != 64:
            raise MirrorError(
                f"{address}: the repository's index has no SHA-256 of it, but {package.checksum_type or 'nothing'}, "
                "which is not enough to recognise a file",
                advice="Use a repository whose index was made with `createrepo_c --checksum sha256`, which is the "
                "default.",
            )
        if package.file in found:
            raise MirrorError(f"{address}: two packages have the file name {package.file}", advice=_DISTRUST)
        found[package.file] = Piece(package.file, address, package.checksum, package.size)
    return tuple(found[name] for name in sorted(found))


def refuse_other_release(answer: Answer, key: str, major: int) -> None:
    """MirrorError if the packages belong to another release than that of the platform `key`."""
    for package in answer.packages:
        release = package.version.split(".")[0]
        if _RELEASE.fullmatch(package.name) and release != str(major):
            raise MirrorError(
                f"the repositories for {key} are those of release {release}: they have {package.file}",
                advice=f"Give the repositories of release {major}.",
            )


def _address(package: Package, repositories: tuple[Repository, ...]) -> str:
    """Where the package is: always below the address of its repository."""
    if package.repository >= len(repositories):
        raise MirrorError(f"{package.file} is in no repository", advice=_DISTRUST)
    address, place = repositories[package.repository].address, package.location
    parts = unquote(place).split("/")
    plain = place.isascii() and place.isprintable() and not set(place) & set(" \"'<>\\?#`{|}$")
    if package.base or not plain or {"", ".", ".."} & set(parts) or "://" in place:
        where = f"{package.base[:200]!r}, {place[:200]!r}" if package.base else f"{place[:200]!r}"
        raise MirrorError(
            f"{address}: its index gives a place for {package.file} that is not below the repository: {where}",
            advice=_DISTRUST,
        )
    return address.rstrip("/") + "/" + place
