"""The lab's images. Each is made once, and again when its recipe changes."""

from __future__ import annotations

import hashlib
import platform
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuraltalk_provision.catalogue import target
from tests.lab import engine, names, paths, shell, sources
from tests.lab.errors import LabError


@dataclass(frozen=True)
class Image:
    """A kind of host: the parent image, the platform without the machine, and the Python for Ansible."""

    name: str
    parent: str
    system: str
    python: str = "/usr/bin/python3"
    lacks: tuple[str, ...] | None = None
    """The packages of packages.yaml that this image does not have; None if it has none of them."""
    version: str = "3.11"
    """The version of that Python."""
    made_by: str = ""
    """The directory of its recipe, if that is not called as the image."""

    @property
    def recipe(self) -> str:
        """The directory of its recipe."""
        return self.made_by or self.name

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of packages.yaml that are installed when the image is built."""
        if self.lacks is None:
            return ()
        return tuple(name for name in names.wanted("apt", self.system) if name not in self.lacks)

    @property
    def manager(self) -> Literal["apt", "rpm"]:
        """What its package manager is, as in packages.yaml."""
        return "apt" if self.system.startswith(("debian-", "ubuntu-")) else "rpm"

    @property
    def platform(self) -> str:
        """The platform in the names of its artifacts."""
        return f"{self.system}-{platform.machine()}"


BASES = {
    "bullseye": "debian:11-slim",
    "bookworm": "debian:12-slim",
    "trixie": "debian:13-slim",
    "forky": "debian:forky-slim",
    "jammy": "ubuntu:22.04",
    "noble": "ubuntu:24.04",
    "resolute": "ubuntu:26.04",
}
AGED = frozenset({"forky"})
"""Releases that change, whose indexes may be older than a server says they can be used."""
ANY_AGE = ('Acquire::Check-Valid-Until "false";', 'Acquire::Check-Date "false";')
IMAGES = {
    image.name: image
    for image in (
        Image("bare", "bookworm", "debian-12"),
        Image("bare11", "bullseye", "debian-11", version="3.9", made_by="bare"),
        Image("bare13", "trixie", "debian-13", version="3.13", made_by="bare"),
        Image("bare14", "forky", "debian-14", version="3.14", made_by="bare"),
        Image("bareubuntu22", "jammy", "ubuntu-22", version="3.10", made_by="bare"),
        Image("bareubuntu24", "noble", "ubuntu-24", version="3.12", made_by="bare"),
        Image("bareubuntu26", "resolute", "ubuntu-26", version="3.14", made_by="bare"),
        Image("debian12", "bare", "debian-12"),
        Image("controller", "bare", "debian-12"),
        Image("ready", "debian12", "debian-12", lacks=("libpng-dev",)),
        Image("cluster", "ready", "debian-12"),
        Image("el9", "bare", "rocky-9"),
        Image("unknown", "el9", "tlinux-2"),
        Image("py27", "bullseye", "centos-7", python="/usr/bin/python2.7", version="2.7"),
    )
}


def find(name: str) -> Image:
    """The image of that name."""
    try:
        return IMAGES[name]
    except KeyError:
        raise LabError(f"there is no image {name!r}; there are {', '.join(IMAGES)}") from None


def recipe(name: str, recipes: Path = paths.RECIPES) -> list[Path]:
    """The files that an image is built from, besides its parent: those of its own directory and the shared ones."""
    own = (recipes / find(name).recipe).rglob("*")
    return sorted(path for path in (*own, *(recipes / "shared").rglob("*")) if path.is_file())


def digest(name: str, recipes: Path = paths.RECIPES) -> str:
    """Twelve digits that change when the recipe of the image or of one of its parents changes."""
    if name in BASES:
        return hashlib.sha256(f"{name} {BASES[name]}".encode()).hexdigest()[:12]
    total = hashlib.sha256(" ".join((digest(IMAGES[name].parent, recipes), *IMAGES[name].packages)).encode())
    for path in recipe(name, recipes):
        total.update(str(path.relative_to(recipes)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def tag(name: str) -> str:
    """Docker's tag of the image of the current recipe."""
    return f"lab-{name}:{digest(name)}"


def exists(name: str) -> bool:
    """Whether Docker has the image."""
    return shell.works("docker", "image", "inspect", tag(name))


def identity(name: str) -> str:
    """Docker's id of the image, which is new with each build."""
    return engine.docker("image", "inspect", "--format", "{{.Id}}", ensure(name)).strip()


def ensure(name: str) -> str:
    """Make the image and its parents if they are missing; returns the tag."""
    if name not in BASES:
        find(name)
    engine.ensure()
    if exists(name):
        return tag(name)
    with paths.locked(f"image-{name}"):
        if not exists(name):
            make_base(name) if name in BASES else make(name)
    return tag(name)


def make(name: str) -> None:
    """Build an image from its recipe."""
    parent = ensure(IMAGES[name].parent)
    installed = {"PACKAGES": " ".join(IMAGES[name].packages)} if IMAGES[name].packages else {}
    engine.build(tag(name), paths.RECIPES, f"{IMAGES[name].recipe}/Dockerfile", PARENT=parent, **installed)


def make_base(code_name: str) -> None:
    """Get a minimal system from the engine's registry, or with mmdebstrap if the registry cannot be reached."""
    if registry_reached():
        engine.docker("pull", "--quiet", BASES[code_name])
        engine.docker("tag", BASES[code_name], tag(code_name))
        return
    shell.need("mmdebstrap", "mmdebstrap")
    with paths.scratch() as folder:
        archive = folder / "root.tar"
        lines = "\n".join(source.line() for source in sources.of_this_machine(code_name))
        source = ["-"] if lines else []  # without lines mmdebstrap uses its own default
        shell.run(
            "mmdebstrap",
            "--variant=minbase",
            "--include=apt,ca-certificates",
            f"--components={','.join(sources.COMPONENTS[target.CODENAMES[code_name][0]])}",
            *(f"--aptopt={option}" for option in ANY_AGE if code_name in AGED),
            code_name,
            str(archive),
            *source,
            stdin=lines,
            timeout=1200,
            hint="check that this machine can reach the distribution's archive and has its keys (Ubuntu's are in the "
            "package ubuntu-keyring)",
        )
        engine.docker("import", str(archive), tag(code_name))


def registry_reached() -> bool:
    """Whether the engine's own registry accepts connections. Takes at most two seconds."""
    address = engine.docker("info", "--format", "{{.IndexServerAddress}}").strip()
    host = urllib.parse.urlsplit(address).hostname or ""
    # A call of the resolver cannot be interrupted, so it runs in another process.
    probe = "import socket, sys; socket.create_connection((sys.argv[1], 443), 1.5)"
    return bool(host) and shell.works(sys.executable, "-c", probe, host, timeout=2)
