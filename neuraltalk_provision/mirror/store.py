"""Importing artifacts into the mirror, and checking its files again."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import archive, lock, versions

BLOCK = 1 << 20
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


def identify(file: Path, catalogue: Catalogue, given: str = "") -> tuple[str, Artifact]:
    """The name in the lock for a file, and its artifact.

    They are found by the file name, or by `given`. An artifact per platform is named `<artifact>-<platform>`. Raises
    UsageError if neither name is known, and for a name that a lock cannot contain.
    """
    for text in (file.name, given or file.name):
        if not re.fullmatch(lock.PLAIN_NAME, text) or lock.reserved(text):
            raise UsageError(
                f"{text!r} cannot be a name in a mirror: use letters, digits and . _ + -, and not {lock.FILE_NAME}",
                advice="Rename the file, then add it again.",
            )
    for artifact in catalogue.artifacts:
        stem = re.sub(r"\.(tar|tgz|tar\.\w+)$", "", file.name)
        if artifact.per_platform:
            name = given or stem
            if name.startswith(f"{artifact.name}-") and name.count("-") >= artifact.name.count("-") + 2:
                return name, artifact
        elif given == artifact.name or (
            not given and any(fnmatch.fnmatch(file.name, glob) for glob in artifact.matches)
        ):
            return artifact.name, artifact
    known = ", ".join(a.name + "-PLATFORM" * a.per_platform for a in catalogue.artifacts)
    raise UsageError(
        f"{file.name}: {'there is no artifact ' + given if given else 'the name does not show which artifact it is'}",
        advice=f"Give it with --as NAME, where NAME is one of {known}.",
    )


def add(
    mirror: Path,
    file: Path,
    catalogue: Catalogue,
    *,
    given: str = "",
    version: str = "",
    origin: str = "",
    advance: Advance = lambda count: None,
) -> lock.Entry:
    """Import `file` into the mirror and add it to the lock; returns its entry.

    The copy is hashed while it is written, then its contents are checked, and only then it gets its final name.
    """
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    name, artifact = identify(file, catalogue, given)
    with lock.changing(mirror) as before:
        _refuse_duplicate(mirror, name, file, before)
        beside, digest, size = _copy(file, mirror, advance)
        try:
            found_version = ""
            if artifact.archive:
                archive.inspect(beside, artifact, catalogue.edits.get(artifact.name, ()))
                found_version = versions.read(beside, artifact)
            old = before.by_name().get(name)
            entry = lock.Entry(
                name=name,
                file=file.name,
                sha256=digest,
                size=size,
                version=found_version or version,
                origin=origin or str(file.absolute()),
                role=artifact.role,
            )
            with lock.staged(mirror, before.with_entry(entry)) as listed:
                beside.replace(mirror / file.name)
                listed.replace(mirror / lock.FILE_NAME)
        except MirrorError as error:
            raise MirrorError(error.message.replace(str(beside), str(file)), advice=error.advice) from None
        finally:
            beside.unlink(missing_ok=True)
        if old and old.file != entry.file:
            (mirror / old.file).unlink(missing_ok=True)
    return entry


def _refuse_duplicate(mirror: Path, name: str, file: Path, known: lock.Lock) -> None:
    """UsageError if the file of another artifact has that name."""
    for entry in known.artifacts:
        if entry.file == file.name and entry.name != name:
            raise UsageError(
                f"{mirror / file.name} already exists as {entry.name}, and cannot be {name} as well",
                advice="Rename the file, then add it.",
            )


def _copy(file: Path, mirror: Path, advance: Advance) -> tuple[Path, str, int]:
    size = file.stat().st_size
    free = shutil.disk_usage(mirror).free
    if free < size:
        raise MirrorError(
            f"{mirror} has {free:,} bytes free, but {file.name} needs {size:,}",
            advice="Free some space, then add the file again.",
        )
    digest = hashlib.sha256()
    handle, beside = tempfile.mkstemp(dir=mirror, prefix=".adding-")
    try:
        with file.open("rb") as source, os.fdopen(handle, "wb") as target:
            while block := source.read(BLOCK):
                digest.update(block)
                target.write(block)
                advance(len(block))
            target.flush()
            os.fsync(target.fileno())
        Path(beside).chmod(0o644)
    except BaseException as error:
        Path(beside).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise MirrorError(f"{file.name} could not be copied to {mirror}: {error.strerror}") from None
    return Path(beside), digest.hexdigest(), size


def check(mirror: Path, entries: Iterable[lock.Entry], advance: Advance = lambda count: None) -> tuple[Finding, ...]:
    """What is wrong with these files: missing, truncated or altered. They are hashed on all CPU cores."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = pool.map(lambda entry: _check_one(mirror, entry, advance), entries)
        return tuple(finding for finding in found if finding)


def _check_one(mirror: Path, entry: lock.Entry, advance: Advance) -> Finding | None:
    file = mirror / entry.file
    try:
        size = file.stat().st_size
        if size < entry.size:
            return Finding(entry.file, "truncated", f"it has {size:,} of {entry.size:,} bytes")
        digest = hashlib.sha256()
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                digest.update(block)
                advance(len(block))
    except FileNotFoundError:
        return Finding(entry.file, "missing", f"the lock contains it as {entry.name}")
    except OSError as error:
        return Finding(entry.file, "unreadable", str(error.strerror))
    if size != entry.size or digest.hexdigest() != entry.sha256:
        return Finding(entry.file, "altered", f"sha256 is {digest.hexdigest()}, the lock says {entry.sha256}")
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
    artifact = next((known for known in catalogue.artifacts if _belongs(entry.name, known)), None)
    if artifact is None or not artifact.archive:
        return None
    try:
        archive.inspect(mirror / entry.file, artifact, catalogue.edits.get(artifact.name, ()))
    except MirrorError as error:
        return Finding(entry.file, "unsafe", f"{error.message}. {error.advice}" if error.advice else error.message)
    return None


def verify(
    mirror: Path, catalogue: Catalogue, advance: Advance = lambda count: None, known: lock.Lock | None = None
) -> Check:
    """Hash all files in the lock, check every archive, and report files that are not in the lock.

    `known` is the lock if it was read already: then it is not read a second time.
    """
    known = known or lock.read(mirror)
    findings = list(inspect(mirror, known.artifacts, catalogue, advance))
    listed = {entry.file for entry in known.artifacts} | {lock.FILE_NAME, lock.SIGNATURES}
    with naming(mirror, "read", MirrorError):
        there = sorted(mirror.iterdir())
    for path in there:
        if path.name not in listed and not path.name.startswith("."):
            findings.append(Finding(path.name, "surplus", "it is not in the lock"))
    return Check(len(known.artifacts), sum(e.size for e in known.artifacts), tuple(findings))


def _belongs(name: str, artifact: Artifact) -> bool:
    return name.startswith(f"{artifact.name}-") if artifact.per_platform else name == artifact.name
