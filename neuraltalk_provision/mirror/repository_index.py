"""The index of an archive of OS packages, without the packages: enough to ask a host whether they can be installed."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

from neuraltalk_provision.mirror import repositories, rpm_files
from neuraltalk_provision.rules import archives
from neuraltalk_provision.rules.archive_formats import ArchiveError

_MOST = 64 << 20
"""The most bytes of an index. That of a whole distribution has 50 MB."""


def read(path: Path) -> str:
    """The index, a compressed tar in Base64; empty if the archive cannot be read or has none.

    What is wrong with an archive is reported when it is checked, not here.
    """
    packed, size = io.BytesIO(), 0
    try:
        with path.open("rb") as file, tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for entry in archives.entries(file, 0):
                if entry.content is None or not _is_index(entry.name):
                    continue
                size += entry.size
                if size > _MOST:
                    return ""
                member = tarfile.TarInfo(entry.name)
                member.size = entry.size
                tar.addfile(member, io.BytesIO(entry.content.read(entry.size)))
    except (OSError, ArchiveError):
        return ""
    return base64.b64encode(gzip.compress(packed.getvalue(), mtime=0)).decode() if size else ""


def _is_index(name: str) -> bool:
    return name == repositories.PACKAGES or name.startswith(f"{rpm_files.INDEX}/")
