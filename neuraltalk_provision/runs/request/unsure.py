"""What a user must know if nobody knows whether a run was started: the same command can start a second one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from neuraltalk_provision.errors import HostError, InterruptError
from neuraltalk_provision.runs.request.spec import RunSpec


@contextmanager
def starting(runs: Sequence[RunSpec], host: str) -> Iterator[None]:
    """Say of an interruption, and of a lost connection in the block, that the runs may have been started."""
    names = ", ".join(run.id for run in runs)
    advice = (
        f"`provision runs show {runs[0].id} --host {host}` tells whether it was started. Look first: the same command "
        "again can start a second run."
    )
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptError(
            f"interrupted while {names} was being started on {host}; it may run there", advice=advice
        ) from None
    except HostError as error:
        if not any(failure.get("unreachable") for failure in error.document.get("failures", ())):
            raise
        raise HostError(error.message, advice=advice, document=error.document) from error
