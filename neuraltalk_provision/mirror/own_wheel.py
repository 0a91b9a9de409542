"""Makes the wheel of this very `provision`: the same bytes wherever the same version is installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import os
import re
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

from neuraltalk_provision import paths
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import programs

NAME = "neuraltalk-provision"
_PACKAGE = "neuraltalk_provision"
_MOMENT = (2020, 2, 2, 0, 0, 0)
_OF_THE_INSTALLER = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"})
_BUILD = "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_wheel; build_wheel(sys.argv[2])"
_REINSTALL = "Install it again from its wheel, then run the same command again."


@dataclass(frozen=True)
class OwnWheel:
    """A wheel in memory."""

    file: str
    version: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of its file."""
        return hashlib.sha256(self.content).hexdigest()


@cache
def made() -> OwnWheel:
    """The wheel: of the installed files, or built from the checkout that this command runs from."""
    files = _of_checkout() if (paths.share() / "pyproject.toml").is_file() else _installed()
    folder = next((name.split("/")[0] for name in files if re.match(r"[^/]+\.dist-info/METADATA$", name)), "")
    version = folder.removesuffix(".dist-info").rpartition("-")[2]
    if not version:
        raise UsageError("the wheel of provision cannot be made: it has no METADATA", advice=_REINSTALL)
    return OwnWheel(f"{_PACKAGE}-{version}-py3-none-any.whl", version, packed(files, folder))


def packed(files: dict[str, tuple[bytes, bool]], folder: str) -> bytes:
    """A wheel of {name: (content, whether it is a program)}; `folder` is its .dist-info.

    Nothing is compressed, because another zlib compresses to other bytes.
    """
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for name, (content, _program) in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow((name, f"sha256={digest}", len(content)))
    rows.writerow((f"{folder}/RECORD", "", ""))
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, (content, program) in [
            *sorted(files.items()),
            (f"{folder}/RECORD", (record.getvalue().encode(), False)),
        ]:
            info = zipfile.ZipInfo(name, _MOMENT)
            info.create_system = 3
            info.external_attr = (0o100755 if program else 0o100644) << 16
            archive.writestr(info, content)
    return whole.getvalue()


def _installed() -> dict[str, tuple[bytes, bool]]:
    """The files that were installed, without what the installer added. Raises UsageError if one was changed."""
    try:
        distribution = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        raise UsageError("provision is not installed here, so its wheel cannot be made", advice=_REINSTALL) from None
    found = {}
    # Not distribution.files: since Python 3.12 it leaves out files that are missing.
    for name, digest, *_size in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        path = PurePosixPath(name)
        if not digest or name.startswith("../") or path.name in _OF_THE_INSTALLER or path.suffix == ".pyc":
            continue
        place = Path(str(distribution.locate_file(name)))
        with naming(place, "read", UsageError):
            content, mode = place.read_bytes(), place.stat().st_mode
        algorithm, _, value = digest.partition("=")
        if base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode() != value:
            raise UsageError(f"{place} was changed after its installation", advice=_REINSTALL)
        found[name] = content, bool(mode & 0o100)
    return found


def _of_checkout() -> dict[str, tuple[bytes, bool]]:
    """The files of the wheel that the build backend makes of the checkout."""
    checkout = paths.share()
    if not importlib.util.find_spec("hatchling"):
        raise UsageError(
            f"the wheel of provision is built from {checkout}, and this needs hatchling",
            advice=f"Install it: {sys.executable} -m pip install hatchling",
        )
    with tempfile.TemporaryDirectory() as folder:
        ended = programs.run([sys.executable, "-c", _BUILD, str(checkout), folder], os.environ)
        wheels = list(Path(folder).iterdir())
        if ended.code or len(wheels) != 1:
            raise MirrorError(
                f"the wheel of provision cannot be built from {checkout}: {ended.errors or 'hatchling wrote no wheel'}",
                advice="Correct the checkout, then run the same command again.",
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.endswith("/RECORD")]
            return {one.filename: (archive.read(one), bool(one.external_attr >> 16 & 0o100)) for one in members}
