"""Importing artifacts into the mirror, and checking its files again."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError, naming
from neuraltalk_provision.mirror import cache_files, guard, incoming, lock, looking, remains
from neuraltalk_provision.mirror.identify import artifact_of, identify

__all__ = ["Added", "Check", "Finding", "add", "add_all", "check", "identify", "inspect", "unlisted", "verify"]

Advance = Callable[[int], None]
Problem = Literal["missing", "truncated", "altered", "unreadable", "surplus", "unsafe"]


@dataclass(frozen=True)
class Finding:
    """Something wrong with one file of the mirror."""

    file: str
    problem: Problem
    detail: str


@dataclass(frozen=True)
class Check:
    """The result of a verification: how many files and bytes were hashed, and what is wrong."""

    files: int
    bytes: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Added:
    """What `add_all` did: the new entries, {name: what the file was taken for}, and {file: why it was not added}."""

    added: tuple[lock.Entry, ...]
    taken_for: Mapping[str, str]
    refused: Mapping[str, str]


def add(
    mirror: Path,
    file: Path,
    catalogue: Catalogue,
    *,
    given: str = "",
    version: str = "",
    origin: str = "",
    advance: Advance = lambda count: None,
    told: Callable[[str], None] = lambda text: None,
) -> lock.Entry:
    """Import `file` into the mirror and add it to the lock; returns its entry. `told` gets what it was taken for.

    The copy is hashed while it is written, then its contents are checked, and only then it gets its final name. The
    guard of the mirror is held only for the last step.
    """
    incoming.refuse_no_file(file)
    name, artifact = identify(file, catalogue, given)
    looking.refuse_at_first_sight(file, name, artifact, catalogue)
    with lock.changing(mirror) as before:  # nothing is copied into a mirror whose lock is damaged or lost
        _refuse_taken(mirror, name, file, before)
    with guard.writing(mirror), remains.copying(mirror) as (beside, target):
        digest, size = incoming.copy(file, mirror, target, advance)
        try:
            seen = looking.look_into(beside, name, artifact, catalogue)
        except MirrorError as error:
            raise MirrorError(error.message.replace(str(beside), str(file)), advice=error.advice) from None
        entry = lock.Entry(
            name=name,
            file=file.name,
            sha256=digest,
            size=size,
            version=seen.version or version,
            origin=origin or str(file.absolute()),
            role=artifact.role,
        )
        with lock.changing(mirror) as before:
            _refuse_taken(mirror, name, file, before)
            _list(mirror, beside, entry, before)
    told(seen.text)
    return entry


def add_all(mirror: Path, catalogue: Catalogue, advance: Advance = lambda count: None) -> Added:
    """Add every file in the mirror that its lock does not list, where it is; makes the lock again if there is none.

    A file is not added if its artifact has a file already, or if two files are the same artifact.
    """
    with lock.changing(mirror, rebuild=True) as before:
        files = lock.unlisted(mirror, before)
    candidates, refused = _sorted_out(mirror, files, before, catalogue)
    found = dict[str, tuple[lock.Entry, str]]()
    for name, file in candidates.items():
        try:
            found[name] = _entry_in_place(mirror / file, name, catalogue, advance)
        except ProvisionError as error:
            refused[file] = _in_words(error)
    with lock.changing(mirror, rebuild=True) as before:
        listed, taken = before, before.by_name()
        for name, (entry, _text) in found.items():
            if name in taken or not (mirror / entry.file).is_file():
                refused[entry.file] = f"another command changed {name} meanwhile. Run the same command again"
                continue
            listed = listed.with_entry(entry)
        if listed != before or not os.path.lexists(mirror / lock.FILE_NAME):
            with guard.writing(mirror):
                lock.write(mirror, listed)
    added = tuple(entry for entry in listed.artifacts if entry.name not in taken)
    return Added(added, {entry.name: found[entry.name][1] for entry in added}, refused)


def _sorted_out(
    mirror: Path, files: Iterable[str], known: lock.Lock, catalogue: Catalogue
) -> tuple[dict[str, str], dict[str, str]]:
    """({artifact: its only file}, {file: why it is no artifact, or not the only one})."""
    by_name, refused = dict[str, list[str]](), dict[str, str]()
    for entry in known.artifacts:
        by_name[entry.name] = [entry.file]
    for file in files:
        try:
            by_name.setdefault(identify(mirror / file, catalogue)[0], []).append(file)
        except UsageError as error:
            refused[file] = _in_words(error)
    listed = {entry.file for entry in known.artifacts}
    for name, same in by_name.items():
        for file in same if len(same) > 1 else ():
            if file not in listed:
                others = ", ".join(other for other in same if other != file)
                refused[file] = f"{name} is {others} as well; remove the wrong one from the mirror"
    only = {name: same[0] for name, same in by_name.items() if len(same) == 1 and same[0] not in listed}
    return dict(sorted(only.items())), refused


def unlisted(mirror: Path) -> list[str]:
    """The files in the mirror that its lock does not list; every file if there is no lock."""
    with naming(mirror, "read", MirrorError):
        lost = mirror.is_dir() and not os.path.lexists(mirror / lock.FILE_NAME)
        return lock.unlisted(mirror, lock.Lock() if lost else lock.read(mirror))


def _entry_in_place(file: Path, name: str, catalogue: Catalogue, advance: Advance) -> tuple[lock.Entry, str]:
    artifact = identify(file, catalogue)[1]
    incoming.refuse_no_file(file)
    looking.refuse_large(file, artifact, catalogue)
    with naming(file, "read"):
        digest, size = incoming.digest(file, advance)
    seen = looking.look_into(file, name, artifact, catalogue)
    entry = lock.Entry(
        name=name,
        file=file.name,
        sha256=digest,
        size=size,
        version=seen.version,
        origin="the mirror",
        role=artifact.role,
    )
    return entry, seen.text


def _list(mirror: Path, beside: Path, entry: lock.Entry, before: lock.Lock) -> None:
    """Give the copy its final name and list it.

    After a kill between the two, the next command that changes the mirror restores the old file. The caller holds the
    guard. The old file of the artifact is removed if it is the one that the lock describes.
    """
    target = mirror / entry.file
    old = before.by_name().get(entry.name)
    kept = remains.before(mirror, old.file, old.sha256) if old and old.file == entry.file else None
    with lock.staged(mirror, before.with_entry(entry)) as listed:
        if kept and target.is_file():
            incoming.second_name(target, kept)
        beside.chmod(0o644)
        beside.replace(target)
        listed.replace(mirror / lock.FILE_NAME)
    if kept:
        kept.unlink(missing_ok=True)
    elif old and incoming.is_the_same(mirror / old.file, old.size, old.sha256) and not _same(mirror / old.file, target):
        (mirror / old.file).unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)


def _equal(target: Path, file: Path) -> bool:
    """Whether a file of the mirror is this one already: a killed command gave it its name and did not list it yet."""
    return _same(target, file) or (
        target.is_file() and not target.is_symlink() and filecmp.cmp(target, file, shallow=False)
    )


def _refuse_taken(mirror: Path, name: str, file: Path, known: lock.Lock) -> None:
    """UsageError if a file of that name is in the mirror, but not as this artifact's."""
    target = mirror / file.name
    for entry in known.artifacts:
        if entry.file.casefold() == file.name.casefold() and entry.name != name:
            raise UsageError(
                f"{target} already exists as {entry.name}, and cannot be {name} as well",
                advice="Rename the file, then add it.",
            )
    listed = any(entry.file == file.name for entry in known.artifacts)
    if target.is_dir() or (not listed and os.path.lexists(target) and not _equal(target, file)):
        raise UsageError(
            f"{target} already exists, and {lock.FILE_NAME} does not list it",
            advice="If it is the right file, `provision mirror add --all` adds it. Otherwise move it out of the mirror "
            "or rename your file.",
        )


def check(mirror: Path, entries: Iterable[lock.Entry], advance: Advance = lambda count: None) -> tuple[Finding, ...]:
    """What is wrong with these files: missing, truncated or altered. They are hashed on all CPU cores."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = pool.map(lambda entry: _check_one(mirror, entry, advance), entries)
        return tuple(finding for finding in found if finding)


def _check_one(mirror: Path, entry: lock.Entry, advance: Advance) -> Finding | None:
    file = mirror / entry.file
    try:
        found = file.stat()
        size = found.st_size
        if not stat.S_ISREG(found.st_mode):
            return Finding(entry.file, "unreadable", "it is not a regular file")
        if size < entry.size:
            return Finding(entry.file, "truncated", f"it has {size:,} of {entry.size:,} bytes")
        if size > entry.size:
            return Finding(entry.file, "altered", f"it has {size:,} bytes, the lock says {entry.size:,}")
        digest, _size = incoming.digest(file, advance)
    except FileNotFoundError:
        return Finding(entry.file, "missing", f"the lock contains it as {entry.name}")
    except OSError as error:
        return Finding(entry.file, "unreadable", str(error.strerror))
    if digest != entry.sha256:
        return Finding(entry.file, "altered", f"sha256 is {digest}, the lock says {entry.sha256}")
    return None


def inspect(
    mirror: Path,
    entries: Iterable[lock.Entry],
    catalogue: Catalogue,
    advance: Advance = lambda count: None,
) -> tuple[Finding, ...]:
    """What is wrong with these files: their digests, and the contents of archives."""
    entries = tuple(entries)
    findings = check(mirror, entries, advance)
    bad = {finding.file for finding in findings}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        whole = [entry for entry in entries if entry.file not in bad]
        unsafe = pool.map(lambda entry: _inspect_one(mirror, entry, catalogue), whole)
        return findings + tuple(finding for finding in unsafe if finding)


def _inspect_one(mirror: Path, entry: lock.Entry, catalogue: Catalogue) -> Finding | None:
    artifact = artifact_of(entry.name, catalogue)
    if artifact is None:
        return None
    try:
        looking.look_into(mirror / entry.file, entry.name, artifact, catalogue)
    except (MirrorError, UsageError) as error:
        return Finding(entry.file, "unsafe", _in_words(error))
    return None


def _in_words(error: ProvisionError) -> str:
    return f"{error.message}. {error.advice}" if error.advice else error.message


def verify(
    mirror: Path, catalogue: Catalogue, advance: Advance = lambda count: None, known: lock.Lock | None = None
) -> Check:
    """Hash all files in the lock, check every archive, and report files that are not in the lock.

    `known` is the lock if it was read already: then it is not read a second time.
    """
    known = known or lock.read(mirror)
    findings = list(inspect(mirror, known.artifacts, catalogue, advance))
    listed = {entry.file for entry in known.artifacts}
    with naming(mirror, "read", MirrorError):
        there = sorted(path for path in mirror.iterdir() if path != mirror / cache_files.DIRECTORY or not path.is_dir())
    for path in there:
        if path.name not in listed and not path.name.startswith(".") and not lock.is_reserved(path.name):
            findings.append(Finding(path.name, "surplus", "it is not in the lock"))
    return Check(len(known.artifacts), sum(e.size for e in known.artifacts), tuple(findings))
