"""Waves: the hosts that are activated one group after the other. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.host_names import named
from neuraltalk_provision.site.advice import UNCHANGED
from neuraltalk_provision.wave_rules import GROUP, WaveRule


@dataclass(frozen=True)
class Wave:
    """The hosts that are activated together. `number` counts from 1; `pause` is in seconds, after the wave.

    `strict`: the first of several waves, of which every host must succeed.
    """

    number: int
    name: str
    hosts: tuple[str, ...]
    pause: int = 0
    strict: bool = False

    def as_json(self) -> dict[str, Any]:
        """The wave as `--json` prints it."""
        return asdict(self)

    @property
    def is_size(self) -> bool:
        """Whether the wave is a number or a part of the hosts, and not a group."""
        return not self.name.startswith(GROUP)


def divide(
    rules: Sequence[WaveRule],
    hosts: Iterable[str],
    groups: Mapping[str, Collection[str]],
    *,
    unwell: Collection[str] = (),
    unchanged: Collection[str] = (),
) -> tuple[Wave, ...]:
    """The waves of these hosts. A host that is in the groups of two waves belongs to the earlier one.

    `hosts` are those that will be activated, `unwell` those that were set aside: sizes count both, so that the waves
    stay the same when one host is repaired. `unchanged` are the hosts on which nothing has to be done. `groups` is
    {host: its groups}. Waves without hosts are left out. UsageError if the first wave is a group without a host that is
    well, or if a host is in no wave.
    """
    order = list(hosts)
    left = [*order]
    total = len(order) + len(set(unwell) - set(order))
    waves: list[Wave] = []
    for position, rule in enumerate(rules):
        if rule.group:
            chosen = [host for host in left if rule.group in groups.get(host, ())]
        else:
            chosen = left[: max(0, rule.size.of(total) - (len(order) - len(left)))]
        done = any(rule.group in groups.get(host, ()) for host in unchanged)
        if position == 0 and rule.group and not chosen and not done:
            raise UsageError(
                f"no host of the first wave, group {rule.group}, can be activated: the group does not exist, has no "
                "host in this command, or all of its hosts were set aside",
                advice=f"{UNCHANGED} Repair one of its hosts, or change `waves` in provision.yml.",
            )
        if chosen:
            waves.append(
                Wave(len(waves) + 1, str(rule), tuple(chosen), rule.pause, strict=position == 0 and len(rules) > 1)
            )
            taken = set(chosen)
            left = [host for host in left if host not in taken]
    if left:
        raise UsageError(
            f"{len(left)} hosts belong to no wave: {named(left)}",
            advice=f"{UNCHANGED} Add 100% as the last of `waves` in provision.yml, or a wave "
            "for the group of these hosts.",
        )
    return tuple(waves)


def with_followers(waves: Sequence[Wave], builders: Mapping[str, str]) -> tuple[Wave, ...]:
    """The waves, with each host that shares a stack root in the wave of the host that builds there, after it.

    `builders` is {host: the host that builds for it}.
    """
    followers: dict[str, list[str]] = {}
    for host, builder in builders.items():
        followers.setdefault(builder, []).append(host)
    return tuple(
        replace(wave, hosts=tuple(name for host in wave.hosts for name in (host, *followers.get(host, ()))))
        for wave in waves
    )
