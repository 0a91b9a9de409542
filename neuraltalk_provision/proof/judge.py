"""What a proof found, as its record: passed, or every reason why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from neuraltalk_provision.mirror.proofs import Installed, Proof, Surplus
from neuraltalk_provision.proof.recorded import Seen

LONGEST = 4_000
MOST_PROBLEMS = 50


@dataclass
class Findings:
    """What was found so far.

    `complete` if the whole installation was done and checked, `pip_tried` if pip has resolved the wheels.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    complete: bool = False
    pip_tried: bool = False
    host: str = ""
    system: str = ""
    not_needed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    installed: Installed = field(default_factory=Installed)
    surplus: Surplus = field(default_factory=Surplus)
    seen: Seen | None = None


def record(found: Findings, *, platform: str, lock: str, made: str, seconds: float, provision: str) -> Proof:
    """The record. It has passed if everything was installed and checked, and the recorder surely saw no attempt."""
    problems = [*found.problems, *_attempted(found.seen)]
    seen = found.seen or Seen()
    return Proof(
        platform=platform,
        lock=lock,
        made=made,
        passed=found.complete and found.seen is not None and not problems,
        problems=tuple(problem[:LONGEST] for problem in problems[:MOST_PROBLEMS]),
        host=found.host,
        system=found.system,
        provision=provision,
        seconds=round(seconds, 1),
        watched=seen.watched,
        not_needed=found.not_needed,
        left_out=found.left_out,
        absent=found.absent,
        installed=found.installed,
        surplus=found.surplus,
        attempted=seen.attempts,
        planted=seen.planted,
    )


def _attempted(seen: Seen | None) -> Iterable[str]:
    if seen is None:
        return
    if seen.doubt:
        yield f"whether something was attempted cannot be told: {seen.doubt}"
    for attempt in seen.attempts:
        yield f"the host attempted {attempt}, but it must need nothing outside the mirror"


def installed(
    components: Iterable[str], before: Mapping[str, str], after: Mapping[str, str], wheels: Mapping[str, str]
) -> Installed:
    """What is there now: components, packages that are new or have another version, and wheels."""
    new = {name: version for name, version in after.items() if before.get(name) != version}
    return Installed(components=tuple(components), packages=new, wheels=dict(wheels))
