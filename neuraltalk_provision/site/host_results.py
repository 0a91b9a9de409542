"""Checks results on arrival: the typed result of each host, or a failure that names the host and the field. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuraltalk_provision.results import base
from neuraltalk_provision.results.base import Read
from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import DROPPED, Failure, PlayResults


def of(
    received: PlayResults, action: str, shape: type[Read], hosts: Sequence[str] = ()
) -> tuple[dict[str, Read], tuple[Failure, ...]]:
    """({host: its result of the module `action`}, the failures of all other hosts).

    A host is a failure if it failed itself, if it is one of `hosts` and sent no result, if its result was dropped
    because of its size, or if its result is not of that type. Pass `playbook.Outcome.results`.
    """
    failures = {failure.host: failure for failure in received.failures}
    results: dict[str, Read] = {}
    for host, result in received.by_host(action).items():
        if host in failures:
            continue
        found = read(shape, result)
        if isinstance(found, str):
            code = codes.RESULT_WRONG if result else codes.RESULT_DROPPED
            failures[host] = Failure(host, action, found, code=code)
        else:
            results[host] = found
    for host in hosts:
        if host not in results and host not in failures:
            failures[host] = missing(host, action)
    return dict(sorted(results.items())), tuple(failures.values())


def failures_of(received: PlayResults, hosts: Sequence[str]) -> tuple[Failure, ...]:
    """The failures of a playbook, with one for each of these hosts that returned nothing at all.

    Ansible leaves out a host without an error, for example if it is no longer in the inventory.
    """
    heard = {host for host, _action, _result in received.results} | {failure.host for failure in received.failures}
    return received.failures + tuple(missing(host) for host in hosts if host not in heard)


def missing(host: str, action: str = "") -> Failure:
    """The failure of a host of which nothing was heard."""
    message = "the host returned no result, and Ansible reported no reason"
    return Failure(host, action, message, code=codes.RESULT_MISSING)


def read(shape: type[Read], result: Mapping[str, Any]) -> Read | str:
    """One result as that type, or why it cannot be read: it was dropped, or the fields that are not as expected."""
    if not result:
        return DROPPED
    found = base.read(shape, result)
    if isinstance(found, str):
        return (
            f"its result is not as expected: {found}. Possible causes: another version of provision, another Python, a "
            "login script that prints text, or a host that is not the one you expect. Check the host before you go on"
        )
    return found
