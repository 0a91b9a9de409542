"""Collects wheels: those of the catalogue for the Python of a platform, and those of `provision` itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from threading import Event

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import Artifact, Wheel, pythons
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.mirror import own_wheel, package_index, pip_settings
from neuraltalk_provision.mirror.collection import Collection, Piece, UnavailableError

PROVISION = "provision-wheels"
"""The artifact with `provision` and all that it needs."""
REQUIREMENTS = "requirements.txt"
_SHOWN = 3


class Wheels:
    """Knows the wheels of an artifact by the catalogue, and finds them in the package indexes of this machine."""

    def request(self, artifact: Artifact, target: Target) -> str:
        """Which wheels; nothing is asked. Raises UnavailableError if the catalogue has none for the platform."""
        pins, own = pins_of(artifact, target), _own(artifact)
        lines = [*(f"{pin.sha256}  {pin.file}\n" for pin in pins), *(f"{own.sha256}  {own.file}\n" for own in own)]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        return f"wheels of the catalogue: {len(lines)}, sha256 of their list {digest}"

    def collect(self, artifact: Artifact, target: Target, work: Path, stop: Event) -> Collection:
        """Where the wheels are. Raises MirrorError if the indexes lack one, or have another file for it."""
        pins, own = pins_of(artifact, target), _own(artifact)
        settings = pip_settings.read()
        found = package_index.find(pins, settings, stop)
        pieces = tuple(Piece(pin.file, found[pin.file].address, pin.sha256, pin.size) for pin in pins)
        made = {wheel.file: wheel.content for wheel in own}
        if own:
            sets = catalogue.wheels()[artifact.name]
            made[REQUIREMENTS] = requirements(sets, own[0]).encode()
            made[old_requirements()] = requirements(with_old_ansible(sets), own[0]).encode()
        return Collection(pieces, made, _version(artifact, pins, own), environment=settings.environment)


def pins_of(artifact: Artifact, target: Target) -> tuple[Wheel, ...]:
    """The wheels of an artifact for a platform, each once. Raises UnavailableError if there are none."""
    sets = catalogue.wheels()[artifact.name]
    if artifact.name == PROVISION:
        every = [*(wheel for python in sets for wheel in sets[python]), *catalogue.old_ansible().wheels]
        return tuple({wheel.file: wheel for wheel in every}.values())
    if not artifact.per_platform:
        return sets["any"]
    release = pythons.release(target.id, target.major)
    if release is None:
        raise UnavailableError(
            f"the catalogue does not know which Python {target.id} {target.major} has",
            advice=f"Bring {artifact.file_name(target.key)} yourself; docs/mirror-by-hand.md says how.",
        )
    pins = sets.get("any") or sets[release.python]
    newest = max(pins, key=lambda pin: pythons.manylinux(pin.file))
    if pythons.manylinux(newest.file) > pythons.version(release.glibc):
        raise UnavailableError(
            f"{newest.name} {newest.version} needs a newer glibc than {release.glibc}, which {target.id} "
            f"{target.major} has",
            advice=f"Hosts of {target.key} need an older release; if you have one as wheels, add it as "
            f"{artifact.file_name(target.key)}.",
        )
    return pins


def old_requirements() -> str:
    """The name of the requirements file with the old ansible-core; install-provision.sh knows it, too."""
    return f"requirements-ansible-{catalogue.old_ansible().version}.txt"


def with_old_ansible(sets: Mapping[str, Sequence[Wheel]]) -> dict[str, list[Wheel]]:
    """{Python: its wheels} where the old ansible-core runs, with its wheels in place of the new ones."""
    old = catalogue.old_ansible()
    replaced = {wheel.name for wheel in old.wheels}
    return {
        python: sorted(
            [*(wheel for wheel in sets[python] if wheel.name not in replaced), *old.wheels], key=attrgetter("name")
        )
        for python in old.pythons
        if python in sets
    }


def requirements(sets: Mapping[str, Sequence[Wheel]], own: own_wheel.OwnWheel) -> str:
    """The requirements file of `provision` for all Pythons, each wheel by its SHA-256."""
    versions: dict[tuple[str, str], dict[str, str]] = {}
    for python, wheels in sets.items():
        for wheel in wheels:
            versions.setdefault((wheel.name, wheel.version), {})[python] = wheel.sha256
    lines = [_requirement(name, version, found, len(sets)) for (name, version), found in sorted(versions.items())]
    lines.append(_requirement(own_wheel.NAME, own.version, dict.fromkeys(sets, own.sha256), len(sets)))
    return "".join(lines)


def _requirement(name: str, version: str, found: Mapping[str, str], pythons_in_all: int) -> str:
    marker = " or ".join(f'python_version == "{python}"' for python in found) if len(found) < pythons_in_all else ""
    hashes = "".join(f" \\\n    --hash=sha256:{sha256}" for sha256 in dict.fromkeys(found.values()))
    return f"{name}=={version}{' ; ' + marker if marker else ''}{hashes}\n"


def _own(artifact: Artifact) -> list[own_wheel.OwnWheel]:
    return [own_wheel.made()] if artifact.name == PROVISION else []


def _version(artifact: Artifact, pins: Iterable[Wheel], own: Sequence[own_wheel.OwnWheel]) -> str:
    """The versions for people: of what the components require, or of the few wheels that there are."""
    if own:
        return own[0].version
    asked = {
        name for part in catalogue.load().components if part.artifact == artifact.name for name in part.requirements
    }
    named = [f"{pin.name} {pin.version}" for pin in pins if pin.name in asked] or [f"{pin.version}" for pin in pins]
    return ", ".join(named[:_SHOWN])
