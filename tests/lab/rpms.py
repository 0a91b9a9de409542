"""Stand-in RPMs: each has only a name and one line of text, to test the installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab import shell
from tests.lab.archives import kept

LEFT_OUT = ("sox-plugins-freeworld",)
"""From RPM Fusion, so not in a plain repository. The installation must report it as missing and continue."""

VERSIONS = {"hdf5-devel": "1.12.1"}
"""The versions of stand-ins that a host compares with what was tried; all others are 0.0."""


def spec(name: str) -> str:
    """The recipe of a stand-in package."""
    return f"""
Name: {name}
Version: {VERSIONS.get(name, "0.0")}
Release: 0.standin
Summary: STAND-IN: nothing but the name of {name}
License: MIT
BuildArch: noarch
AutoReqProv: no
%description
STAND-IN: nothing but the name of {name}.
%install
mkdir -p %{{buildroot}}/usr/share/standin-rpm
echo 'STAND-IN for {name}' >%{{buildroot}}/usr/share/standin-rpm/{name}
%files
/usr/share/standin-rpm/{name}
"""


def rpm_archive(platform: str, names: Sequence[str], dest: Path) -> Path:
    """packages-PLATFORM.tar in `dest`: a repository of stand-ins with these names."""
    kinds = sorted(set(names) - set(LEFT_OUT))

    def fill(folder: Path) -> None:
        shell.need("rpmbuild", "rpm")
        shell.need("createrepo_c", "createrepo-c")
        for name in kinds:
            build(name, folder)
        shell.run("createrepo_c", "--quiet", ".", cwd=folder)

    return kept(f"packages-{platform}.tar", ["rpm", platform, [spec(name) for name in kinds]], dest, fill)


def build(name: str, folder: Path) -> None:
    """Build one stand-in into the directory."""
    work = folder.parent / "rpmbuild"
    work.mkdir(exist_ok=True)
    recipe = work / f"{name}.spec"
    recipe.write_text(spec(name), encoding="utf-8")
    # gzip, because EL 7 cannot read newer compressions. File names without a directory, for a flat repository.
    options = {
        "_topdir": str(work),
        "_rpmdir": str(folder),
        "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_binary_payload": "w9.gzdio",
    }
    defines = [part for key, value in options.items() for part in ("--define", f"{key} {value}")]
    shell.run("rpmbuild", "-bb", "--quiet", "--nodeps", *defines, str(recipe))
