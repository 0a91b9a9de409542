"""Package archives for mirrors: real packages of Debian or Ubuntu, empty stand-in RPMs, and wheels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab import engine, images, names, shell
from tests.lab.archives import kept
from tests.lab.rpms import rpm_archive
from tests.lab.wheels import wheels_archive

__all__ = ["archive", "debian_archive", "rpm_archive", "wheels_archive"]


def archive(image: str, dest: Path) -> Path:
    """The packages of packages.yaml for hosts of an image, without the large optional ones."""
    system, manager = images.find(image).system, images.find(image).manager
    if manager == "apt":
        return debian_archive(image, names.wanted("apt", system), dest)
    return rpm_archive(images.find(image).platform, names.wanted("rpm", system, None), dest)


def debian_archive(image: str, wanted: Sequence[str], dest: Path) -> Path:
    """packages-PLATFORM.tar in `dest`: the wanted packages and their dependencies that the image does not have."""
    tag = images.ensure(image)

    def fill(folder: Path) -> None:
        download(tag, wanted, folder)
        shell.need("dpkg-scanpackages", "dpkg-dev")
        index = shell.run("dpkg-scanpackages", "--multiversion", ".", cwd=folder)
        (folder / "Packages").write_text(index, encoding="utf-8")

    platform = images.find(image).platform
    return kept(f"packages-{platform}.tar", ["apt", images.identity(image), sorted(wanted)], dest, fill)


def download(tag: str, wanted: Sequence[str], folder: Path) -> None:
    """Download the packages with apt in a temporary container of the image."""
    script = (
        "apt-get -qq update && "
        "apt-get -y --no-install-recommends --download-only "
        "-o Dir::Cache::archives=/out -o APT::Sandbox::User=root "
        'install "$@" && rm -rf /out/lock /out/partial && chown -R "$OWNER" /out'
    )
    shell_in = ("--entrypoint", "/bin/sh", tag, "-ec", script, "sh")
    owner = f"OWNER={folder.stat().st_uid}:{folder.stat().st_gid}"
    mounts = ("--volume", f"{folder}:/out", "--env", owner)
    engine.docker("run", "--rm", "--network", "host", *mounts, *shell_in, *wanted, timeout=1200)
