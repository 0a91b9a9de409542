"""Fetches what a plan names into the mirror: several transfers at once, resumable, never anything half done.

The directory `.pull` of the mirror keeps what has arrived until the artifacts that need it are complete. Only the
process that holds its guard works there, so what an ended process left behind is found and removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.model import GitSource, UrlSource
from neuraltalk_provision.errors import MirrorError, ProvisionError, naming
from neuraltalk_provision.mirror import (
    download,
    git,
    git_progress,
    lock,
    pull_errors,
    pull_plan,
    source_archive,
    store,
)
from neuraltalk_provision.mirror.pull_plan import Mirror, PullPlan, Row, Transfer, origin

FOLDER = ".pull"
PATIENCE = 3.0
"""Seconds to wait for another pull. One that was killed can need a moment to let go."""


class Report(Protocol):
    """Where progress is shown."""

    def begin(self, name: str, size: int) -> None:
        """A transfer began; `size` in bytes is 0 if it is not known."""

    def at(self, name: str, fraction: float, words: str) -> None:
        """A transfer got so far."""

    def end(self, name: str, words: str) -> None:
        """A transfer ended."""


@dataclass(frozen=True)
class Failure:
    """Why an artifact could not be added."""

    name: str
    message: str
    advice: str


@dataclass(frozen=True)
class Pulled:
    """What a pull did."""

    added: tuple[lock.Entry, ...]
    failures: tuple[Failure, ...]


def inventory(mirror: Path) -> Mirror:
    """What the mirror has, without hashing it; nothing if there is no mirror yet."""
    with naming(mirror, "read", MirrorError):
        if not (mirror / lock.FILE_NAME).exists():
            return Mirror()
        entries = lock.read(mirror).by_name()
        sizes = {
            entry.file: (mirror / entry.file).stat().st_size for entry in entries.values() if _is_file(mirror, entry)
        }
    return Mirror(entries, sizes)


def _is_file(mirror: Path, entry: lock.Entry) -> bool:
    return (mirror / entry.file).is_file()


def pull(mirror: Path, plan: PullPlan, catalogue: Catalogue, report: Report, jobs: int = 4) -> Pulled:
    """Fetch what the plan names and add it to the mirror. A failure of one artifact does not stop the others."""
    rows = list(plan.of("pull"))
    if not rows:
        return Pulled((), ())
    for program in sorted({"curl" if isinstance(row.source, UrlSource) else "git" for row in rows}):
        if not shutil.which(program):
            raise pull_errors.missing_program(program)
    with pull_errors.of_disk(mirror):
        cache = mirror / FOLDER
        cache.mkdir(parents=True, exist_ok=True)
        _refuse_full(cache, rows)
        with _guard(cache):
            _remove_rest(cache)
            _begin_lock(mirror)
            # Another pull, for which this one waited, can have brought some of it.
            rows = [row for row in rows if not pull_plan.has(inventory(mirror), row.name, row.source)]
            return _Work(mirror, cache, catalogue, report).all_of(rows, pull_plan.transfers_of(rows), jobs)


def _refuse_full(cache: Path, rows: Sequence[Row]) -> None:
    """MirrorError if the disk cannot hold what is known to come: each file exists twice for a moment."""
    needed = sum(row.size for row in rows) + max(row.size for row in rows)
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise MirrorError(
            f"{cache.parent} has {free:,} bytes free, but this needs at least {needed:,}",
            advice="Free some space, then run the same command again.",
        )


@contextlib.contextmanager
def _guard(cache: Path) -> Iterator[None]:
    """Hold the cache. MirrorError if another process holds it, and does not end in a moment."""
    handle = os.open(cache / "guard", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        end = time.monotonic() + PATIENCE
        while not _held(handle):
            if time.monotonic() > end:
                raise MirrorError(
                    f"another `provision mirror pull` works on {cache.parent} at this moment",
                    advice="Wait until it has ended; then this command moves only what is still missing.",
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _held(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _begin_lock(mirror: Path) -> None:
    """Give a new mirror its lock before its first file: a mirror with files and without a lock has lost it."""
    with lock.changing(mirror) as before:
        if not (mirror / lock.FILE_NAME).exists():
            lock.write(mirror, before)


def _remove_rest(cache: Path) -> None:
    """Remove what a process that was killed left incomplete. A part of a file stays, because it can be continued."""
    for rest in (cache / "git").glob(f"{git.PART}*"):
        shutil.rmtree(rest, ignore_errors=True)
    shutil.rmtree(cache / "archives", ignore_errors=True)


class _Work:
    """One pull: transfers run in threads; archives are made and added here, as soon as all their parts are there."""

    def __init__(self, mirror: Path, cache: Path, catalogue: Catalogue, report: Report) -> None:
        self.mirror, self.cache, self.catalogue, self.report = mirror, cache, catalogue, report
        self.stop = Event()
        self.paths: dict[str, Path] = {}
        self.added: list[lock.Entry] = []
        self.failures: list[Failure] = []

    def all_of(self, rows: Sequence[Row], transfers: Sequence[Transfer], jobs: int) -> Pulled:
        """The result of all rows."""
        open_rows = list(rows)
        with ThreadPoolExecutor(jobs) as pool:
            running: dict[Future[Path], Transfer] = {pool.submit(self._fetch, one): one for one in transfers}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        open_rows = self._ended(running.pop(future), future, open_rows)
            except BaseException:
                self.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return Pulled(tuple(sorted(self.added, key=lambda entry: entry.name)), tuple(self.failures))

    def _fetch(self, transfer: Transfer) -> Path:
        """The fetched repository or file."""
        name, report = transfer.name, self.report
        report.begin(name, transfer.size)
        try:
            with pull_errors.of_disk(self.cache):
                if transfer.file:
                    size = transfer.file.size
                    path = download.fetch(
                        self.cache / "files",
                        transfer.file,
                        address=transfer.address,
                        advance=lambda count: report.at(name, count / size, ""),
                        stop=self.stop,
                    )
                else:
                    path = git.fetch(
                        self.cache / "git",
                        transfer.address,
                        transfer.commit,
                        origin=transfer.origin,
                        watch=lambda line: report.at(name, *git_progress.parse(line)),
                        stop=self.stop,
                    )
        except ProvisionError:
            report.end(name, "stopped" if self.stop.is_set() else "failed")
            raise
        report.end(name, "fetched")
        return path

    def _ended(self, transfer: Transfer, future: Future[Path], rows: list[Row]) -> list[Row]:
        """Add the artifacts whose last part this was; the rows that still wait for others."""
        using = [row for row in rows if any(part.key == transfer.key for part in row.transfers)]
        try:
            path = future.result()
        except ProvisionError as error:
            self.failures += [Failure(row.name, error.message, error.advice) for row in using]
            return [row for row in rows if row not in using]
        self.paths[transfer.key] = path
        ready = [row for row in using if all(part.key in self.paths for part in row.transfers)]
        for row in ready:
            try:
                with pull_errors.of_disk(self.cache):
                    self.added.append(self._add(row))
            except ProvisionError as error:
                self.failures.append(Failure(row.name, error.message, error.advice))
        return [row for row in rows if row not in ready]

    def _add(self, row: Row) -> lock.Entry:
        """Make the artifact's file and add it to the mirror."""
        folder = self.cache / "archives"
        folder.mkdir(exist_ok=True)
        file = folder / row.file
        try:
            if isinstance(row.source, GitSource):
                self._pack(row, row.source, file)
            else:
                _second_name(self.paths[row.transfers[0].key], file)
            assert isinstance(row.source, GitSource | UrlSource)
            version = row.source.commit[:12] if isinstance(row.source, GitSource) else ""
            given = _unlisted(self.mirror / row.file, file)
            entry = store.add(
                self.mirror, given, self.catalogue, given=row.name, version=version, origin=origin(row.source)
            )
            if isinstance(row.source, UrlSource):
                self.paths[row.transfers[0].key].unlink()  # a repository stays, and saves the next transfer
            return entry
        finally:
            file.unlink(missing_ok=True)

    def _pack(self, row: Row, source: GitSource, file: Path) -> None:
        paths = ["", *(part.path for part in source.submodules)]
        parts = [
            source_archive.Part(self.paths[transfer.key], transfer.commit, path)
            for transfer, path in zip(row.transfers, paths, strict=True)
        ]
        written = source_archive.write(file, row.name, parts, source.left_out)
        if source.sha256 and written.sha256 != source.sha256:
            raise MirrorError(
                f"{row.file} from {source.address} at {source.commit} has the sha256 {written.sha256}, but the "
                f"catalogue says {source.sha256}",
                advice=f"It was not added. Remove {self.cache}, which can be fetched again, and run the same command "
                "again. If the result is the same, tell the authors: the catalogue is wrong, or what was fetched.",
            )


def _second_name(found: Path, file: Path) -> None:
    """`file` as another name of a file, or a copy where the disk has no hard links, such as many USB sticks."""
    try:
        file.hardlink_to(found)
    except OSError:
        shutil.copyfile(found, file)


def _unlisted(target: Path, file: Path) -> Path:
    """The file in the mirror if it is equal already: a killed command gave it its name and did not list it yet."""
    equal = target.is_file() and not target.is_symlink() and filecmp.cmp(target, file, shallow=False)
    return target if equal else file
