"""The settings `waves` and `max_failures`: sizes, groups and pauses, read and checked. Pure.

`waves` in provision.yml is a list. Each item is a size or a group of the inventory, with a pause after it if wanted:

    waves: [1, 10%, 50%, 100%]
    waves: [canary, {group: rack1, pause: 30m}, {size: 50%, pause: 1h}, 100%]

A size is cumulative: 50% means that half of all hosts are activated after this wave. Together the waves must cover all
hosts.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import durations

MOST_WAVES = 100
LONGEST_PAUSE = 7 * 86400
GROUP = "group "
"""The beginning of the name of a wave that is a group."""
_SIZE = re.compile(r"([0-9]{1,9})(%?)")
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class Size:
    """A number of hosts: `count`, or with `percent` a part of all hosts."""

    count: int
    percent: bool = False

    def of(self, total: int) -> int:
        """The number of hosts out of `total`, rounded up: the smallest wave has one host."""
        return math.ceil(total * self.count / 100) if self.percent else self.count

    def __str__(self) -> str:
        return f"{self.count}%" if self.percent else str(self.count)


@dataclass(frozen=True)
class WaveRule:
    """One item of `waves`: the hosts of a group, or as many hosts as a size says. `pause` is in seconds."""

    group: str = ""
    size: Size = Size(100, percent=True)
    pause: int = 0

    def __str__(self) -> str:
        return f"{GROUP}{self.group}" if self.group else str(self.size)


HALF = Size(50, percent=True)
"""The default of max_failures: at most half of the hosts. Hosts that fail keep their former generation."""
DEFAULT = (WaveRule(size=Size(1)), WaveRule())
"""The default waves: one host first, then all others."""


def read_size(given: object, what: str) -> Size:
    """A number of hosts, or a percentage such as `10%`. ValueError with the reason."""
    found = (
        _SIZE.fullmatch(str(given).strip()) if isinstance(given, int | str) and not isinstance(given, bool) else None
    )
    if found is None:
        raise ValueError(
            f"{what} must be a number of hosts, for example 5, or a percentage, for example 10%: {given!r}"
        )
    size = Size(int(found[1]), bool(found[2]))
    if size.percent and size.count > 100:
        raise ValueError(f"{what} must not be more than 100%: {given!r}")
    return size


def read(given: object) -> tuple[WaveRule, ...]:
    """The rules of a list as provision.yml contains it. ValueError if they contradict each other."""
    if not isinstance(given, list | tuple) or not given:
        raise ValueError("must be a list such as [1, 10%, 50%, 100%], or a list of groups of the inventory")
    if len(given) > MOST_WAVES:
        raise ValueError(f"has {len(given)} waves; at most {MOST_WAVES} are possible")
    rules = tuple(_rule(item) for item in given)
    _refuse_contradictions(rules)
    return rules


def _rule(item: object) -> WaveRule:
    if isinstance(item, WaveRule):
        return item
    if not isinstance(item, Mapping):
        return _named(item, 0)
    unknown = sorted(str(key) for key in item if key not in ("group", "size", "pause"))
    if unknown or ("group" in item) == ("size" in item):
        raise ValueError(
            "a wave has either `group` or `size`, and `pause` if wanted"
            + (f"; it has {', '.join(unknown)}" if unknown else "")
        )
    pause = durations.read(item.get("pause", 0), "the pause of a wave", LONGEST_PAUSE)
    if "size" in item:
        return WaveRule(size=_wave_size(item["size"]), pause=pause)
    return _of_group(item["group"], pause)


def _named(item: object, pause: int) -> WaveRule:
    if isinstance(item, str) and not _SIZE.fullmatch(item.strip()):
        return _of_group(item, pause)
    return WaveRule(size=_wave_size(item), pause=pause)


def _of_group(name: Any, pause: int) -> WaveRule:
    if not isinstance(name, str) or not _GROUP.fullmatch(name):
        raise ValueError(f"a wave must be a size or the name of a group of the inventory: {name!r}")
    return WaveRule(group=name, pause=pause)


def _wave_size(given: object) -> Size:
    size = read_size(given, "the size of a wave")
    if size.count == 0:
        raise ValueError("the size of a wave must be at least one host")
    return size


def _refuse_contradictions(rules: Sequence[WaveRule]) -> None:
    groups = [rule.group for rule in rules if rule.group]
    twice = sorted({group for group in groups if groups.count(group) > 1})
    if twice:
        raise ValueError(f"the group {twice[0]} is in two waves")
    for percent in (False, True):
        sizes = [rule.size for rule in rules if not rule.group and rule.size.percent == percent]
        for before, after in itertools.pairwise(sizes):
            if after.count <= before.count:
                raise ValueError(
                    "sizes count all hosts that are activated after a wave, so they must grow: "
                    f"{before} is followed by {after}"
                )
    last = rules[-1]
    if not last.group and not (last.size.percent and last.size.count == 100):
        raise ValueError(f"the last wave must be 100% or a group, and it is {last.size}: some hosts would be left out")
    if any(not rule.group and rule.size.percent and rule.size.count == 100 for rule in rules[:-1]):
        raise ValueError("a wave of 100% must be the last one: no host is left for the waves after it")
