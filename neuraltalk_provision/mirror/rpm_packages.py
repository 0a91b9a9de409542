"""Collects the OS packages of platforms with rpm: what they need with all dependencies, from an empty system on."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.platform import Platform
from neuraltalk_provision.catalogue.repositories import origins
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import (
    bounded,
    dnf,
    dnf_answer,
    dnf_errors,
    dnf_request,
    package_names,
    pull_errors,
    repository_file,
    rpm_files,
)
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.dnf_answer import Answer, Repository
from neuraltalk_provision.mirror.repository_file import Repositories, RpmRepository
from neuraltalk_provision.rules.packages import usual_origins

REPOSITORIES = Path("/etc/yum.repos.d")
"""Where a machine has its own repositories."""
_LARGEST_KEY = 1 << 20


@dataclass(frozen=True)
class RpmCollection(Collection):
    """Packages, with what is needed to check them.

    `repositories` are {name of a piece: its repository}, and `installs` is the request for an attempt to install them.
    """

    repositories: Mapping[str, Repository] = field(default_factory=dict)
    installs: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def finish(self, files: Mapping[str, Path], work: Path, stop: Event) -> Collection:
        """Check the signatures, make the index, and try an installation from the result alone."""
        folder = work / "packages"
        rpm_files.lay_out(files, folder)
        for place, repository in enumerate(dict.fromkeys(self.repositories.values())):
            if repository.gpgcheck:
                names = [name for name in sorted(files) if self.repositories[name] == repository]
                rpm_files.check_signatures(folder, names, _keys(repository), work / f"keys-{place}", stop)
        made = rpm_files.make_index(folder, work, stop)
        _try(self, folder, work / "attempt", stop)
        with pull_errors.of_disk(folder):
            shutil.rmtree(folder)
        return replace(self, made=made)


class RpmPackages:
    """The collector (mirror/collection.py) for packages of rpm."""

    def __init__(self, catalogue: Catalogue, repositories: Repositories) -> None:
        self._catalogue, self._repositories = catalogue, repositories

    def request(self, artifact: Artifact, target: Target) -> str:
        """See Collector. Raises MirrorError if there are no repositories."""
        given = self._repositories.rpm(target)
        places = [one.baseurl[0] for one in given] if given else [_of_this_machine(target)]
        return package_names.names(self._catalogue, target, "rpm").line("dnf", target, ", ".join(places))

    def collect(self, artifact: Artifact, target: Target, work: Path, stop: Event) -> RpmCollection:
        """See Collector. Raises MirrorError that names every required package that no repository has."""
        dnf.interpreter()
        rpm_files.need_programs()
        names = package_names.names(self._catalogue, target, "rpm")
        given = self._repositories.rpm(target)
        if given:
            asked = {_id(one, place): one for place, one in enumerate(given, 1)}
            where: dict[str, Any] = {"repositories": [_described(name, one) for name, one in asked.items()]}
        else:
            _of_this_machine(target)
            asked, where = {}, {"machine_repositories": [str(REPOSITORIES)]}
        answer = dnf.ask(dnf_request.document(names, target, **where), work / "dnf", stop)
        if answer.failure:
            failed = asked.get(answer.failure.repository)
            raise dnf_errors.of_failure(answer.failure, target.key, ", ".join(failed.baseurl) if failed else "")
        if answer.missing:
            usual = usual_origins(answer.missing, origins(catalogues.repositories(), target.key))
            raise dnf_errors.of_missing(answer.missing, target.key, usual)
        dnf_answer.refuse_other_release(answer, target.key, target.major)
        return RpmCollection(
            pieces=dnf_answer.pieces(answer),
            version=f"{len(answer.packages)} packages",
            left_out={name: dnf_errors.in_one_line(why) for name, why in sorted(answer.left_out.items())},
            remarks=_remarks(answer),
            repositories={one.file: answer.repositories[one.repository] for one in answer.packages},
            installs=dnf_request.attempt([one.name for one in answer.packages], target),
            key=target.key,
        )


def _try(found: RpmCollection, folder: Path, work: Path, stop: Event) -> None:
    """Install all packages into an empty system from the result alone, up to the point where files would be written."""
    shutil.rmtree(work, ignore_errors=True)
    # rpm tries a whole transaction only for root; for others dnf alone decides.
    request = {**found.installs, "directory": folder.absolute().as_uri(), "test": os.geteuid() == 0}
    answer = dnf.ask(request, work, stop)
    if answer.failure or answer.missing:
        why = (
            dnf_errors.harmless(answer.failure.text)
            if answer.failure
            else f"these are missing: {', '.join(answer.missing)}"
        )
        raise MirrorError(
            f"the packages that were found for {found.key} cannot be installed from the result alone:\n{why}",
            advice="The repositories do not fit each other, or their indexes describe other packages than they have. "
            "Use repositories of the same release.",
        )
    shutil.rmtree(work, ignore_errors=True)


def _id(repository: RpmRepository, place: int) -> str:
    """Its name for dnf, and so in the cache, where keys stay: what other keys had signed is not accepted."""
    digest = hashlib.sha256(repr((repository.baseurl, repository.repo_gpgcheck)).encode())
    for key in repository.gpgkey:
        with naming(key, "read", UsageError):
            digest.update(bounded.read(key, _LARGEST_KEY).content)
    return f"repository{place}-{digest.hexdigest()[:12]}"


def _described(name: str, repository: RpmRepository) -> dict[str, Any]:
    return {
        "id": name,
        "addresses": list(repository.baseurl),
        "keys": [key.absolute().as_uri() for key in repository.gpgkey],
        "gpgcheck": repository.gpgcheck,
        "index_signed": repository.repo_gpgcheck,
    }


def _remarks(answer: Answer) -> tuple[str, ...]:
    return tuple(
        f"{one.address}: its packages are not checked for signatures, because gpgcheck is false"
        for one in answer.repositories
        if not one.gpgcheck
    )


def _keys(repository: Repository) -> Sequence[Path]:
    """The files with the keys of a repository. Raises MirrorError for one that is not on this machine."""
    found = []
    for key in repository.keys:
        parts = urlsplit(key)
        file = Path(unquote(parts.path))
        if parts.scheme != "file" or not file.is_file():
            raise MirrorError(
                f"{repository.address}: its key {key} is not a file on this machine",
                advice="Get the key from those who make the distribution, and name its file in gpgkey.",
            )
        found.append(file)
    if not found:
        raise MirrorError(
            f"{repository.address}: no key is given for it, so the signatures of its packages cannot be checked",
            advice="Name the files of its keys in gpgkey of the repository.",
        )
    return found


def _of_this_machine(target: Target) -> str:
    """The repositories of this machine, for the line of the request. MirrorError if it is of another platform."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    own = Platform(release.get("ID", "").lower(), release.get("VERSION_ID", ""), platform.machine(), "dnf").key
    if own != target.key or not REPOSITORIES.is_dir():
        raise MirrorError(
            f"no repositories are given for {target.key}, and this machine, {own}, cannot have them itself",
            advice="Write them into a file, and give it with --repositories FILE:\n" + repository_file.form(target),
        )
    digest = hashlib.sha256()
    with naming(REPOSITORIES, "read", MirrorError):
        for file in sorted(REPOSITORIES.glob("*.repo")):
            digest.update(bounded.read(file, _LARGEST_KEY).content)
    return f"{REPOSITORIES} ({digest.hexdigest()[:12]})"
