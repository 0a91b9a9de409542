"""Whether pip finds all that a host needs among the wheels of a mirror, tried on this machine. Installs nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import TEMPORARY, naming
from neuraltalk_provision.mirror import archive, bounded
from neuraltalk_provision.proof.container import run
from neuraltalk_provision.rules import archive_tree, archives
from neuraltalk_provision.site import keeper


@dataclass(frozen=True)
class Tried:
    """The result: why it fails (empty if it does not), or why it could not be tried here."""

    problem: str = ""
    not_tried: str = ""


def resolve(file: Path, requirements: Sequence[str], python: str) -> Tried:
    """Have pip resolve the requirements from the wheels in `file`, for a host with this version of Python.

    pip decides by the Python that runs it, so this is only tried if this machine has the host's version.
    """
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python.split(".")[:2] != here.split("."):
        return Tried(not_tried=f"the host has Python {python}, and this machine has Python {here}")
    pip = [sys.executable, "-P", "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input"]
    if run([*pip, "--version"]).code:
        return Tried(not_tried="the Python of this machine has no pip")
    with naming(TEMPORARY, "written"), keeper.kept(keeper.PRIVATE) as folder:
        _unpack(file, folder)
        options = ["--dry-run", "--ignore-installed", "--no-cache-dir", "--no-index", "--only-binary", ":all:"]
        target = ["--target", f"{folder}/target", "--find-links", str(folder)]
        done = run([*pip, "install", "--quiet", *options, *target, *requirements])
    if not done.code:
        return Tried()
    told = [line for line in done.errors.splitlines() if line.startswith("ERROR:")] or [done.errors]
    return Tried(problem=f"pip cannot install {', '.join(requirements)} from {file.name}: {' '.join(told)[:2_000]}")


def _unpack(file: Path, folder: Path) -> None:
    with bounded.opened(file) as opened:
        for member in archives.entries(opened, 0, archive.limits_of(flat=True)):
            if member.kind == archive_tree.FILE and "/" not in member.name:
                place = folder / member.name
                with naming(place, "written"), place.open("wb") as target:
                    while block := member.content.read(1 << 20):
                        target.write(block)
