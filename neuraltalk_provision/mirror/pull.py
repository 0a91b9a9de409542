"""Fetches what a plan names into the mirror: several transfers at once, resumable, never anything half done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.model import GitSource, MadeSource, UrlSource
from neuraltalk_provision.errors import MirrorError, ProvisionError, naming
from neuraltalk_provision.mirror import (
    collecting,
    collection_archive,
    download,
    git,
    git_progress,
    installer,
    lock,
    made,
    pull_errors,
    pull_folder,
    pull_plan,
    source_archive,
    store,
)
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.pull_plan import Mirror, PullPlan, Row, Transfer
from neuraltalk_provision.mirror.pull_progress import Progress, Report

__all__ = ["Failure", "Pulled", "Report", "inventory", "pull"]


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
        files = [mirror / entry.file for entry in entries.values()]
        sizes = {file.name: file.stat().st_size for file in files if file.is_file()}
    return Mirror(entries, sizes)


def pull(mirror: Path, plan: PullPlan, catalogue: Catalogue, report: Report, jobs: int = 4) -> Pulled:
    """Fetch what the plan names and add it to the mirror. A failure of one artifact does not stop the others."""
    rows = list(plan.of("pull"))
    if not rows and not _made(plan, inventory(mirror)):
        return Pulled((), ())
    for program in sorted({"git" if isinstance(row.source, GitSource) else "curl" for row in rows}):
        if not shutil.which(program):
            raise pull_errors.missing_program(program)
    with pull_folder.working(mirror) as cache:
        _refuse_full(cache, rows)
        _begin_lock(mirror)
        # Another pull, for which this one waited, can have brought some of it.
        there = inventory(mirror)
        rows = [row for row in rows if not pull_plan.has(there, row)]
        pulled = _Work(mirror, cache, catalogue, rows, report).all_of(jobs)
        return _with_made(pulled, mirror, cache, _made(plan, inventory(mirror)), catalogue)


def _made(plan: PullPlan, there: Mirror) -> list[tuple[Row, lock.Entry]]:
    """Files that the mirror can have now, each with the entry of the file that it is made for."""
    rows = [row for row in plan.rows if isinstance(row.source, MadeSource) and row.state != "kept"]
    found = [(row, there.entries.get(row.source.of)) for row in rows if isinstance(row.source, MadeSource)]
    return [(row, base) for row, base in found if base and not _has_made(there, there.entries.get(row.name), base)]


def _has_made(there: Mirror, entry: lock.Entry | None, base: lock.Entry) -> bool:
    return bool(entry and entry.origin == made.origin(base) and there.sizes.get(entry.file) == entry.size)


def _with_made(
    pulled: Pulled, mirror: Path, cache: Path, rows: Sequence[tuple[Row, lock.Entry]], catalogue: Catalogue
) -> Pulled:
    """What was pulled, and the files that are made for it."""
    added, failures = list(pulled.added), list(pulled.failures)
    for row, base in rows:
        file = cache / "archives" / row.file
        try:
            with pull_errors.of_disk(cache):
                file.parent.mkdir(exist_ok=True)
                file.write_text(installer.text(base), encoding="utf-8")
                origin = made.origin(base)
                added.append(store.add(mirror, file, catalogue, given=row.name, version=base.version, origin=origin))
        except ProvisionError as error:
            failures.append(Failure(row.name, error.message, error.advice))
        finally:
            file.unlink(missing_ok=True)
    return Pulled(tuple(added), tuple(failures))


def _refuse_full(cache: Path, rows: Sequence[Row]) -> None:
    """MirrorError if the disk cannot hold what is known to come.

    Each file exists twice for a moment, and a collection three times: its files, its tar, and the copy in the mirror.
    """
    twice = max((row.size * (2 if row.collection else 1) for row in rows), default=0)
    needed = sum(row.size for row in rows) + twice
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise MirrorError(
            f"{cache.parent} has {free:,} bytes free, but this needs at least {needed:,}",
            advice="Free some space, then run the same command again.",
        )


def _begin_lock(mirror: Path) -> None:
    """Give a new mirror its lock before its first file: a mirror with files and without a lock has lost it."""
    with lock.changing(mirror) as before:
        if not (mirror / lock.FILE_NAME).exists():
            lock.write(mirror, before)


class _Work:
    """One pull: transfers run in threads; archives are made and added here, as soon as all their parts are there."""

    def __init__(self, mirror: Path, cache: Path, catalogue: Catalogue, rows: Sequence[Row], report: Report) -> None:
        self.mirror, self.cache, self.catalogue, self.rows = mirror, cache, catalogue, list(rows)
        self.keys = {row.name: frozenset(part.key for part in row.transfers) for row in rows}
        self.transfers = pull_plan.transfers_of(rows)
        self.progress = Progress(report, self.transfers)
        self.stop = Event()
        self.paths: dict[str, Path] = {}
        self.added: list[lock.Entry] = []
        self.failures: list[Failure] = []

    def all_of(self, jobs: int) -> Pulled:
        """The result of all rows."""
        with ThreadPoolExecutor(jobs) as pool:
            running: dict[Future[Path], Transfer] = {pool.submit(self._fetch, one): one for one in self.transfers}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self._ended(running.pop(future), future)
                    for future, transfer in [*running.items()]:
                        if not self._using(transfer.key) and future.cancel():
                            running.pop(future)
            except BaseException:
                self.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return Pulled(tuple(sorted(self.added, key=lambda entry: entry.name)), tuple(self.failures))

    def _using(self, key: str) -> list[Row]:
        """The artifacts that are not complete and need this part."""
        return [row for row in self.rows if key in self.keys[row.name]]

    def _fetch(self, transfer: Transfer) -> Path:
        """The fetched repository or file."""
        self.progress.begin(transfer)
        try:
            with pull_errors.of_disk(self.cache):
                path = self._file(transfer, transfer.file) if transfer.file else self._repository(transfer)
        except ProvisionError:
            self.progress.end(transfer, "stopped" if self.stop.is_set() else "failed", good=False)
            raise
        self.progress.end(transfer, "fetched", good=True)
        return path

    def _file(self, transfer: Transfer, source: UrlSource) -> Path:
        return download.fetch(
            self.cache / "files",
            source,
            address=transfer.address,
            advance=lambda count: self.progress.at(transfer, count / source.size if source.size else 0.0, ""),
            stop=self.stop,
            environment=transfer.environment,
        )

    def _repository(self, transfer: Transfer) -> Path:
        return git.fetch(
            self.cache / "git",
            transfer.address,
            transfer.commit,
            origin=transfer.origin,
            watch=lambda line: self.progress.at(transfer, *git_progress.parse(line)),
            stop=self.stop,
        )

    def _ended(self, transfer: Transfer, future: Future[Path]) -> None:
        """Add the artifacts whose last part this was."""
        using = self._using(transfer.key)
        try:
            self.paths[transfer.key] = future.result()
        except ProvisionError as error:
            self._failed(using, error)
            return
        for row in [row for row in using if self.keys[row.name] <= self.paths.keys()]:
            try:
                with pull_errors.of_disk(self.cache):
                    self.added.append(self._add(row))
                    self.rows.remove(row)
                    self._remove_files(row)
            except ProvisionError as error:
                self._failed([row], error)

    def _failed(self, rows: Sequence[Row], error: ProvisionError) -> None:
        for row in rows:
            self.failures.append(Failure(row.name, error.message, error.advice))
            self.progress.give_up(row.name)
        self.rows = [row for row in self.rows if row not in rows]

    def _remove_files(self, row: Row) -> None:
        """Remove the files that only this artifact needed. A repository stays, and saves the next transfer."""
        for part in row.transfers:
            if part.file and not self._using(part.key):
                self.paths[part.key].unlink(missing_ok=True)

    def _add(self, row: Row) -> lock.Entry:
        """Make the artifact's file and add it to the mirror."""
        folder = self.cache / "archives"
        folder.mkdir(exist_ok=True)
        file = folder / row.file
        try:
            version = ""
            if isinstance(row.source, GitSource):
                self._pack(row, row.source, file)
                version = row.source.commit[:12]
            elif row.collection:
                self._pack_collection(row, row.collection, file)
                version = row.collection.version
            else:
                _second_name(self.paths[row.transfers[0].key], file)
            return store.add(self.mirror, file, self.catalogue, given=row.name, version=version, origin=row.origin)
        finally:
            file.unlink(missing_ok=True)

    def _pack_collection(self, row: Row, found: Collection, file: Path) -> None:
        files = {piece.name: self.paths[piece.sha256] for piece in found.pieces}
        finished = found.finish(files, self.cache / collecting.FOLDER / row.name, self.stop)
        collection_archive.check(row.name, finished)
        collection_archive.write(file, finished, self.paths)

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
