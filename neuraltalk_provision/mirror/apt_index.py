"""Records of packages as apt prints them, and the index `Packages` of a flat repository. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.apt_sources import ARCHITECTURE
from neuraltalk_provision.mirror.collection import Piece

_FIELD = re.compile(rb"^(Package|Version|Architecture|SHA256|Essential|Priority):(.*)$", re.M)
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
_VERSION = re.compile(r"([0-9]{1,9}:)?[A-Za-z0-9][A-Za-z0-9.+~:-]{0,127}")
_ADDRESS = re.compile(r"'([^'\s]+)' (\S+) ([0-9]{1,15}) SHA256:([0-9a-f]{64})")
_WITHOUT_SHA256 = re.compile(r"'([^'\s]+)' (\S+) ([0-9]{1,15})( \S*)?")
_ADVICE = "Ask those who maintain the repository, or use another one with --repositories FILE."


@dataclass(frozen=True)
class Record:
    """A package that can be installed, and the text of its record."""

    package: str
    version: str
    architecture: str
    sha256: str
    base: bool
    """Whether every host has it: it is essential, or its priority is required."""
    text: str

    @property
    def file(self) -> str:
        """A plain file name: without the epoch of the version, which contains a colon."""
        version = self.version.split(":", 1)[-1].replace(":", ".")
        return f"{self.package}_{version}_{self.architecture}.deb"


@dataclass(frozen=True)
class Address:
    """Where a file is."""

    uri: str
    size: int
    sha256: str


MOST_BASE = 2_000
"""The most packages that every host has; Debian has 33 of them."""


class Available:
    """All packages that repositories offer, in the version that apt would install.

    `base` are those that every host has. Raises MirrorError if their names cannot be names, or are too many.
    """

    def __init__(self, dump: bytes) -> None:
        """`dump` is the output of `apt-cache dumpavail`."""
        self.names, self.base = set[str](), list[str]()
        self._texts: dict[str, bytes] = {}
        for block in dump.split(b"\n\n"):
            fields = _fields(block)
            name = fields.get("Package", "")
            if not name:
                continue
            self.names.add(name)
            if _is_base(fields):
                self.base.append(name)
            if fields.get("SHA256"):
                self._texts[fields["SHA256"].lower()] = block
        wrong = next((name for name in self.base if not _NAME.fullmatch(name)), "")
        if wrong or len(self.base) > MOST_BASE:
            what = f"a package that every host needs and that is called {wrong[:100]!r}"
            many = f"{len(self.base):,} packages that every host needs, which are too many"
            raise MirrorError(f"the index has {what if wrong else many}", advice=_ADVICE)

    def record(self, address: Address) -> Record:
        """The record of the package whose file is at an address. Raises MirrorError if it cannot be used."""
        block = self._texts.get(address.sha256)
        if block is None:
            raise MirrorError(f"{address.uri}: no package of the index has this file", advice=_ADVICE)
        text = block.decode("utf-8", "replace").strip("\n") + "\n"
        fields = _fields(block)
        package, version, machine = (fields.get(name, "") for name in ("Package", "Version", "Architecture"))
        if not _NAME.fullmatch(package) or not _VERSION.fullmatch(version) or machine not in (ARCHITECTURE, "all"):
            raise MirrorError(
                f"{address.uri}: the index calls it package {package[:100]!r}, version {version[:100]!r}, for "
                f"{machine[:100]!r}, which no package of this platform can have",
                advice=_ADVICE,
            )
        return Record(package, version, machine, address.sha256, _is_base(fields), text)


def _fields(block: bytes) -> dict[str, str]:
    """The fields of a record that are used here."""
    return {name.decode(): value.strip(b" \t").decode("utf-8", "replace") for name, value in _FIELD.findall(block)}


def _is_base(fields: Mapping[str, str]) -> bool:
    return fields.get("Essential") == "yes" or fields.get("Priority") == "required"


def addresses(text: str) -> list[Address]:
    """The addresses that `apt-get --print-uris` printed. Raises MirrorError for one without a SHA-256."""
    found = []
    for line in text.splitlines():
        match = _ADDRESS.fullmatch(line.strip())
        if match:
            found.append(Address(_three_slashes(match[1]), int(match[3]), match[4]))
        elif weak := _WITHOUT_SHA256.fullmatch(line.strip()):
            raise MirrorError(f"{weak[1]}: the repository has no SHA-256 of this package", advice=_ADVICE)
        elif line.startswith("'"):
            raise MirrorError(f"apt printed an address that is not understood: {line[:200]}", advice=_ADVICE)
    return found


def _three_slashes(uri: str) -> str:
    """An address for curl: apt writes file:/path, and copy: for files as well."""
    return re.sub(r"^(file|copy):/*", "file:///", uri)


def piece(record: Record, address: Address) -> Piece:
    """A file of the archive."""
    return Piece(record.file, address.uri, address.sha256, address.size)


def write(records: Iterable[Record]) -> bytes:
    """The index of a flat repository: the records by name, each with its file name there."""
    stanzas = []
    for record in sorted(records, key=lambda record: record.file):
        kept = re.sub(r"^(Filename|MD5sum|SHA1|SHA512):.*\n", "", record.text, flags=re.M)
        stanzas.append(f"{kept}Filename: ./{record.file}\n")
    return "\n".join(stanzas).encode()
