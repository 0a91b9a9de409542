"""A collector for tests: wheels from a directory, and nothing else."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.model import PackageSource
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.collection import Collection, Piece
from neuraltalk_provision.mirror.collectors import Collectors
from neuraltalk_provision.mirror.pull import Pulled
from neuraltalk_provision.mirror.repository_file import Repositories
from tests.unit.catalogue import SMALL

WHEELS = "python-wheels-debian-12-x86_64"
CATALOGUE = SMALL.model_copy(update={"sources": {"python-wheels": PackageSource(kind="python_wheels")}})


@dataclass
class Shelf:
    """A directory of wheels, as a collector."""

    place: Path
    line: str = "pip h5py from https://index.example.org"
    error: MirrorError | None = None
    sizes: bool = True
    asked: list[str] = field(default_factory=list)
    changes: dict[str, object] = field(default_factory=dict)

    def request(self, artifact: Artifact, target: Target) -> str:
        return f"{self.line} for {target.key}"

    def collect(self, artifact: Artifact, target: Target, work: Path, stop: Event) -> Collection:
        assert work.is_dir()
        self.asked.append(target.key)
        if self.error:
            raise self.error
        pieces = tuple(self.piece(file) for file in sorted(self.place.iterdir(), reverse=True))
        fields: dict[str, object] = {"pieces": pieces, "made": {"index.txt": b"made\n"}, "version": "2 wheels"}
        fields["left_out"] = {"ipython": "there is none for Python 2"}
        return Collection(**(fields | self.changes))  # type: ignore[arg-type]

    def piece(self, file: Path) -> Piece:
        data = file.read_bytes()
        size = len(data) if self.sizes else 0
        return Piece(file.name, file.as_uri(), hashlib.sha256(data).hexdigest(), size)

    def collectors(self, catalogue: Catalogue = CATALOGUE) -> Collectors:
        return Collectors(catalogue, {("python_wheels", ""): self}, Repositories())


def shelf(place: Path, wheels: Mapping[str, bytes] | None = None) -> Shelf:
    """A shelf with these wheels."""
    place.mkdir(parents=True)
    for name, data in (wheels or {"h5py-2-py3-none-any.whl": b"h5py", "numpy-1-py3-none-any.whl": b"numpy"}).items():
        (place / name).write_bytes(data)
    return Shelf(place)


class Said(list[str]):
    """A report that keeps what it was told."""

    def begin(self, name: str, size: int) -> None:
        self.append(f"begin {name} {size}")

    def at(self, name: str, fraction: float, words: str) -> None:
        assert 0 <= fraction <= 1

    def end(self, name: str, words: str) -> None:
        self.append(f"{words} {name}")


def kill_at(moment: int, pull: Callable[[], Pulled]) -> bool:
    """Pull in a process that kills itself at the `moment`-th change of the disk or start of a program."""
    process = os.fork()
    if process == 0:
        count = 0
        events = ("os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "subprocess.Popen", "tempfile.mkstemp")

        def hook(event: str, _given: object) -> None:
            nonlocal count
            if event in events:
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            os._exit(0 if not pull().failures else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(process, 0)
    assert status == 0 or os.WIFSIGNALED(status)
    return os.WIFSIGNALED(status)
