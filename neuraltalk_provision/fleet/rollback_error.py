"""The errors of a rollback that cannot begin, or after which a host has not gone back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.fleet import survey
from neuraltalk_provision.fleet.moves import Move
from neuraltalk_provision.fleet.outcome import STILL_DRAINED_ADVICE
from neuraltalk_provision.fleet.rollback_words import rollback_of
from neuraltalk_provision.fleet.rollout import Done, Loss
from neuraltalk_provision.fleet.survey import Aside
from neuraltalk_provision.host_names import MOST_NAMED, lines, named
from neuraltalk_provision.site.advice import UNCHANGED
from neuraltalk_provision.site.events import Failure

NOTHING: Mapping[str, str] = MappingProxyType({})


def no_generation(
    unable: Mapping[str, str], others: Sequence[str], target: str, lists: Mapping[str, str]
) -> UsageError:
    """The error that names all hosts that cannot return. `lists` has the file of the others, which could."""
    advice = f"{UNCHANGED} To return to another generation, name it with --to."
    commands = [rollback_of([f"@{file}"], target) for file in lists.values()]
    advice += "".join(f" To return only the others ({len(others)} hosts): `{command}`." for command in commands)
    return UsageError("\n".join(lines(unable.items())), advice=advice, document={"lists": dict(lists)})


def both_ways(reasons: Sequence[str]) -> UsageError:
    """The error for hosts that leave the generation to which others return, or which hosts have after a rollback."""
    return UsageError(
        "\n".join(reasons),
        advice=f"{UNCHANGED} The previous generation of a host that went back is the one that it left, and that of a "
        "host without the newest one is older. Name the one to which all are to return with --to: a host that has it "
        "already stays as it is. Hosts of different platforms have different generations: run the command once for "
        "each platform, with --limit. If all hosts have gone back already, nothing is left to do.",
    )


def failed(
    gone: Sequence[Move],
    done: Done,
    failures: Sequence[Failure],
    aside: Sequence[Aside],
    target: str,
    *,
    lists: Mapping[str, str] = NOTHING,
    drained: Mapping[str, str] = NOTHING,
    plan: bool = False,
) -> HostError:
    """The error for a rollback after which a host has not gone back, or its node is still drained."""
    used = [Aside(host, one.reason, one.code) for host, one in sorted(done.aside.items())]
    lost = sorted({*done.failed, *done.aside, *(one.host for one in aside)})
    moved = [move.host for move in gone if not move.is_done]
    steps = [UNCHANGED] * plan
    if used:
        steps.append(
            "Hosts in use keep their generation: end what uses them, wait for it with --busy wait, or give --in-use."
        )
    if moved and not plan:
        steps.append(f"{named(moved)} went back.")
    if lost and not plan:
        files = [f"@{lists[name]}" for name in ("failed", "set-aside") if name in lists]
        again = files if files and len(lost) > MOST_NAMED else lost
        steps.append(f"To try the others again: `{rollback_of(again, target)}`.")
        if aside and gone and not target:
            steps.append(
                "A host that was set aside, but is another name of a host that went back, or shares its stack root, "
                "went back with it: leave it out."
            )
    steps += [STILL_DRAINED_ADVICE] * bool(drained)
    steps += [f"Lists of hosts for --limit @FILE: {', '.join(lists.values())}"] * bool(lists)
    told = lines(_reasons(done.failed))
    told += [f"set aside: {line}" for line in lines((one.host, one.reason) for one in (*aside, *used))]
    told += [f"{host}: {why}" for host, why in sorted(drained.items())]
    return HostError(
        "\n".join(told),
        advice=" ".join(steps),
        document={
            "hosts": [asdict(move) for move in gone],
            "changed": bool(moved) and not plan,
            "failures": [asdict(failure) for failure in failures],
            "set_aside": [survey.as_json(one) for one in (*aside, *used)],
            "drained": dict(drained),
            "lists": dict(lists),
        },
    )


def _reasons(failed: Mapping[str, Loss]) -> list[tuple[str, str]]:
    """(host, reason) of each failure, once: a host for which another one works has the same failure."""
    first = dict[str, str]()
    for host, one in failed.items():
        first.setdefault(one.reason, host)
    return [(host, reason) for reason, host in first.items()]
