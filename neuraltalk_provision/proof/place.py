"""Where a proof takes place: a host of an inventory that has one host, without a way out, under a recorder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from neuraltalk_provision.mirror.lock import Entry
from neuraltalk_provision.proof import contents
from neuraltalk_provision.proof.container import Container
from neuraltalk_provision.proof.recorded import Seen
from neuraltalk_provision.proof.recorder import Recording, recording


@dataclass(frozen=True)
class Ended:
    """What was recorded, and what is installed at the end: {name: version} of OS packages and of wheels."""

    seen: Seen
    packages: Mapping[str, str] = field(default_factory=dict)
    wheels: Mapping[str, str] = field(default_factory=dict)


class Place(Protocol):
    """A host during a proof. Everything that Ansible runs by `inventory` is recorded."""

    @property
    def words(self) -> str:
        """What it is, for the record."""

    @property
    def inventory(self) -> Path:
        """An inventory with this host only."""

    @property
    def before(self) -> Mapping[str, str]:
        """{name: version} of the OS packages that were installed before."""

    def prepare(self, mirror: Path, packages: Entry | None, stack_root: str) -> None:
        """Install what Ansible needs, from the mirror."""

    def end(self, generation: str = "") -> Ended:
        """Try the recorder once more, end it, and look what is installed."""


@dataclass(frozen=True)
class ContainerPlace:
    """A container as a place."""

    container: Container
    recording: Recording
    words: str
    inventory: Path
    before: Mapping[str, str]

    def prepare(self, mirror: Path, packages: Entry | None, stack_root: str) -> None:
        """Install Python, if the image has none."""
        contents.ensure_python(self.container, mirror, packages, stack_root)

    def end(self, generation: str = "") -> Ended:
        """Try the recorder once more, end it, and look what is installed."""
        self.recording.plant()
        seen = self.recording.end()
        if not generation:
            return Ended(seen)
        packages = contents.packages_of(self.container)
        return Ended(seen, packages, contents.wheels_of(self.container, generation))


@contextmanager
def of_container(container: Container, image: str, folder: Path) -> Iterator[ContainerPlace]:
    """The container as a place; `folder` is for its inventory."""
    with recording(container) as running:
        yield ContainerPlace(
            container,
            running,
            f"container of {image} ({container.image})",
            container.inventory(folder),
            contents.packages_of(container),
        )
