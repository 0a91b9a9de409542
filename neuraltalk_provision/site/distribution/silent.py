"""Hosts that do not get on with a pushed file: their connections are closed, and the command goes on without them.

A host that gets on tells the controller so (push/transfer.py). Only one that reaches the controller can do that; the
others have the time of the whole task.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from neuraltalk_provision.rules import clock
from neuraltalk_provision.rules.piece_server import Server
from neuraltalk_provision.site import events, masters
from neuraltalk_provision.site.distribution.chain import Link

TIMES = 1.5
"""A host is given up after so many times the limit of the settings: until then it can say itself what it waits for."""
POLL = 1.0


@dataclass
class Watch:
    """The hosts that have ended, and those that were given up."""

    ended: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    def note(self, event: events.Event) -> None:
        """Take an event of Ansible: a host whose task has ended is not waited for."""
        if event.get("event") in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            self.ended.add(events.host_of(event))


def silent(
    chain: Mapping[str, Link],
    ended: Collection[str],
    heard: Mapping[int, float],
    begin: float,
    now: float,
    limit: float,
) -> list[str]:
    """The hosts that have not ended, and of which nothing was heard for so many seconds, counted from `begin` on.

    `heard` is {number of a host: when something was heard}. Pure.
    """
    waited = [host for host, link in chain.items() if host not in ended and (link.place.reaches or link.forwarded)]
    return [host for host in waited if now - max(begin, heard.get(chain[host].number, 0.0)) > limit]


@contextlib.contextmanager
def watching(chain: Mapping[str, Link], server: Server, begin: float, wait: float) -> Iterator[Watch]:
    """Close the connections of silent hosts while the block runs. They need not have begun before `begin`."""
    watch, over = Watch(), threading.Event()

    def look() -> None:
        while not over.wait(POLL):
            left = watch.ended | watch.given_up
            for host in silent(chain, left, server.heard_of, begin, clock.seconds(), TIMES * wait):
                if masters.close(chain[host].place.connection):
                    watch.given_up.add(host)
                else:
                    watch.ended.add(host)  # it has no connection of ours: it has the time of the whole task

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
