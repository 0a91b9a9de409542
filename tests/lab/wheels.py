"""Python wheels for hosts without an index, downloaded by pip for the host's Python and not for this machine's."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import images, shell
from tests.lab.archives import kept
from tools.host_pip import AS_THE_HOST

WANTED = ("h5py", "ipython", "pillow")
MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux2014", "manylinux2010", "manylinux1")


def wheels_archive(image: str, dest: Path, names: Sequence[str] = WANTED) -> Path:
    """python-wheels-PLATFORM.tar in `dest`: these projects and their dependencies, for hosts of the image."""
    host = images.find(image)
    version = host.version
    abi = "cp27mu" if version == "2.7" else f"cp{version.replace('.', '')}"

    def fill(folder: Path) -> None:
        fetch(version, abi, names, folder)

    ingredients = ["wheels", host.platform, version, sorted(names)]
    return kept(f"python-wheels-{host.platform}.tar", ingredients, dest, fill)


def fetch(version: str, abi: str, names: Sequence[str], folder: Path) -> None:
    """Download wheels for that Python with pip."""
    tags = [part for tag in MANYLINUX for part in ("--platform", f"{tag}_{platform.machine()}")]
    shell.run(
        sys.executable,
        "-c",
        AS_THE_HOST,
        version,
        "download",
        "--quiet",
        "--dest",
        str(folder),
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        version,
        "--abi",
        abi,
        "--abi",
        "none",
        *tags,
        *names,
        timeout=900,
        hint="check that pip can reach a package index with wheels for that Python",
    )
