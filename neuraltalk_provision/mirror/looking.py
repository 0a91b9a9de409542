"""Looks into a file: whether it is the artifact that it is said to be, and what it was taken for."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.catalogue import Artifact, Catalogue, Check
from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import archive, marks, repositories, versions
from neuraltalk_provision.mirror.identify import refuse_platform


@dataclass(frozen=True)
class Seen:
    """What a file is: its version if it contains one, and a text for people."""

    version: str
    text: str


def refuse_large(file: Path, artifact: Artifact, catalogue: Catalogue) -> None:
    """MirrorError for a file that is larger than any such artifact; nothing is read."""
    largest = catalogue.checks.get(artifact.name, Check()).largest
    with naming(file, "read", MirrorError):
        size = file.stat().st_size
    if size > largest:
        raise MirrorError(
            f"{file} is larger than any {artifact.name}: it has {size:,} bytes, at most {largest:,} are expected",
            advice="Check that it is the right file. A checkout may contain data or builds that do not belong into it.",
        )


def refuse_at_first_sight(file: Path, name: str, artifact: Artifact, catalogue: Catalogue) -> None:
    """MirrorError for a file that is too large, or whose first bytes show something else, before it is copied."""
    refuse_large(file, artifact, catalogue)
    check = catalogue.checks.get(artifact.name, Check())
    with naming(file, "read", MirrorError), file.open("rb") as opened:
        marks.check_head(file, name, check, opened.read(archive.HEAD), plain=not artifact.archive)


def look_into(file: Path, name: str, artifact: Artifact, catalogue: Catalogue) -> Seen:
    """Check the contents of a file that is to be `name` in the lock. Raises MirrorError for any other file.

    UsageError for a name with a platform that no host can have.
    """
    key = refuse_platform(name.removeprefix(f"{artifact.name}-"), artifact) if artifact.per_platform else ""
    check = catalogue.checks.get(artifact.name, Check())
    refuse_large(file, artifact, catalogue)
    what = check.what or artifact.name
    if not artifact.archive:
        marks.check_file(file, name, check)
        return Seen("", what)
    edits = catalogue.edits.get(artifact.name, ())
    texts = [*versions.TEXTS.get(artifact.name, ()), *(tell.file for tell in check.tells if tell.has or tell.lacks)]
    if artifact.name == "packages":
        texts.append(repositories.PACKAGES)
    contents = archive.inspect(file, artifact, edits, texts)
    held = _what_it_holds(file, artifact, key, contents)
    absent = [glob for glob in check.holds if not fnmatch.filter(contents.files, glob)]
    if absent:
        raise MirrorError(
            f"{file} is not {what}: it has no file called {', '.join(absent)}",
            advice="Bring the complete one; docs/mirror-by-hand.md says how each artifact is made.",
        )
    marks.check_archive(file, name, check.tells, contents)
    version = versions.read(file, artifact, contents)
    return Seen(version, ", ".join(part for part in (what, version, held, key and f"for {key}") if part))


def _what_it_holds(file: Path, artifact: Artifact, key: str, contents: archive.Contents) -> str:
    if artifact.name == "packages":
        return repositories.check_packages(file, key, contents)
    if key:
        return repositories.check_wheels(file, key, contents)
    count = len(contents.files)
    return f"{'tar' if artifact.flat else 'source archive'} with {count} file{'s' * (count != 1)}"
