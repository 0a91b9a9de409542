"""Whether a mirror has everything that `pull` would bring for a platform, by names. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import pull_plan
from neuraltalk_provision.mirror.lock import Entry
from neuraltalk_provision.mirror.pull_plan import Mirror, Row

PROFILES = ("cpu",)
"""What hosts without a card get. GPU software can only be proved on a host with a card."""


@dataclass(frozen=True)
class Completeness:
    """Why the mirror is not complete, and the names of artifacts that are missing and not needed."""

    problems: tuple[str, ...]
    not_needed: tuple[str, ...]


def check(catalogue: Catalogue, target: Target, mirror: Mirror, not_needed: Collection[str] = ()) -> Completeness:
    """What of the artifacts for a platform is missing. `not_needed` are optional ones that its hosts do not need.

    Raises UsageError if one of these is required or unknown.
    """
    rows = pull_plan.plan(catalogue, [target], PROFILES, mirror).rows
    _refuse_unknown(rows, target, not_needed)
    missing = [row for row in rows if row.state in ("pull", "by hand", "later") or _has_to_be_made(row, mirror)]
    excused = [row for row in missing if {row.name, row.artifact.name} & set(not_needed)]
    return Completeness(
        tuple(_problem(row, catalogue) for row in missing if row not in excused),
        tuple(row.name for row in excused),
    )


def _has_to_be_made(row: Row, mirror: Mirror) -> bool:
    return row.state == "make" and row.name not in mirror.entries


def _refuse_unknown(rows: Iterable[Row], target: Target, names: Collection[str]) -> None:
    known = {name: row.artifact for row in rows for name in (row.name, row.artifact.name)}
    for name in names:
        if name not in known:
            optional = ", ".join(sorted({one.name for one in known.values() if one.optional}))
            raise UsageError(
                f"--not-needed {name}: hosts of {target.key} use no artifact of this name",
                advice=f"The optional ones are {optional}.",
            )
        if not known[name].optional:
            raise UsageError(f"--not-needed {name}: nothing works without it", advice="Bring it: docs/mirror.md.")


def _problem(row: Row, catalogue: Catalogue) -> str:
    if not row.artifact.optional:
        why = row.reason or "it is required"
    else:
        users = users_of(row.artifact, catalogue)
        if row.artifact.role == "controller":
            why = "no controller can be set up from this mirror"
        elif users:
            why = f"without it {', '.join(users)} would be left out or incomplete"
        else:
            why = "hosts would look elsewhere"
        why = f"{row.reason}; {why}" if row.state == "pull" and row.reason else why
    return f"{row.name} is missing: {why}"


def users_of(artifact: Artifact, catalogue: Catalogue) -> tuple[str, ...]:
    """The names of the components that use an artifact."""
    return tuple(part.name for part in catalogue.components if artifact.name in part.artifacts)


def sorted_out(
    entries: Iterable[Entry], used: Collection[str], catalogue: Catalogue, target: Target
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(what nobody needs, what is for hosts with a card, what is for other platforms) of the entries not in `used`."""
    surplus, gpu, other = list[str](), list[str](), list[str]()
    for entry in entries:
        if entry.name in used:
            continue
        artifact = next(
            (one for one in catalogue.artifacts if entry.name in (one.name, f"{one.name}-{target.key}")), None
        )
        per_platform = any(one.per_platform and entry.name.startswith(f"{one.name}-") for one in catalogue.artifacts)
        if artifact is None and per_platform:
            other.append(entry.name)
        elif artifact and artifact.role == "gpu_stack":
            gpu.append(entry.name)
        else:
            surplus.append(entry.name)
    return tuple(surplus), tuple(gpu), tuple(other)
