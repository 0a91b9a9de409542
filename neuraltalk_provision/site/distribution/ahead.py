"""With `distribution: relay`, hosts get large files of the mirror from each other, before a playbook needs them.

This only saves time: the playbook finds the file and hashes it, and sends it itself to a host that does not have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules import layout
from neuraltalk_provision.rules.artifacts import path_of
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site.distribution import push
from neuraltalk_provision.site.distribution.checking import Request

WORTH = 16_000_000
"""The smallest file in bytes for which a transfer of its own is worth its start."""


@dataclass(frozen=True)
class File:
    """A file of the mirror, its path on hosts, its size in bytes, and its SHA-256."""

    file: Path
    path: str
    size: int
    sha256: str


def files_of(pack: Mapping[str, Any], stack_root: str, mirror: str) -> list[File]:
    """The files that unpack.yml will put on a host, from what it is told (packs.unpacking)."""
    artifacts = f"{stack_root}/{layout.ARTIFACTS}"
    beside = [(file, mirror) for file in pack["beside"]]
    return [
        File(Path(folder) / str(one["file"]), path_of(artifacts, one), int(one["size"]), str(one["sha256"]))
        for one, folder in [*beside, (pack["file"], str(pack["mirror"]))]
    ]


def send(files: Sequence[File], hosts: Sequence[str], settings: Settings, output: Output) -> None:
    """Push the large ones of these files to these hosts. What fails is said, and is left to the playbook."""
    if settings.distribution != "relay" or len(hosts) < 2:
        return
    for one in files:
        if one.size < WORTH:
            continue
        path = PurePosixPath(one.path)
        place = (path.name, str(path.parent), tuple(hosts))
        request = Request(one.file, *place, limit=settings.push_rate, replace=True, sha256=one.sha256)
        try:
            report = push.push(request, settings, output)
        except ProvisionError as error:
            output.remark("distribution", f"{one.file.name} is sent to each host: {error.message}")
            continue
        for failure in report.failures:
            output.remark("distribution", f"{failure.host} gets {one.file.name} from the controller: {failure.message}")
        if report.received:
            output.remark(
                "distribution",
                f"{one.file.name}: {len(report.received)} hosts got it from each other in {report.seconds:.1f} s",
            )
