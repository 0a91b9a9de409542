"""Which artifact a file is, by its name or by what the user says."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path

from neuraltalk_provision.catalogue import Artifact, Catalogue, target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import lock


def identify(file: Path, catalogue: Catalogue, given: str = "") -> tuple[str, Artifact]:
    """The name in the lock for a file, and its artifact.

    They are found by the file name, or by `given`. An artifact per platform is named `<artifact>-<platform>`. Raises
    UsageError if neither name is known, and for a name that a lock cannot contain.
    """
    for text in (file.name, given or file.name):
        if not re.fullmatch(lock.PLAIN_NAME, text) or lock.is_reserved(text):
            raise UsageError(
                f"{text!r} cannot be a name in a mirror: use letters, digits and . _ + -, and not {lock.FILE_NAME}",
                advice="Rename the file, then add it again.",
            )
    for artifact in catalogue.artifacts:
        stem = re.sub(r"\.(tar|tgz|tar\.\w+)$", "", file.name)
        if artifact.per_platform:
            name = given or stem
            if name.startswith(f"{artifact.name}-"):
                refuse_platform(name.removeprefix(f"{artifact.name}-"), artifact)
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


def refuse_platform(key: str, artifact: Artifact | None = None) -> str:
    """The platform key; UsageError if no host can have it. `artifact` is the one in whose name the key stands."""
    if target.split(key) is not None:
        return key
    begin, meant, form = "", target.meant(key), ""
    if artifact:
        begin, meant = f"{artifact.name}-{key}: ", meant and artifact.file_name(meant)
        form = f"Name it {artifact.file_name()}; "
    probably = f"You probably mean {meant}. " if meant else ""
    raise UsageError(f"{begin}no host has the platform {key}", advice=f"{probably}{form}{_PLATFORM}")


_PLATFORM = (
    "PLATFORM is <ID>-<major version>-<machine> of the hosts' /etc/os-release and `uname -m`, for example "
    "debian-12-x86_64. `provision site --plan` prints it for every host."
)


def platforms_in(names: Iterable[str], catalogue: Catalogue) -> set[str]:
    """The platforms for which the lock has artifacts, without those that no host can have."""
    heads = [f"{artifact.name}-" for artifact in catalogue.artifacts if artifact.per_platform]
    keys = {name.removeprefix(head) for name in names for head in heads if name.startswith(head)}
    return {key for key in keys if target.split(key)}


def artifact_of(name: str, catalogue: Catalogue) -> Artifact | None:
    """The artifact of an entry of the lock; None if the catalogue does not have it."""
    return next((artifact for artifact in catalogue.artifacts if _belongs(name, artifact)), None)


def _belongs(name: str, artifact: Artifact) -> bool:
    return name.startswith(f"{artifact.name}-") if artifact.per_platform else name == artifact.name
