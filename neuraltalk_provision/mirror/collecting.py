"""Lets the collectors find the files of the artifacts that consist of many. Only indexes are moved."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.mirror import collection_archive, pull_errors, pull_folder, pull_plan
from neuraltalk_provision.mirror.collectors import Collectors
from neuraltalk_provision.mirror.pull_plan import PullPlan, Row
from neuraltalk_provision.mirror.pull_progress import Report

FOLDER = "collect"
"""In the directory `.pull`: what each collector keeps there is in a directory with the name of the artifact."""


def collect(
    mirror: Path,
    plan: PullPlan,
    collectors: Collectors,
    report: Report,
    *,
    known: Mapping[str, str] | None = None,
    jobs: int = 4,
) -> PullPlan:
    """The plan with the files of the rows that have to be collected; a row whose collector fails has the reason.

    `known` maps beginnings of addresses to others.
    """
    rows = plan.of("collect")
    if not rows:
        return plan
    with pull_folder.working(mirror) as cache:
        work = _Work(cache / FOLDER, collectors, report, known or {})
        with ThreadPoolExecutor(jobs) as pool:
            futures = {row.name: pool.submit(work.of, row) for row in rows}
            try:
                found = {name: future.result() for name, future in futures.items()}
            except BaseException:
                work.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return replace(plan, rows=tuple(found.get(row.name, row) for row in plan.rows))


class _Work:
    def __init__(self, folder: Path, collectors: Collectors, report: Report, known: Mapping[str, str]) -> None:
        self._folder, self._collectors, self._report, self._known = folder, collectors, report, known
        self.stop = Event()

    def of(self, row: Row) -> Row:
        """The row with its files, or with the reason why they could not be found."""
        line = f"index of {row.name}"
        self._report.begin(line, 0)
        words = "failed"
        try:
            found = self._found(row)
            words = "read"
        except ProvisionError as error:
            found = pull_plan.failed(row, error.message, error.advice)
        finally:
            self._report.end(line, words)
        return found

    def _found(self, row: Row) -> Row:
        assert row.target
        collector = self._collectors.of(row.artifact, row.target)
        assert collector
        work = self._folder / row.name
        with pull_errors.of_disk(work):
            work.mkdir(parents=True, exist_ok=True)
            collection = collector.collect(row.artifact, row.target, work, self.stop)
            collection_archive.check(row.name, collection)
        return pull_plan.collected(row, collection, self._known)
