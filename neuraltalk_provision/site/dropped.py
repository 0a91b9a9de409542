"""Connections that an SSH server closed before the login: which hosts are tried again, and when. Pure.

sshd does this if more logins begin at once than its MaxStartups allows, for example on a bastion through which all
hosts are reached; and the one of a host that is booting lets only root in. Nothing was done then on the host, so that
the same playbook can run again on these hosts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Change, Failure, PlayResults

ROUNDS: Sequence[tuple[float, int]] = ((2.0, 8), (4.0, 4), (8.0, 2), (16.0, 1))
"""(seconds to wait, hosts at once) of each further try. sshd refuses nobody below 10 logins at once by default."""


def hosts(results: PlayResults) -> tuple[str, ...]:
    """The hosts whose connection was closed before the login, and on which this playbook has done nothing yet."""
    return tuple(
        failure.host
        for failure in results.failures
        if failure.code in (codes.SSH_DROPPED, codes.SSH_NOT_NOW) and results.tasks.get(failure.host) == 1
    )


def merged(before: PlayResults, again: PlayResults, tried: Sequence[str]) -> PlayResults:
    """The results of all hosts: those of the further try for the hosts that were tried again.

    A host of which nothing was heard then keeps its failure.
    """
    tried = [host for host in tried if host in again.tasks]
    failures: tuple[Failure, ...] = tuple(failure for failure in before.failures if failure.host not in tried)
    changes: tuple[Change, ...] = tuple(change for change in before.changes if change.host not in tried)
    return replace(
        before,
        results=(*(one for one in before.results if one[0] not in tried), *again.results),
        failures=(*failures, *again.failures),
        changes=(*changes, *again.changes),
        diffs=(*(one for one in before.diffs if one[0] not in tried), *again.diffs),
        warnings=(*before.warnings, *again.warnings),
        tasks={**before.tasks, **again.tasks},
    )
