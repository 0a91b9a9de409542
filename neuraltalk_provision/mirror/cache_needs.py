"""What a packed generation needs at run time: read from all its programs and libraries."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import elf
from neuraltalk_provision.mirror.cache_entry import CacheEntry, Needs
from neuraltalk_provision.rules import archives, pack
from neuraltalk_provision.rules.archive_formats import ArchiveError
from neuraltalk_provision.rules.runtime import MOST_LIBRARIES, SONAME, glibc_of, number

LIMITS = archives.Limits(pack.LARGEST, pack.MOST, 2000)
SMALL = 1 << 20
"""The most bytes of a text in which the name of a library is searched."""
LARGEST_ELF = 2 << 30
_HDF5 = "hdf5/runtime.lua"
"""torch-hdf5 loads the library whose name the role hdf5 wrote there; no ELF file says so."""
_PYTHON = "python/"
"""The directory of a generation with Python packages."""
_RUNTIME = re.compile(rb'RUNTIME_SONAME = "([^"\n]{1,200})"')


class Content(Protocol):
    """The content of a member, which is read once."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class Inspected:
    """What a packed generation needs and contains.

    `extends_python` means that it has extension modules, which only one version of Python can load.
    `lacks` are the SHA-256 of files in the list that the tar does not have.
    """

    needs: Needs
    extends_python: bool
    lacks: tuple[str, ...]
    entries: tuple[pack.Listed, ...]


@dataclass
class _Found:
    machines: set[str] = field(default_factory=set)
    needed: dict[str, set[str]] = field(default_factory=dict)
    provided: set[str] = field(default_factory=set)
    level: int = 1
    extends_python: bool = False
    seen: set[str] = field(default_factory=set)


def inspect(file: Path) -> Inspected:
    """What the generation in a tar needs, and what it contains.

    Raises MirrorError if it is not what its list says, or if it has a program or library of which cannot be told what
    it needs: hosts could not be checked before they unpack it.
    Every member is read and compared with the list, as a host does that unpacks it.
    """
    found = _Found()
    with naming(file, "read", MirrorError), file.open("rb") as opened:
        try:
            entries = tuple(_members(opened, found))
        except (ArchiveError, ValueError) as error:
            raise MirrorError(f"{file} is not a packed generation: {error}", advice=_ADVICE) from None
    external = {name: versions for name, versions in found.needed.items() if name not in found.provided}
    if len(external) > MOST_LIBRARIES:
        raise MirrorError(
            f"{file} needs {len(external)} libraries, at most {MOST_LIBRARIES} are possible", advice=_ADVICE
        )
    if len(found.machines) > 1:
        machines = ", ".join(sorted(found.machines))
        raise MirrorError(f"{file} contains programs for several machine types: {machines}", advice=_ADVICE)
    glibcs = [glibc_of(versions) for versions in external.values()]
    try:
        needs = Needs(
            machine=next(iter(found.machines), ""),
            glibc=max(glibcs, key=number, default=""),
            level=found.level,
            libraries={name: tuple(sorted(versions)) for name, versions in sorted(external.items())},
        )
    except ValueError as error:
        raise MirrorError(f"{file}: what its programs need is more than is possible: {error}", advice=_ADVICE) from None
    lacks = {entry.sha256 for entry in entries if entry.type == pack.FILE and entry.path not in found.seen}
    return Inspected(needs, found.extends_python, tuple(sorted(lacks)), entries)


def refuse_others(entry: CacheEntry, found: Inspected) -> None:
    """ValueError if an entry demands less of hosts than the programs in its tar need, or leaves out something else."""
    needs = found.needs
    same = (entry.needs.machine, entry.needs.glibc, entry.needs.libraries) == (
        needs.machine,
        needs.glibc,
        needs.libraries,
    )
    if not same or entry.needs.level < needs.level or bool(entry.needs.python) < found.extends_python:
        raise ValueError("its entry does not say what its programs need")
    if set(entry.left_out) != set(found.lacks):
        raise ValueError("its entry does not say which files of the mirror it needs")


_ADVICE = "Nothing of it is used. The generation is built on each host instead."


def _members(opened: IO[bytes], found: _Found) -> Iterator[pack.Listed]:
    listed: dict[str, pack.Listed] | None = None
    for member in archives.entries(opened, 0, LIMITS):
        if listed is None:
            listed = {entry.path: entry for entry in listing(member)}
            yield from listed.values()
            found.provided |= {PurePosixPath(entry.path).name for entry in listed.values() if ".so" in entry.path}
            continue
        entry = listed.get(member.name)
        if entry is None or entry.type != pack.FILE or member.target or member.size != entry.size:
            raise ValueError(f"{member.name[:200]} is not in its list")
        found.seen.add(member.name)
        _look_at(member, found)
    if listed is None:
        raise ValueError("it has no list")


def listing(member: archives.Member) -> list[pack.Listed]:
    """The list that the first member of a packed generation is. Raises ValueError if it is none."""
    if member.name != pack.LISTING or member.size > pack.LARGEST_LISTING or member.target:
        raise ValueError("it does not begin with a list of its files")
    return pack.read(b"".join(iter(lambda: member.content.read(1 << 20), b"")))


def _look_at(member: archives.Member, found: _Found) -> None:
    """Add what one file needs and provides."""
    head = member.content.read(4)
    if head == elf.MAGIC:
        found.extends_python |= member.name.startswith(_PYTHON) and member.name.endswith(".so")
        if member.size > LARGEST_ELF:
            raise ValueError(f"{member.name[:200]} has {member.size} bytes, more than any library")
        with tempfile.TemporaryFile() as copy:
            copy.write(head)
            _copy(member.content, copy)
            try:
                one = elf.read(copy)
            except ValueError as error:
                raise ValueError(f"it is not known what {member.name[:200]} needs: {error}") from None
        if one is not None:
            _add(one, found)
    elif member.name.endswith(_HDF5) and member.size <= SMALL:
        text = head + b"".join(iter(lambda: member.content.read(1 << 16), b""))
        for name in _RUNTIME.findall(text)[:1]:
            soname = name.decode("ascii", "replace")
            if SONAME.match(soname):
                found.needed.setdefault(soname, set())


def _add(one: elf.Elf, found: _Found) -> None:
    found.machines.add(one.machine)
    found.provided |= {one.soname} - {""}
    found.level = max(found.level, one.level)
    for name, versions in one.needed.items():
        found.needed.setdefault(name, set()).update(versions)


def _copy(content: Content, copy: IO[bytes]) -> None:
    for block in iter(lambda: content.read(1 << 20), b""):
        with naming(f"a file in {tempfile.gettempdir()}", "written", MirrorError):
            copy.write(block)
    with naming(f"a file in {tempfile.gettempdir()}", "written", MirrorError):
        copy.seek(0)
