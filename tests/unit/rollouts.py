"""Rollouts for tests, and controllers that work with their journals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from neuraltalk_provision.fleet import records
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import HostEntry, Outcome, Record, Rollout, Step, WaveEntry

GENERATION = "0a1b2c3d4e5f6071"
ID = "20261126-174500-1f2e3d4c"
WAVES = (
    WaveEntry(number=1, name="1", strict=True),
    WaveEntry(number=2, name="10%", pause=600),
    WaveEntry(number=3, name="100%"),
)
ME = "ctl1 pid 71 since 2 boot b space 4 machine 0123456789abcdef0123456789abcdef"
OTHER = "ctl2 pid 88 since 3 boot c space 5 machine fedcba9876543210fedcba9876543210"


def entry(host: str, wave: int = 0, **more: Any) -> HostEntry:
    """A host of a rollout."""
    return HostEntry(host=host, wave=wave, target=GENERATION, inputs=records.inputs("recipe", host), **more)


def record(host: str, step: Step, outcome: Outcome, **more: Any) -> Record:
    """The record of a step that began at 10 and ended at 20, if it ended."""
    ended = None if outcome is Outcome.STARTED else 20.0
    return Record(host=host, step=step, outcome=outcome, started=10.0, ended=ended, **more)


def rollout(*found: Record, hosts: Sequence[str] = ("node1", "node2", "node3"), **more: Any) -> Rollout:
    """A rollout with a wave for each host, and these records."""
    entries = tuple(entry(host, wave) for wave, host in enumerate(hosts))
    return Rollout(hosts=entries, records={(one.host, one.step): one for one in found}, **more)


def names(number: int) -> list[str]:
    """That many names of hosts."""
    return [f"node{index}.example.org" for index in range(number)]


def digests(hosts: Iterable[str]) -> dict[str, str]:
    """The inputs of hosts."""
    return {host: records.inputs("recipe", host) for host in hosts}


def nobody_is_dead(_name: str) -> bool:
    """What a controller says that can look at no other."""
    return False


def opened(
    file: Path, holder: str = ME, is_dead: Callable[[str], bool] = nobody_is_dead, **more: Any
) -> contextlib.AbstractContextManager[Journal]:
    """The journal, for one controller."""
    return Journal.open(file, holder, is_dead, **more)
