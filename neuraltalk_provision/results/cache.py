"""What hosts return about packed generations and about libraries at run time. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import Many, Result, Text, Version, Whole
from neuraltalk_provision.rules.pack import MOST_NAMED
from neuraltalk_provision.rules.runtime import MOST_LIBRARIES, MOST_VERSIONS

Component = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pack(Result):
    """A packed generation on its host; `size` in bytes, `left_out` are the SHA-256 of artifacts that it needs."""

    path: Text
    sha256: Sha256
    size: Whole
    files: Whole
    left_out: Annotated[Many[Sha256], Field(max_length=100)]


class GenerationPackResult(Result):
    """The result of the module generation_pack."""

    pack: Pack


class Library(Result):
    """A library of a host: its path, those of the wanted versions of symbols that it has, and its OS package."""

    path: Text
    versions: Annotated[Many[Text], Field(max_length=MOST_VERSIONS)]
    package: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9+._-]{0,200})?$")]


class Runtime(Result):
    """What a host has for programs at run time; `level` is that of x86-64 (1 to 4)."""

    machine: Text
    glibc: Version
    level: Annotated[int, Field(ge=1, le=4)]
    python: Version
    libraries: Annotated[dict[Text, Library], Field(max_length=MOST_LIBRARIES)]


class InstalledFilesResult(Result):
    """The result of the module installed_files_info: the component of each path that was asked for."""

    components: Annotated[Many[Component], Field(max_length=MOST_NAMED)]


class RuntimeLibrariesResult(Result):
    """The result of the module runtime_libraries_info."""

    runtime: Runtime
    reasons: Annotated[Many[Text], Field(max_length=2 * MOST_LIBRARIES)]
