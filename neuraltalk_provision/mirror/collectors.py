"""Which collector finds the files of an artifact that consists of many."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.mirror.apt import AptCollector
from neuraltalk_provision.mirror.collection import Collector, UnavailableError
from neuraltalk_provision.mirror.pull_plan import Request
from neuraltalk_provision.mirror.repository_file import Repositories
from neuraltalk_provision.mirror.rpm_packages import RpmPackages
from neuraltalk_provision.mirror.wheels import Wheels

ANY = ""
"""For a collector that does not depend on the package manager of the platform."""


class Collectors:
    """The collectors: {(kind of the source, package manager of the platform): collector}."""

    def __init__(
        self, catalogue: Catalogue, known: Mapping[tuple[str, str], Collector], repositories: Repositories
    ) -> None:
        self._catalogue, self._known, self._repositories = catalogue, known, repositories

    def of(self, artifact: Artifact, target: Target) -> Collector | None:
        """The one for an artifact on a platform; None if there is none."""
        source = self._catalogue.sources.get(artifact.name)
        kind = source.kind if source else ""
        manager = target.manager or self._repositories.manager(target)
        return self._known.get((kind, manager)) or self._known.get((kind, ANY))

    def ask(self, artifact: Artifact, target: Target) -> Request:
        """The request for an artifact on a platform, or why there cannot be one."""
        collector = self.of(artifact, target)
        if not collector:
            return Request(
                message=f"the package manager of {target.id} is not known, nor are its repositories",
                advice="Write the repositories of this platform into a file, and give it with --repositories FILE; "
                "docs/mirror-details.md shows the fields for apt and for RPM packages.",
            )
        try:
            return Request(collector.request(artifact, target))
        except UnavailableError as error:
            return Request(message=error.message, advice=error.advice, left_out=True)
        except ProvisionError as error:
            return Request(message=error.message, advice=error.advice)


def load(catalogue: Catalogue, repositories: Repositories) -> Collectors:
    """All collectors; `repositories` are those that the user gave."""
    known: dict[tuple[str, str], Collector] = {
        ("os_packages", "apt"): AptCollector(catalogue, repositories),
        ("os_packages", "rpm"): RpmPackages(catalogue, repositories),
        ("python_wheels", ANY): Wheels(),
    }
    return Collectors(catalogue, known, repositories)
