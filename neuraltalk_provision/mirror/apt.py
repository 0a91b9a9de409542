"""Collects OS packages for hosts with apt: everything that a bare host needs, from the repositories of its platform."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Event

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import apt_errors, apt_index, apt_machine, apt_sources, package_names, repository_file
from neuraltalk_provision.mirror.apt_index import Available
from neuraltalk_provision.mirror.apt_machine import Machine
from neuraltalk_provision.mirror.apt_root import AptRoot
from neuraltalk_provision.mirror.apt_sources import Source
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.repositories import PACKAGES
from neuraltalk_provision.mirror.repository_file import Repositories


@dataclass(frozen=True)
class _Chosen:
    """Packages to install, and the optional ones that cannot be: {name: reason}."""

    names: tuple[str, ...]
    left_out: dict[str, str]


class AptCollector:
    """The collector for platforms with apt, on any machine that has apt."""

    def __init__(self, catalogue: Catalogue, repositories: Repositories) -> None:
        self._catalogue, self._repositories = catalogue, repositories

    @cached_property
    def _machine(self) -> Machine:
        return apt_machine.read()

    def request(self, artifact: Artifact, target: Target) -> str:
        """The repositories and the names of the packages, as one line."""
        places = apt_sources.words(self._sources(target))
        return package_names.names(self._catalogue, target, "apt").line("apt", target, places)

    def collect(self, artifact: Artifact, target: Target, work: Path, stop: Event) -> Collection:
        """All packages that a host needs which has none, with the index of a flat repository."""
        root = AptRoot(work.absolute() / "repositories", target.key, stop)
        with _keys_at_plain_paths(self._sources(target)) as sources:
            root.prepare(apt_sources.deb822(sources), self._machine, own_keys=not self._repositories.apt(target))
            root.update()
        available = Available(root.available())
        chosen = self._choose(root, target, available)
        places = apt_index.addresses(root.addresses(chosen.names))
        records = [available.record(place) for place in places]
        index = apt_index.write(records)
        self._try(work.absolute() / "trial", target, index, chosen.names, stop)
        root.remove_cache()
        return Collection(
            pieces=tuple(apt_index.piece(record, place) for record, place in zip(records, places, strict=True)),
            made={PACKAGES: index},
            version=f"{len(records)} packages",
            left_out=chosen.left_out,
            environment=self._machine.proxies,
        )

    def _sources(self, target: Target) -> tuple[Source, ...]:
        given = self._repositories.apt(target)
        machine = self._machine
        if given:
            return apt_sources.of_user(given)
        found: Sequence[Source] = ()
        if machine.id == target.id:
            found = apt_sources.of_release(machine.sources, machine.codenames)
            if machine.major != target.major:
                found = apt_sources.for_release(found, machine.codenames, target) if target.codename else ()
        if not found:
            what = f"{machine.id or 'an unknown system'} {machine.major or ''}".strip()
            raise UsageError(
                f"the sources of apt on this machine ({what}) do not show where packages of {target.key} are",
                advice="Write the repositories of this platform into a file, and give it with --repositories FILE. For "
                f"example:\n{repository_file.form(target)}",
            )
        apt_sources.refuse_unsafe(found)
        return tuple(found)

    def _choose(self, root: AptRoot, target: Target, available: Available) -> _Chosen:
        """The packages that every host has, the required ones, and those of the optional ones that can be installed."""
        wanted = package_names.names(self._catalogue, target, "apt")
        # Also what a host has already, so that the closure installs on older hosts of the release, and on nothing.
        names = tuple(dict.fromkeys((*sorted(available.base), *wanted.required)))
        there = tuple(name for name in wanted.optional if name in available.names)
        left_out = {name: "the repositories do not have it" for name in wanted.optional if name not in available.names}
        if not root.problem((*names, *there)):
            return _Chosen((*names, *there), left_out)
        problem = root.problem(names)
        if problem:
            raise apt_errors.not_installable(target.key, wanted.required, problem)
        for name in there:
            problem = root.problem((*names, name))
            if problem:
                left_out[name] = f"it cannot be installed: {apt_errors.reason(problem)}"
            else:
                names = (*names, name)
        return _Chosen(names, left_out)

    def _try(self, folder: Path, target: Target, index: bytes, names: Sequence[str], stop: Event) -> None:
        """Install all packages, without doing so, on an empty system whose only repository has this index."""
        repository, root = folder / "repository", AptRoot(folder / "root", target.key, stop)
        repository.mkdir(parents=True, exist_ok=True)
        (repository / PACKAGES).write_bytes(index)
        source = f"Types: deb\nURIs: {repository.as_uri()}\nSuites: ./\nTrusted: yes\n"
        root.prepare(source, self._machine, own_keys=False)
        root.update()
        problem = root.problem(names)
        root.remove_cache()
        if problem:
            raise MirrorError(
                f"packages-{target.key}: the packages that were found cannot be installed without other repositories: "
                f"{apt_errors.reason(problem)}",
                advice="Tell the authors, with this message.",
            )


@contextmanager
def _keys_at_plain_paths(sources: Sequence[Source]) -> Iterator[tuple[Source, ...]]:
    """The sources with copies of the files of keys whose paths have a space or comma, at which apt would split them."""
    with tempfile.TemporaryDirectory(prefix="provision-keys-") as folder:
        found = []
        for place, one in enumerate(sources):
            file = Path(one.signed_by)
            if re.fullmatch(r"/.*[ ,].*", one.signed_by) and file.is_file():
                copy = shutil.copyfile(file, Path(folder) / f"{place}{file.suffix}")
                found.append(replace(one, signed_by=str(copy)))
            else:
                found.append(one)
        yield tuple(found)
