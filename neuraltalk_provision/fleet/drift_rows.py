"""The report of `provision drift` as rows and lines, with equal differences of several hosts in one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from neuraltalk_provision.fleet.drift import Report
from neuraltalk_provision.fleet.findings import Difference
from neuraltalk_provision.fleet.majority import SHOWN
from neuraltalk_provision.fleet.observed import NONE
from neuraltalk_provision.host_names import counted, named

COLUMNS = ("hosts", "difference", "item", "found", "lock", "most hosts", "since", "owner")
FACTS = ("group", "fact", "value", "hosts", "lock")
MOST_OF_ONE_KIND = 5
"""How many differences of one kind a table shows of one host, and how many cures of one kind it lists."""
_WIDEST = 100
"""How many characters of a cell are shown."""

When = Callable[[int | None], str]


def table(report: Report, when: When, *, every: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, rows) of the differences; columns in which nothing stands are left out.

    With `every` also what was accepted, and all differences of one kind. `when` makes a text of a time.
    """
    merged: dict[tuple[str, ...], list[str]] = {}
    times: dict[tuple[str, ...], list[int]] = {}
    for place, one in _shown(report, every=every):
        key = (
            f"{one.code} (accepted)" if one.accepted else one.code,
            *(_cut(text) for text in (one.item, _first_line(one.found), one.lock, one.majority, one.who)),
        )
        merged.setdefault(key, []).append(place)
        times.setdefault(key, []).extend([] if one.since is None else [one.since])
    rows = [
        (named(places, SHOWN), *key[:-1], when(min(times[key], default=None)), key[-1])
        for key, places in merged.items()
    ]
    used = [place for place in range(len(COLUMNS)) if any(row[place] for row in rows)]
    return tuple(COLUMNS[place] for place in used), [tuple(row[place] for place in used) for row in rows]


def cures(report: Report, *, every: bool) -> list[str]:
    """What to do, once for all hosts that need the same."""
    hosts: dict[str, dict[str, list[str]]] = {}
    for place, one in _all(report):
        if one.cure and not one.accepted:
            places = hosts.setdefault(one.code, {}).setdefault(one.cure, [])
            if place not in places[-1:]:
                places.append(place)
    lines: dict[str, None] = {}
    for code, found in hosts.items():
        listed = list(found.items()) if every else list(found.items())[:MOST_OF_ONE_KIND]
        for cure, places in listed:
            lines[f"{named(places, SHOWN)}: {Difference(code, cure=cure).cure_for(places)}"] = None
        if len(found) > len(listed):
            lines[f"{len(found) - len(listed)} more cures for {code}: --all or --json lists them"] = None
    return list(lines)


def facts(report: Report) -> list[tuple[str, ...]]:
    """Rows for all facts, also those that agree: each value with the hosts that have it."""
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for host in report.hosts:
        for group, values in host.facts.by_group.items():
            for name, value in values.items():
                key = (group, name, _cut(value), host.facts.lock.get(name, ""))
                merged.setdefault(key, []).append(host.host)
        for name in host.facts.lock.keys() - host.facts.values.keys():
            merged.setdefault((host.facts.groups[0], name, NONE, host.facts.lock[name]), []).append(host.host)
    return [
        (group, name, value, named(merged[group, name, value, lock], SHOWN), lock)
        for group, name, value, lock in sorted(merged)
    ]


def summary(report: Report) -> str:
    """One sentence about the whole report."""
    words = [counted(len(report.hosts))]
    words.append(f"{len(report.drifted)} with drift" if report.drifted else "none with drift")
    if report.untold:
        words.append(f"{len(report.untold)} not fully compared: {named(report.untold, SHOWN)}")
    undecided = [one for _group, one in report.undecided if not one.accepted]
    if undecided:
        words.append(f"{len(undecided)} facts in which hosts differ without a majority")
    accepted = sum(one.accepted for _place, one in _all(report))
    if accepted:
        words.append(f"{accepted} accepted differences" if accepted > 1 else "1 accepted difference")
    return "; ".join(words)


def _all(report: Report) -> Iterator[tuple[str, Difference]]:
    """(host or group, difference) of everything."""
    for host in report.hosts:
        yield from ((host.host, one) for one in host.differences)
    yield from report.undecided


def _shown(report: Report, *, every: bool) -> Iterator[tuple[str, Difference]]:
    """What the table shows: of each host and kind only the first ones, and how many others there are."""
    counts: dict[tuple[str, str], int] = {}
    for place, one in _all(report):
        if one.accepted and not every:
            continue
        counts[place, one.code] = counts.get((place, one.code), 0) + 1
        if every or counts[place, one.code] <= MOST_OF_ONE_KIND:
            yield place, one
    for (place, code), count in counts.items():
        if not every and count > MOST_OF_ONE_KIND:
            yield place, replace(Difference(code), item=f"and {count - MOST_OF_ONE_KIND} more (--all, --json)")


def _first_line(text: str) -> str:
    """The first line: messages of hosts have their details in the next ones, and --json has all of them."""
    return next(iter(text.splitlines()), "")


def _cut(text: str) -> str:
    """The text on one line, cut to the width of a cell."""
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 3]}..."
