"""A view of a mirror for one platform without one artifact, package or wheel. The mirror itself is not changed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.pythons import project_name
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.mirror import archive, bounded, lock, repositories, tar_writer
from neuraltalk_provision.mirror.identify import artifact_of
from neuraltalk_provision.rules import archive_tree, archives

Kind = Literal["artifact", "package", "wheel"]
_FLAT: Mapping[str, Kind] = {"packages": "package", "python-wheels": "wheel"}


@dataclass(frozen=True)
class Left:
    """What was left out: its name, what it is, and its file in the mirror, or in the tar `inside`."""

    name: str
    kind: Kind
    file: str
    inside: str = ""

    def __str__(self) -> str:
        return f"the {self.kind} {self.name} ({self.file}{f' in {self.inside}' if self.inside else ''})"


def held(mirror: Path, known: lock.Lock, catalogue: Catalogue, platform: str, kind: Kind) -> dict[str, str]:
    """{name: file in the tar} of the packages or wheels that the mirror has for a platform; empty if it has no tar."""
    entry = known.by_name().get(f"{next(name for name, one in _FLAT.items() if one == kind)}-{platform}")
    return _inside(mirror, entry, catalogue) if entry else {}


def _inside(mirror: Path, entry: lock.Entry, catalogue: Catalogue) -> dict[str, str]:
    artifact = artifact_of(entry.name, catalogue)
    assert artifact
    contents = archive.read(mirror / entry.file, artifact, [repositories.PACKAGES])
    if artifact.name == "packages":
        listed = repositories.listed(contents.texts.get(repositories.PACKAGES, ""))
        rpms = {file.rsplit("-", 2)[0]: file for file in contents.files if file.endswith(".rpm")}
        return listed or rpms
    return {project_name(file.partition("-")[0]): file for file in contents.files if file.endswith(".whl")}


def find(mirror: Path, known: lock.Lock, catalogue: Catalogue, platform: str, name: str) -> Left:
    """What `name` means for this platform: an artifact, a package, a wheel, or the file of one. Raises UsageError."""
    found = [
        Left(entry.name, "artifact", entry.file)
        for entry in known.artifacts
        if name in (entry.file, entry.name) or entry.name == f"{name}-{platform}"
    ]
    for stem, kind in _FLAT.items():
        entry = known.by_name().get(f"{stem}-{platform}")
        for own, file in (_inside(mirror, entry, catalogue) if entry else {}).items():
            if name in (own, file) or (kind == "wheel" and project_name(name) == own):
                found.append(Left(own, kind, file, entry.file if entry else ""))
    if len(found) != 1:
        what = f"several things: {'; '.join(map(str, found))}" if found else "nothing in the mirror for this platform"
        raise UsageError(
            f"--without {name} is {what}",
            advice="Give the name of an artifact, or of an OS package or wheel of this platform, or of its file.",
        )
    return found[0]


def make(mirror: Path, known: lock.Lock, left: Left, folder: Path) -> lock.Lock:
    """Make `folder` a mirror that lacks `left`: links to the files, one changed tar, and a lock. Returns the lock."""
    entries = []
    for entry in known.artifacts:
        if left.kind == "artifact" and entry.name == left.name:
            continue
        if entry.file == left.inside:
            entry = _without(mirror / entry.file, entry, left, folder / entry.file)
        else:
            (folder / entry.file).symlink_to(mirror / entry.file)
        entries.append(entry)
    changed = known.model_copy(update={"artifacts": tuple(entries)})
    lock.write(folder, changed)
    return changed


def _without(file: Path, entry: lock.Entry, left: Left, target: Path) -> lock.Entry:
    """Write a flat tar again without one file, and without its entry in the index of apt."""
    with bounded.opened(file) as opened, naming(target, "written"), tar_writer.writing(target) as tar:
        for member in archives.entries(opened, 0, archive.limits_of(flat=True)):
            if member.kind != archive_tree.FILE or member.name == left.file:
                continue
            if member.name != repositories.PACKAGES:
                tar.add(member.name, member.size, member.content)
                continue
            text = repositories.without(member.content.read(member.size).decode("utf-8", "replace"), left.file)
            content = text.encode("utf-8")
            tar.add(member.name, len(content), io.BytesIO(content))
        made = tar.written()
    return entry.model_copy(update={"sha256": made.sha256, "size": made.size})
