"""A mirror that is complete by names for one platform, for the tests of proofs: small files instead of real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.mirror import lock, pull_plan
from neuraltalk_provision.mirror.proofs import Attempt, Installed, Proof, Surplus
from tests.unit import archives

PLATFORM = "debian-12-x86_64"
DEBS = {
    "cpp": "cpp_12.2_amd64.deb",
    "gcc": "gcc_12.2_amd64.deb",
    "libgcc-12-dev": "libgcc-12-dev_12.2_amd64.deb",
    "make": "make_4.3_amd64.deb",
}
WHEELS = {
    "h5py": "h5py-3.10-cp311-cp311-manylinux_2_28_x86_64.whl",
    "ipython": "ipython-8.1-py3-none-any.whl",
    "prompt-toolkit": "prompt_toolkit-3.0-py3-none-any.whl",
    "pillow": "pillow-13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
}


def index(debs: Mapping[str, str]) -> str:
    """An index of apt."""
    return "\n".join(f"Package: {name}\nVersion: 1\nFilename: ./{file}\nSize: 1\n" for name, file in debs.items())


def names(platform: str = PLATFORM) -> list[str]:
    """The names of everything that hosts of a platform without a card can use."""
    plan = pull_plan.plan(catalogues.load(), [target.parse(platform)], ["cpu"], pull_plan.Mirror())
    return [row.name for row in plan.rows]


def make(mirror: Path, platform: str = PLATFORM) -> Path:
    """Write the mirror."""
    mirror.mkdir(parents=True)
    known = lock.Lock()
    for name in names(platform):
        file = mirror / f"{name}.tar"
        if name.startswith("packages-"):
            archives.pack(file, {"Packages": index(DEBS), **{one: name for name, one in DEBS.items()}}, mode="w")
        elif name.startswith("python-wheels-"):
            archives.pack(file, {one: name for name, one in WHEELS.items()}, mode="w")
        else:
            file.write_text(name)
        known = known.with_entry(entry(name, file))
    lock.write(mirror, known)
    return mirror


def entry(name: str, file: Path) -> lock.Entry:
    """The entry of a file in the lock."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return lock.Entry(name=name, file=file.name, sha256=digest, size=len(content), origin="a disk", role="torch")


def proof(mirror: Path, *, passed: bool = True, problems: tuple[str, ...] = ()) -> Proof:
    """A record of a proof of this mirror."""
    return Proof(
        platform=PLATFORM,
        lock=hashlib.sha256(lock.load(mirror)).hexdigest(),
        made="2026-11-26T14:05:06Z",
        passed=passed,
        problems=problems,
        host="container of debian:12 (sha256:ab)",
        installed=Installed(components=("torch",), packages={"gcc": "12"}, wheels={"h5py": "3.10"}),
        surplus=Surplus(packages=("sox",)),
        planted=(Attempt(kind="tcp", to="192.0.2.1", port=9, at=1.0),),
    )
