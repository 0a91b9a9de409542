"""Asks hosts whether they have a file, and whether they can receive it: before a push, and some of them after it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neuraltalk_provision.output import Output
from neuraltalk_provision.results.pushed import Place, PushedFileInfoResult
from neuraltalk_provision.rules import codes, pieces
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_results, playbook
from neuraltalk_provision.site.distribution.source import Description
from neuraltalk_provision.site.events import Failure

SSH = "-o ControlPersist=4000s -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
"""A host that does not answer any more is given up after 20 s.

A connection stays while other hosts hash a file that they have (playbook.TASK_LIMITS); masters.end closes it.
"""
PAUSES = (0, 5, 20, 40)
"""Seconds to wait before each time that a host is asked for a file that another host received into the directory that
they share: such a disk can show it a minute late."""
_sleep = time.sleep


@dataclass(frozen=True)
class Request:
    """What is pushed: a file, under `name`, into a directory of the hosts of a pattern.

    `limit` is the most bytes per second that the controller and each host send, 0 for no limit. `controller` is this
    machine's address for the hosts; empty to find it. `sha256` is what the file must have; empty for anything.
    """

    file: Path
    name: str
    into: str
    hosts: tuple[str, ...]
    limit: int = 0
    port: int = pieces.PORT
    controller: str = ""
    replace: bool = False
    sha256: str = ""

    @property
    def own_port(self) -> int:
        """The port on which this machine listens. The hosts listen on `port`: one of them can be this machine."""
        return self.port + 1

    @property
    def path(self) -> str:
        """The path of the file on the hosts."""
        return f"{self.into.rstrip('/')}/{self.name}"


@dataclass(frozen=True)
class Found:
    """What the hosts answered: the places of those that have the file or can receive it, and the failures."""

    places: Mapping[str, Place] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    @property
    def present(self) -> tuple[str, ...]:
        """The hosts that have the file."""
        return tuple(host for host, place in self.places.items() if place.state == "present")


def check(request: Request, description: Description, key: str, settings: Settings, output: Output) -> Found:
    """Ask every host whether it has the file, and whether it can receive it."""
    with output.working("asking the hosts"):
        outcome = playbook.run(
            playbook.Request.of_site(
                settings,
                "push_check.yml",
                request.hosts,
                {"provision_push": variables(request, description), "provision_push_secret": key},
                ssh_args=SSH,
            )
        )
    results, failures = host_results.of(outcome.results, "pushed_file_info", PushedFileInfoResult)
    taken = [host for host, result in results.items() if result.place.state == "other" and not request.replace]
    places = {host: result.place for host, result in results.items() if host not in taken}
    return Found(places, failures + tuple(_taken(request, host) for host in taken))


def check_again(
    request: Request,
    description: Description,
    key: str,
    firsts: Mapping[str, str],
    received: Sequence[str],
    settings: Settings,
    output: Output,
) -> tuple[tuple[str, ...], tuple[Failure, ...]]:
    """(the names that have the file because another one received it, the failures of the others).

    `firsts` is {name: the one that received it for both}.
    """
    failures = [_not_received(host, first) for host, first in firsts.items() if first not in received]
    left = [host for host, first in firsts.items() if first in received]
    present: list[str] = []
    for pause in PAUSES if left else ():
        if pause:
            _sleep(pause)
        found = check(replace(request, hosts=tuple(left)), description, key, settings, output)
        present += found.present
        failures += found.failures
        done = {*found.present, *(failure.host for failure in found.failures)}
        left = [host for host in left if host not in done]
        if not left:
            break
    failures += [_lacking(request, host, firsts[host]) for host in left]
    return tuple(present), tuple(failures)


def _not_received(host: str, first: str) -> Failure:
    return Failure(host, "", f"it shares the directory with {first}, which did not get the file")


def _lacking(request: Request, host: str, first: str) -> Failure:
    message = f"{request.path} is not there, although {first} has it, and the two seem to have this directory in common"
    return Failure(host, "", f"{message}: push the file to {host} alone, with --to {host}")


def _taken(request: Request, host: str) -> Failure:
    what = "has other contents or can be changed by other users"
    message = f"{request.path} is there, and {what}: use --replace, or another --into"
    return Failure(host, "", message, code=codes.FILE_TAKEN)


def variables(request: Request, description: Description) -> dict[str, Any]:
    """The variables of both playbooks."""
    return {
        "path": request.path,
        "size": description.size,
        "sha256": description.sha256,
        "pieces": description.list_sha256,
        "replace": request.replace,
        "controller": request.controller,
        "listen": request.port,
        "controller_port": request.own_port,
        "limit": request.limit,
    }
