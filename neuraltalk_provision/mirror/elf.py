"""What one ELF file needs at run time; the only module that imports pyelftools.

The files come from hosts, and anybody can have made them: the bytes that are read and the entries that are looked at
have limits, and whatever pyelftools raises becomes a ValueError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from neuraltalk_provision.rules import machines
from neuraltalk_provision.rules.runtime import SONAME, VERSION

MAGIC = b"\x7fELF"
MOST_READ = 64 << 20
"""The most bytes that are read of one file to find what it needs."""
MOST_AT_ONCE = 4 << 20
MOST_ENTRIES = 20_000
"""The most entries of a table that are looked at."""
_WEAK = 2
"""The flag of a version that the program can do without (VER_FLG_WEAK)."""
_LEVELS = "GNU_PROPERTY_X86_ISA_1_NEEDED"


@dataclass(frozen=True)
class Elf:
    """What one program or library says of itself; `needed` is {soname: versions of symbols}."""

    machine: str
    soname: str = ""
    needed: dict[str, frozenset[str]] = field(default_factory=dict)
    level: int = 1


def read(file: IO[bytes]) -> Elf | None:
    """What a program or library needs; None for an object file, or a program of a card. Raises ValueError."""
    from elftools.elf.elffile import ELFFile  # takes a twentieth of a second, which `--help` should not need

    limited: Any = _Limited(file)
    try:
        machine = machines.of_elf(limited.read(machines.HEAD))
        limited.seek(0)
        return _read(ELFFile(limited), machine)
    except Exception as error:  # pyelftools raises many kinds for damaged files: AttributeError, KeyError, its own
        raise ValueError(f"it is not a complete ELF file: {str(error)[:200] or type(error).__name__}") from None


def _read(elf: Any, machine: str) -> Elf | None:
    if elf["e_type"] not in ("ET_DYN", "ET_EXEC") or machine not in machines.MACHINES:
        return None
    soname, needed, has_versions = "", {}, False
    for segment in islice(elf.iter_segments("PT_DYNAMIC"), 1):
        for tag in islice(segment.iter_tags(), MOST_ENTRIES):
            if tag.entry.d_tag == "DT_NEEDED":
                needed[_soname(tag.needed)] = frozenset[str]()
            elif tag.entry.d_tag == "DT_SONAME":
                soname = _soname(tag.soname)
            elif tag.entry.d_tag == "DT_VERNEED":
                has_versions = True
    versions: dict[str, set[str]] = {name: set() for name in needed}
    section = elf.get_section_by_name(".gnu.version_r")
    if has_versions and not hasattr(section, "iter_versions"):
        raise ValueError("its versions of symbols cannot be read, because its table of sections lacks them")
    for name, version in _versions(section) if has_versions else ():
        versions.setdefault(name, set()).add(version)
    return Elf(machine, soname, {name: frozenset(found) for name, found in versions.items()}, _level(elf))


def _soname(name: object) -> str:
    text = str(name).rpartition("/")[2]
    if not SONAME.match(text):
        raise ValueError(f"{text[:100]!r} is not the name of a library")
    return text


def _versions(section: Any) -> Iterator[tuple[str, str]]:
    """(soname, version) of each version that is needed."""
    seen = 0
    for library, entries in section.iter_versions():
        name = _soname(library.name)
        for entry in entries:
            seen += 1
            if seen > MOST_ENTRIES:
                raise ValueError("it needs too many versions of symbols")
            if not VERSION.match(str(entry.name)):
                raise ValueError(f"{str(entry.name)[:100]!r} is not a version of symbols")
            if not entry["vna_flags"] & _WEAK:
                yield name, str(entry.name)


def _level(elf: Any) -> int:
    """The level of x86-64 that the linker noted as needed; 1 if nothing is noted."""
    section = elf.get_section_by_name(".note.gnu.property")
    if section is None or not hasattr(section, "iter_notes"):
        return 1
    for note in islice(section.iter_notes(), 100):
        for entry in note["n_desc"] if isinstance(note["n_desc"], list) else ():
            if entry["pr_type"] == _LEVELS and isinstance(entry["pr_data"], int):
                return min(max((entry["pr_data"] & 0xF).bit_length(), 1), 4)
    return 1


class _Limited(io.RawIOBase):
    """A file of which only so much can be read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._left = file, MOST_READ

    def read(self, size: int = -1) -> bytes:
        """At most MOST_AT_ONCE bytes. Raises ValueError beyond the limits."""
        if not 0 <= size <= MOST_AT_ONCE:
            raise ValueError("a table is too large")
        self._left -= max(size, 64)
        if self._left < 0:
            raise ValueError("its tables are too large")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Always."""
        return True
