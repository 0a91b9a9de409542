"""OS packages of the user's mirror: all of them are installed into an empty root, with no other repository.

Needs root and mmdebstrap. Several minutes and 2 GB for each platform with apt.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.mirror import lock

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="this machine has no mmdebstrap"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a root directory of another system"),
]
PREFIX = "packages-"


def archives(pytestconfig: pytest.Config) -> list[Path]:
    """The mirror's archives of packages for apt."""
    mirror = Path(pytestconfig.getoption("--mirror")).resolve()
    entries = [entry for entry in lock.read(mirror).artifacts if entry.name.startswith(PREFIX)]
    return [mirror / entry.file for entry in entries if target.manager_of(entry.name.removeprefix(PREFIX)) == "apt"]


def test_all_packages_are_installed_into_an_empty_root(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    found = archives(pytestconfig)
    if not found:
        pytest.skip("the mirror has no packages for apt")
    for number, file in enumerate(found):
        repository, root = tmp_path / f"repository{number}", tmp_path / f"root{number}"
        with tarfile.open(file) as tar:
            tar.extractall(repository, filter="data")
        names = sorted(set(re.findall(r"^Package: (\S+)$", (repository / "Packages").read_text(), re.M)))
        command = ["mmdebstrap", "--mode=root", "--variant=essential", "--architectures=amd64"]
        options = ['--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"']
        source = f"deb [trusted=yes] copy:{repository} ./"
        done = subprocess.run(
            [*command, *options, f"--include={','.join(names)}", "", str(root), source], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{file.name}: {done.stderr[-3_000:]}"
        query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Package} ${Status}\n"]
        installed = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")
        assert {f"{name} install ok installed" for name in names} <= set(installed)
        shutil.rmtree(root)
        shutil.rmtree(repository)
