"""Mirrors from which images are made, with a tiny packed generation, and a program in the place of mmdebstrap."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision.mirror import cache, lock
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.lock import Entry, Lock
from tests.unit.apt_repository import Package
from tests.unit.programs import program
from tests.unit.test_generation_pack import archive, listing, sha256
from tests.unit.test_runtime import entry

ID = "0a1b2c3d4e5f6071"
ROOT = "opt/neuraltalk"
HOME = f"{ROOT}/generations/{ID}"
WEIGHTS = b"weights" * 100
PROTOTXT = b"layers\n"
FILES = {
    "bin/with-stack": b"#!/bin/sh\n",
    "neuraltalk2/eval.lua": b"-- eval\n",
    "neuraltalk2/misc/utils.lua": b"-- utils\n",
    "neuraltalk2/model/n\xc3\xa4me 'x'.prototxt".encode("latin-1").decode(): PROTOTXT,
}
LEFT_OUT = {"neuraltalk2/model/weights": WEIGHTS}
PLATFORM = "debian-12-x86_64"
PACKAGES = (
    Package("base-files", more="Essential: yes\nPriority: required\nInstalled-Size: 10\n", depends="libc6"),
    Package("libc6", "2:2.36-9", more="Installed-Size: 20\n"),
    Package("libjpeg62-turbo", depends="libc6"),
    Package("python3", depends="python3.11"),
    Package("python3.11", depends="libc6"),
    Package("less", machine="all"),
    Package("never-needed"),
)
MMDEBSTRAP = """#!/bin/sh
# Writes a tar with the names of the packages that it was given, and keeps what it was told.
printf '%s\\n' "$@" >"{told}"
env | sort >"{told}.environment"
for word in "$@"; do case $word in deb*) source=$word ;; esac; done
folder=$(printf '%s' "$source" | sed -e 's,^deb .trusted=yes. copy://,,; s, [.]/$,,; s,%20, ,g; s,%27,'"'"',g')
shift $(($# - 2))
cd "$folder" && ls >"{told}.packages" && tar --mtime=@0 --sort=name --owner=0 --group=0 -cf "$1" *.deb
"""


def packed(folder: Path, more: dict[str, Any] | None = None, files: dict[str, bytes] | None = None) -> Path:
    """The tar of a generation; `more` are other entries of its list, by path."""
    content = {**FILES, **(files or {})}
    entries = {
        path: {"path": path, "type": "file", "mode": "0644", "size": len(data), "sha256": sha256(data)}
        for path, data in {**content, **LEFT_OUT}.items()
    }
    entries["bin/with-stack"]["mode"] = "0755"
    entries |= {path: {"path": path, **one} for path, one in (more or {}).items()}
    folders = {str(parent) for path in entries for parent in Path(path).parents} - {"."}
    entries |= {path: {"path": path, "type": "directory", "mode": "0755"} for path in folders}
    lines = listing(*(entries[path] for path in sorted(entries)))
    return archive(folder / "made.tar", ("manifest", lines), *content.items())


@dataclass
class Site:
    """A mirror with an archive of packages, the weights, and one packed generation; programs are in `bin`."""

    place: Path

    @property
    def mirror(self) -> Path:
        return self.place / "mirror"

    @property
    def told(self) -> Path:
        """What mmdebstrap was given, one word a line; with suffixes its environment and the packages that it saw."""
        return self.place.parent / "told"

    def make(self, packages: tuple[Package, ...] = PACKAGES) -> Site:
        """Write everything."""
        self.mirror.mkdir(parents=True)
        (self.mirror / "vgg.caffemodel").write_bytes(WEIGHTS)
        self.write_packages(packages)
        bin_ = self.place.parent / "bin"
        program(bin_ / "mmdebstrap", MMDEBSTRAP.replace("{told}", str(self.told)))
        program(bin_ / "unshare", '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
        self.publish(packed(self.place))
        return self

    def write_packages(self, packages: tuple[Package, ...], others: dict[str, bytes | None] | None = None) -> None:
        """Write the archive of packages and the lock; `others` are other contents than the index says, or none."""
        contents = {package: (others or {}).get(package.name, package.content) for package in packages}
        files = {one.file.rpartition("/")[2]: content for one, content in contents.items() if content is not None}
        index = "\n".join(
            package.record().replace(f"Filename: {package.file}", f"Filename: ./{package.file.rpartition('/')[2]}")
            for package in packages
        )
        file = archive(self.mirror / f"packages-{PLATFORM}.tar", *files.items(), ("Packages", index.encode()))
        weights = self.mirror / "vgg.caffemodel"
        rows = [("vgg16-model", weights, "neuraltalk2"), (f"packages-{PLATFORM}", file, "system_deps")]
        entries = [
            Entry(name=name, file=path.name, sha256=digest(path), size=path.stat().st_size, role=role, version="7")
            for name, path, role in rows
        ]
        lock.write(self.mirror, Lock(artifacts=tuple(entries)))

    def publish(self, tar: Path, **more: Any) -> CacheEntry:
        """Make a tar the packed generation of the mirror."""
        given = {
            "sha256": digest(tar),
            "size": tar.stat().st_size,
            "lock": hashlib.sha256(lock.load(self.mirror)).hexdigest(),
            "components": {"torch": ID, "vgg16": ID},
            "left_out": (sha256(WEIGHTS),),
            "packages": {"libc.so.6": "libc6", "libjpeg.so.62": "libjpeg62-turbo"},
        }
        made = entry(**{**given, **more})
        incoming = cache.incoming(self.mirror, made.id)
        incoming.write_bytes(tar.read_bytes())
        cache.publish(self.mirror, made, incoming)
        return made


def digest(file: Path) -> str:
    return sha256(file.read_bytes())


@dataclass(frozen=True)
class Loaded:
    """An image as an engine reads it. `names` is how it is called, `files` are those of all layers, later ones last."""

    names: list[str]
    configuration: dict[str, Any]
    layers: list[list[tarfile.TarInfo]]

    @property
    def files(self) -> dict[str, tarfile.TarInfo]:
        return {member.name: member for layer in self.layers for member in layer}


def load(file: Path) -> tuple[Loaded, Loaded]:
    """The image as an OCI engine and as Docker read it; every digest and size is checked."""
    with tarfile.open(file) as tar:
        names = tar.getnames()
        assert len(set(names)) == len(names)

        def read(name: str) -> bytes:
            opened = tar.extractfile(name)
            assert opened is not None
            return opened.read()

        def blob(described: dict[str, Any]) -> bytes:
            kind, _, value = described["digest"].partition(":")
            content = read(f"blobs/{kind}/{value}")
            assert (sha256(content), len(content)) == (value, described["size"])
            return content

        assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (one,) = json.loads(read("index.json"))["manifests"]
        manifest = json.loads(blob(one))
        configuration = json.loads(blob(manifest["config"]))
        layers = [blob(layer) for layer in manifest["layers"]]
        assert configuration["rootfs"]["diff_ids"] == [f"sha256:{sha256(layer)}" for layer in layers]
        oci = Loaded([one["annotations"]["org.opencontainers.image.ref.name"]], configuration, _members(layers, file))
        (other,) = json.loads(read("manifest.json"))
        docker = Loaded(
            other["RepoTags"],
            json.loads(read(other["Config"])),
            _members([read(name) for name in other["Layers"]], file),
        )
    return oci, docker


def _members(layers: list[bytes], beside: Path) -> list[list[tarfile.TarInfo]]:
    found = []
    for content in layers:
        file = beside.with_name("layer")
        file.write_bytes(content)
        with tarfile.open(file) as tar:
            found.append(tar.getmembers())
        file.unlink()
    return found


Provision = Callable[..., tuple[int, str, str]]
