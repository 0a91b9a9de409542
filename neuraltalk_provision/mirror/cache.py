"""The cache of packed generations in a mirror: MIRROR/cache/<generation>/, a tar and entry.json, which is written last.

An entry that is damaged, incomplete or not signed as demanded is never used; why, is said in words.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision import whole_file
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import (
    bounded,
    cache_entry,
    cache_needs,
    signature_files,
    signing,
    trust,
)
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.cache_files import DIRECTORY, ENTRY, SIGNATURES
from neuraltalk_provision.mirror.incoming import digest as digest_of
from neuraltalk_provision.rules import holder
from neuraltalk_provision.rules.pack import ID

LARGEST_ENTRY = 1 << 20
SMALLEST = 200_000_000
"""Bytes: with less free space, no packed generation of the real sources would fit into the cache."""
LEFT_AFTER = 86_400
"""Seconds after which a file that is fetched on another machine counts as left by a command that was killed."""
MOST = 1000
"""The most entries that are listed."""


@dataclass(frozen=True)
class Found:
    """The entry of a generation, or why there is none that can be used; both are empty if nothing was ever packed."""

    id: str
    entry: CacheEntry | None = None
    problem: str = ""


def folder(mirror: Path, generation: str) -> Path:
    """The directory of a generation's entry. Raises UsageError if that is no id."""
    if not ID.match(generation):
        raise UsageError(
            f"{generation[:100]!r} is not the id of a generation: it has 16 digits 0-9 a-f",
            advice="`provision cache list` shows the ids.",
        )
    return mirror / DIRECTORY / generation


def find(demand: trust.Demand, generation: str, *, hashed: bool = True) -> Found:
    """The entry of a generation. With `hashed`, its tar is hashed too. Never raises for what is in the mirror."""
    place = folder(demand.mirror, generation)
    if not os.path.lexists(place):
        return Found(generation)
    try:
        content = bounded.read(place / ENTRY, LARGEST_ENTRY).content
    except FileNotFoundError:
        return Found(generation, problem="it is incomplete: it has no entry.json, because a command was interrupted")
    except OSError as error:
        return Found(generation, problem=f"{place / ENTRY} cannot be read: {error.strerror or error}")
    try:
        check_signed(demand, content, generation, signature_files.read(place / SIGNATURES))
        entry = cache_entry.parse(content, generation)
        problem = _problem_of_tar(place / entry.file, entry, hashed)
    except MirrorError as error:
        return Found(generation, problem=error.message)
    except ValueError as error:
        return Found(generation, problem=f"{place / ENTRY}: {error}")
    return Found(generation, None if problem else entry, problem)


def entry_bytes(mirror: Path, generation: str) -> bytes:
    """The bytes of an entry. Raises MirrorError if there is none that can be read as one."""
    place = folder(mirror, generation)
    with naming(place / ENTRY, "read", MirrorError):
        content = bounded.read(place / ENTRY, LARGEST_ENTRY).content
    try:
        cache_entry.parse(content, generation)
    except ValueError as error:
        raise MirrorError(f"{place / ENTRY}: {error}", advice="`provision cache remove` removes it.") from None
    return content


def sign(mirror: Path, generation: str, key: signing.Key) -> Path:
    """Sign the entry of a generation; the file of the signature.

    Raises MirrorError, and signs nothing, if its tar is not what the entry says, or if the entry changed meanwhile.
    """
    content = entry_bytes(mirror, generation)
    place, entry = folder(mirror, generation), cache_entry.parse(content, generation)
    problem = _problem_of_tar(place / entry.file, entry, hashed=True)
    if not problem:
        try:
            cache_needs.refuse_others(entry, cache_needs.inspect(place / entry.file))
        except ValueError as error:
            problem = f"{place / ENTRY}: {error}"
    if problem:
        raise MirrorError(problem, advice="Nothing was signed. `provision cache remove` removes the generation.")
    signature = signing.signature_of(content, key)
    if entry_bytes(mirror, generation) != content:
        raise MirrorError(f"{place / ENTRY} was changed while it was signed", advice="Nothing was signed.")
    return signing.write_to(place / SIGNATURES, signature)


def check_signed(
    demand: trust.Demand, content: bytes, generation: str, signatures: signature_files.SignatureFiles
) -> None:
    """ValueError if the entry of a generation is not signed by those who have to sign the lock."""
    if demand.mirror_trust == "unsigned":
        return
    found = trust.judge(demand, content, signatures)
    if found.refusal:
        states = ", ".join(f"{signature.file}: {signature.state}" for signature in found.signatures)
        raise ValueError(
            f"it is not signed as provision.yml demands (mirror_trust: {demand.mirror_trust}; "
            f"{states or found.problem or 'it has no signature'}): `provision cache sign {generation}` signs it"
        )


def _problem_of_tar(file: Path, entry: CacheEntry, hashed: bool) -> str:
    """Why the tar is not the one of the entry; empty if it is."""
    try:
        status = file.lstat()
        if not file.is_file() or file.is_symlink():
            return f"{file} is not a regular file"
        if status.st_size != entry.size:
            return f"{file} has {status.st_size} bytes, but {ENTRY} says {entry.size}: it is incomplete or was changed"
        if hashed and (digest := digest_of(file)[0]) != entry.sha256:
            return f"{file} has SHA-256 {digest}, but {ENTRY} says {entry.sha256}: it was changed"
    except FileNotFoundError:
        return f"{file} is missing"
    except OSError as error:
        return f"{file} cannot be read: {error.strerror or error}"
    return ""


def unwritable(mirror: Path) -> str:
    """Why nothing can be put into the cache, in words; empty if it seems possible. What is asked for takes no time."""
    place = next((one for one in (mirror / DIRECTORY, mirror) if os.path.lexists(one)), mirror)
    try:
        if not place.is_dir():
            return f"{place} is not a directory"
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return f"{place} is mounted read-only"
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} cannot be written by this user (uid {os.geteuid()})"
        free = shutil.disk_usage(place).free
    except OSError as error:
        return f"{place} cannot be used: {error.strerror or error}"
    return f"the disk of {place} has only {free // 10**6} MB free" if free < SMALLEST else ""


def incoming(mirror: Path, generation: str) -> Path:
    """The temporary file for a tar that is fetched; its directory is created.

    What killed commands left is removed, of every generation: it may be that nobody fetches that one again. Several
    commands can fetch one generation at once, also on several machines: the last one wins.
    """
    place = folder(mirror, generation)
    with naming(place, "written", MirrorError):
        for file in (mirror / DIRECTORY).glob("*/.incoming-*"):
            with contextlib.suppress(OSError):  # another command has just removed it, or only another user may
                if is_left(file):
                    drop_incoming(file)
        whole_file.make_directory(place)
    return place / f".incoming-{writer()}-{secrets.token_hex(4)}.tar"


def writer() -> str:
    """This process, for the name of what it writes for a time: `SPACE-PID`, with `-` before and after it."""
    return f"{_space()}-{os.getpid()}"


def is_left(file: Path) -> bool:
    """Whether nobody writes a temporary file or directory any more that has its `writer` in its name.

    The pid says so in its own pid namespace; for other containers and machines, the time of the last write.
    """
    match = re.search(rf"-{_space()}-(\d{{1,9}})-", file.name)
    if match is None:
        return time.time() - file.lstat().st_mtime > LEFT_AFTER
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _space() -> str:
    """What the processes have in common that see each other's pids: one boot and one pid namespace; 8 digits."""
    words = []
    for read in (Path(holder.BOOT).read_text, Path(holder.SPACE).readlink):
        with contextlib.suppress(OSError):
            words.append(str(read()))
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]


def drop_incoming(file: Path) -> None:
    """Remove a temporary file of `incoming`, and its directory if there is nothing else in it."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()


def publish(
    mirror: Path, entry: CacheEntry, file: Path, content: bytes = b"", signatures: Mapping[str, bytes] = {}
) -> None:
    """Make a fetched tar the one of its generation. entry.json is removed first and written last.

    `content` are the bytes of the entry if they are signed, and `signatures` is {file name: signature}.
    """
    place = folder(mirror, entry.id)
    with naming(place, "written", MirrorError):
        whole_file.make_directory(place)
        (place / ENTRY).unlink(missing_ok=True)
        shutil.rmtree(place / SIGNATURES, ignore_errors=True)
        with contextlib.suppress(PermissionError):  # another operator took it from a bundle; it has this mode
            file.chmod(0o644)
        file.replace(place / entry.file)
        for name, signature in signatures.items():
            whole_file.make_directory(place / SIGNATURES)
            whole_file.write(place / SIGNATURES / name, signature)
        whole_file.write(place / ENTRY, content or entry.as_bytes())


def every(demand: trust.Demand, *, hashed: bool) -> tuple[Found, ...]:
    """All entries, sorted by id; those that cannot be used with the reason."""
    place = demand.mirror / DIRECTORY
    with naming(place, "read", MirrorError):
        names = sorted(file.name for file in place.iterdir()) if place.is_dir() else []
    ids = [name for name in names if ID.match(name)]
    return tuple(find(demand, name, hashed=hashed) for name in ids[:MOST])


def size(mirror: Path, generation: str) -> int:
    """The bytes of an entry. Raises UsageError if there is none."""
    place = folder(mirror, generation)
    if place.is_symlink() or not place.is_dir():
        raise UsageError(
            f"the cache has no generation {generation}", advice="`provision cache list` shows those that it has."
        )
    with naming(place, "read", MirrorError):
        return sum(file.lstat().st_size for file in place.rglob("*") if not file.is_dir())


def remove(mirror: Path, generation: str) -> int:
    """Remove an entry, entry.json first. Returns the bytes that it had. Raises UsageError if there is none."""
    found = size(mirror, generation)
    place = folder(mirror, generation)
    with naming(place, "removed", MirrorError):
        (place / ENTRY).unlink(missing_ok=True)
        shutil.rmtree(place)
    return found
