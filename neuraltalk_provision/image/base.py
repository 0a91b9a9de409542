"""The layer with the OS packages: mmdebstrap installs them into an empty directory, without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.image.configuration import ACCOUNT, HOME
from neuraltalk_provision.image.oci import Layer
from neuraltalk_provision.mirror import programs
from neuraltalk_provision.rules import machines, pack
from neuraltalk_provision.rules.texts import SYSTEM_PATH, UTF8

PROGRAM, PATH = "mmdebstrap", SYSTEM_PATH
_LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
"""Options for dpkg: no manuals, but all licences."""
_BEGINNING = 'mkdir -p "$1"/usr/share/man/man1 "$1"/usr/share/man/man8'
"""What is done before the packages are installed: their scripts link manuals (update-alternatives), which fails in a
directory that does not exist. Java could not be installed for this reason."""
_ENDING = (
    'cd "$1" && rm -f etc/apt/sources.list etc/resolv.conf etc/hostname'
    f" && echo 'neuraltalk:x:{ACCOUNT}:{ACCOUNT}::{HOME}:/bin/sh' >>etc/passwd"
    f" && echo 'neuraltalk:x:{ACCOUNT}:' >>etc/group"
)
"""What is done at the end: files of this machine are removed, and the account that programs run as is added."""
_REASONS, _LAST = 4, 8
"""An error message shows at most this many lines that name an error, and this many of the last lines."""
_SPACE = ("No space left on device", "Disk quota exceeded")


def refuse_missing_programs() -> None:
    """UsageError if this machine cannot install packages into an empty directory."""
    search = os.environ.get("PATH", "") + os.pathsep + PATH
    missing = [name for name in (PROGRAM, "apt-get", "unshare") if not shutil.which(name, path=search)]
    if missing:
        raise UsageError(
            f"an image cannot be made on this machine, because it does not have {' and '.join(missing)}",
            advice="On Debian or Ubuntu: `apt-get install mmdebstrap`. Or run this command on a machine that has it; "
            "it needs only the mirror, no host and no network.",
        )


def command(names: Sequence[str], repository: Path, file: Path, *, root: bool) -> list[str]:
    """The command that installs packages from a flat repository, and writes the tar. Pure.

    As root it gets namespaces of its own, so that no mount can be left behind and no script of a package has a network.
    Other users need user namespaces (subuid), which mmdebstrap makes itself.
    """
    isolated = ["unshare", "--mount", "--net", "--"] if root else []
    return [
        *isolated,
        PROGRAM,
        f"--mode={'root' if root else 'unshare'}",
        "--variant=essential",
        "--format=tar",
        f"--architectures={machines.SAME[1]}",
        "--skip=output/dev",
        *([f"--include={','.join(names)}"] if names else []),
        *(f"--dpkgopt={option}" for option in _LEFT_OUT),
        f"--essential-hook={_BEGINNING}",
        f"--customize-hook={_ENDING}",
        "",
        str(file),
        f"deb [trusted=yes] copy://{urllib.parse.quote(str(repository))} ./",
    ]


def write(file: Path, names: Sequence[str], repository: Path, key: str) -> Layer:
    """Write the layer to a new file. Raises MirrorError if the packages cannot be installed."""
    folder = repository.parent / "root"
    with naming(folder, "written"):
        folder.mkdir()
        folder.chmod(0o1777)  # mmdebstrap requires it of the directory for its temporary files
    environment = {
        **UTF8,
        "PATH": PATH,
        "HOME": "/nonexistent",
        "TMPDIR": str(folder),
        "SOURCE_DATE_EPOCH": str(pack.DATE),
    }
    ended = programs.run(command(names, repository, file, root=os.geteuid() == 0), environment)
    if ended.code:
        _refuse(ended, key, folder)
    with naming(file, "read"), file.open("rb") as opened:
        return Layer(file, hashlib.file_digest(opened, "sha256").hexdigest(), file.stat().st_size)


def _refuse(ended: programs.Ended, key: str, folder: Path) -> None:
    lines = ended.errors.splitlines()
    # The reason stands long before the end, where apt and mmdebstrap repeat only that something failed.
    said = "\n".join(dict.fromkeys([*[line for line in lines if "error" in line.lower()][:_REASONS], *lines[-_LAST:]]))
    full = any(words in ended.errors for words in _SPACE)
    raise (UsageError if full else MirrorError)(
        f"the packages of {key} cannot be installed into an empty image: {PROGRAM} ended with {ended.code}\n{said}",
        advice=f"Free space below {folder.parent.parent}."
        if full
        else programs.namespaces_denied(ended.errors)
        or f"If a package fails, fetch packages-{key} again with `provision mirror pull`.",
    )
