"""An entry of the cache of packed generations: what was packed, where it was built, and what it needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from neuraltalk_provision.catalogue.model import Sha256
from neuraltalk_provision.field_words import Strict, first_problem
from neuraltalk_provision.rules.pack import LARGEST
from neuraltalk_provision.rules.runtime import MOST_LIBRARIES, MOST_VERSIONS

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+:,;()-]{0,199}$")]
Soname = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,200}$")]
SymbolVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,100}$")]
Number = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,8}(\.[0-9]{1,8}){0,3})?$")]
Package = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]{0,200}$")]


class Needs(Strict):
    """What a packed generation needs from a host at run time (rules/runtime.py)."""

    machine: str = Field(max_length=40)
    glibc: Number
    level: int = Field(ge=1, le=4)
    python: Number = ""
    libraries: dict[Soname, Annotated[tuple[SymbolVersion, ...], Field(max_length=MOST_VERSIONS)]] = Field(
        max_length=MOST_LIBRARIES
    )

    def as_rules(self) -> dict[str, Any]:
        """The needs as rules/runtime.py reads them."""
        return {
            "machine": self.machine,
            "glibc": self.glibc,
            "level": self.level,
            "python": self.python,
            "libraries": {soname: list(versions) for soname, versions in self.libraries.items()},
        }


class CacheEntry(Strict):
    """One packed generation.

    `sha256` and `size` (bytes) are those of the tar, `lock` is the SHA-256 of the lock from which it was built, and
    `left_out` are the SHA-256 of the artifacts that it needs beside the tar. `packages` are the OS packages of the
    builder that its libraries belong to, by their names. `gpu` says for which cards it was built, in words.
    """

    schema_version: Literal[1] = 1
    id: Id
    sha256: Sha256
    size: int = Field(gt=0, le=LARGEST)
    platform: Name
    gpu: str = Field(default="", max_length=200)
    stack_root: str = Field(pattern=r"^/[A-Za-z0-9_./+-]{1,400}$")
    lock: Sha256
    builder: str = Field(max_length=300)
    provision: Name
    built: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    components: dict[Name, Id] = Field(min_length=1, max_length=200)
    left_out: Annotated[tuple[Sha256, ...], Field(max_length=100)] = ()
    needs: Needs
    packages: dict[Soname, Package] = Field(default_factory=dict, max_length=MOST_LIBRARIES)

    @property
    def file(self) -> str:
        """The name of the tar."""
        return file_of(self.id)

    @property
    def origin(self) -> str:
        """Where and when it was built, in words, for stamps and messages."""
        return f"built on {self.builder} on {self.built[:10]} by provision {self.provision}"

    def as_bytes(self) -> bytes:
        """The entry as it is in its file, and as it is signed."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def file_of(generation: str) -> str:
    """The name of the tar of a generation."""
    return f"generation-{generation}.tar"


def parse(content: bytes, generation: str) -> CacheEntry:
    """The entry of a generation. Raises ValueError, in words, if it is damaged or is the entry of another one."""
    try:
        entry = CacheEntry.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(f"it does not parse: {first_problem(error)}") from None
    if entry.id != generation:
        raise ValueError(f"it is the entry of generation {entry.id}")
    return entry


def mismatch(entry: CacheEntry, components: Mapping[str, str], platform: str, stack_root: str) -> str:
    """Why an entry is not the generation of a recipe with the same id; empty if it is."""
    if dict(entry.components) != dict(components):
        return "its components are not those of the recipe"
    if (entry.platform, entry.stack_root) != (platform, stack_root):
        return f"it was built for {entry.platform} below {entry.stack_root}"
    return ""
