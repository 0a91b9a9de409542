"""A repository of apt for tests: any bytes as packages, an index, and a signature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from neuraltalk_provision.catalogue.model import Artifact, Catalogue, Need, PackageSource
from tests.unit.catalogue import SMALL
from tests.unit.pgp import KEEPER, Key

PACKAGES = Artifact(
    name="packages", role="system_deps", matches=("packages-*.tar",), optional=True, per_platform=True, flat=True
)
CATALOGUE: Catalogue = SMALL.model_copy(
    update={
        "artifacts": (*SMALL.artifacts, PACKAGES),
        "sources": {"packages": PackageSource(kind="os_packages")},
        "needs": (
            Need(need="compiler", role="torch", apt=("gcc",), rpm=("gcc",)),
            Need(need="sox", role="torch", apt=("sox", "sox-fmt"), rpm=("sox",), optional=True),
        ),
    }
)
"""It needs gcc and python3, and if they are there sox and sox-fmt."""


@dataclass(frozen=True)
class Package:
    """A package with its dependencies."""

    name: str
    version: str = "1-1"
    depends: str = ""
    more: str = ""
    machine: str = "amd64"
    listed: str = ""
    """Its place as the index has it, if that is another one."""

    @property
    def content(self) -> bytes:
        return f"the package {self.name} {self.version}\n".encode() * 10

    @property
    def file(self) -> str:
        """Its place in the repository: without the epoch."""
        return f"pool/main/{self.name}_{self.version.split(':')[-1]}_{self.machine}.deb"

    def record(self, digest: str = "SHA256") -> str:
        found = hashlib.new(digest.replace("sum", ""), self.content).hexdigest()
        depends = f"Depends: {self.depends}\n" if self.depends else ""
        return (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: {self.machine}\n"
            f"Maintainer: A <a@example.org>\n{depends}{self.more}Description: {self.name}\n for tests\n"
            f"Filename: {self.listed or self.file}\nSize: {len(self.content)}\n{digest}: {found}\n"
        )


USUAL = (
    Package("base", more="Essential: yes\nPriority: required\n", depends="libc6 (>= 2)"),
    Package("libc6", "2:2.36-9+deb12u1~x"),
    Package("gcc", "4:12", depends="libgcc, libc6 (>= 2)"),
    Package("libgcc"),
    Package("python3", machine="all"),
    Package("sox", depends="libsox"),
    Package("libsox"),
    Package("other"),
)


@dataclass
class Repository:
    """A repository below a directory, with the suites that were written."""

    place: Path
    packages: list[Package] = field(default_factory=lambda: list(USUAL))

    def write(
        self,
        suite: str = "bookworm",
        *,
        key: Key | None = KEEPER,
        until: str = "",
        digest: str = "SHA256",
        fields: str = "",
    ) -> Repository:
        """Write the packages and the index of a suite; without a key it is not signed."""
        for package in self.packages:
            file = self.place / package.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(package.content)
        index = "\n".join(package.record(digest) for package in self.packages).encode()
        folder = self.place / "dists" / suite
        binary = folder / "main" / "binary-amd64" / "Packages"
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_bytes(index)
        release = (
            f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n{until}{fields}"
            f"Architectures: amd64\nComponents: main\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} "
            "main/binary-amd64/Packages\n"
        ).encode()
        (folder / "Release").write_bytes(release)
        (folder / "Release.gpg").unlink(missing_ok=True)
        if key:
            (folder / "Release.gpg").write_bytes(key.sign(release))
        return self

    def index(self, suite: str = "bookworm") -> Path:
        return self.place / "dists" / suite / "main" / "binary-amd64" / "Packages"

    def without(self, *names: str) -> Repository:
        self.packages = [package for package in self.packages if package.name not in names]
        return self

    def having(self, packages: Iterable[Package]) -> Repository:
        self.packages += packages
        return self
