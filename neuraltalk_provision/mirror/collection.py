"""What a collector finds for an artifact that consists of many files: OS packages or wheels for one platform.

A collector asks the repositories of the platform which files are needed. It moves indexes only; the files themselves
are moved by `mirror/pull.py`, as all files are, and packed into one tar whose bytes depend on this description alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from neuraltalk_provision.catalogue import Artifact
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import MirrorError


class UnavailableError(MirrorError):
    """Nothing can be collected for a platform: the artifact is left out, which is no failure."""


@dataclass(frozen=True)
class Piece:
    """A file of the tar: its name there, where it is, its SHA-256, and its size in bytes (0 if it is not known)."""

    name: str
    address: str
    sha256: str
    size: int = 0


@dataclass(frozen=True)
class Collection:
    """All files of an artifact.

    `made` are files that the collector wrote itself ({name: content}), such as an index. `version` is text for people.
    `left_out` are optional packages that the repositories do not have: {name: reason}. `environment` are variables for
    curl, which moves the pieces: those that the configuration of apt, dnf or pip demands, such as https_proxy or
    CURL_CA_BUNDLE. `remarks` are what people have to know, such as a repository whose packages are not signed.
    """

    pieces: tuple[Piece, ...]
    made: Mapping[str, bytes] = field(default_factory=dict)
    version: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files together, as far as they are known."""
        return sum(piece.size for piece in self.pieces) + sum(len(content) for content in self.made.values())

    def finish(self, files: Mapping[str, Path], work: Path, stop: Event) -> Collection:
        """The collection when its files have arrived: checked, and with what can only be made from them.

        `files` are {name of a piece: the file}, whose SHA-256 is right; `work` is the directory of the collector.
        Raises MirrorError for a file that is not right.
        """
        return self


class Collector(Protocol):
    """Knows which files an artifact consists of."""

    def request(self, artifact: Artifact, target: Target) -> str:
        """What is asked for, as one line that goes into the lock as the origin; nothing is moved.

        It changes if, and only if, another answer must be expected: other names, other repositories. A mirror whose
        entry has the same line is complete, and nothing is asked again. Raises UnavailableError or MirrorError.
        """

    def collect(self, artifact: Artifact, target: Target, work: Path, stop: Event) -> Collection:
        """The files. `work` is a directory for indexes, which stays between calls. Raises MirrorError."""
