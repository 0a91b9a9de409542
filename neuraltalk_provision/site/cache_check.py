"""Compares the packed generation of a host with the one in the cache: two builders, same inputs, same bytes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.mirror import cache, cache_needs
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules.pack import Listed, differences
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, leases, packing
from neuraltalk_provision.site.plan import HostPlan

MOST_SHOWN = 50


@dataclass(frozen=True)
class Compared:
    """The result: the generation, both builders, the SHA-256 of both tars, and what differs, by path."""

    generation: str
    builders: tuple[str, str]
    sha256: tuple[str, str]
    differing: tuple[tuple[str, str], ...]

    @property
    def same(self) -> bool:
        """Whether both are the same, byte for byte."""
        return self.sha256[0] == self.sha256[1]

    def lines(self) -> list[str]:
        """The result in words."""
        both = f"generation {self.generation} of {self.builders[0]} and of {self.builders[1]}"
        if self.same:
            return [f"{both}: the same bytes, SHA-256 {self.sha256[0]}"]
        shown = [f"  {path}: {what}" for path, what in self.differing[:MOST_SHOWN]]
        more = [f"  and {len(self.differing) - MOST_SHOWN} more"] if len(self.differing) > MOST_SHOWN else []
        return [f"{both} differ in {len(self.differing)} entries:", *shown, *more]

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "generation": self.generation,
            "builders": list(self.builders),
            "sha256": list(self.sha256),
            "same": self.same,
            "differing": [{"path": path, "what": what} for path, what in self.differing],
        }


def compare(plan: HostPlan, settings: Settings, output: Output) -> Compared:
    """Pack the generation of a host again and compare it with the entry of the cache. Changes neither.

    Raises UsageError if there is nothing to compare: no entry, or the host has not built this generation itself.
    """
    generation = plan.recipe.id
    found = cache.find(settings, generation)
    if found.entry is None:
        raise UsageError(
            f"the cache has no generation {generation} that can be used"
            + (f": {found.problem}" if found.problem else ""),
            advice="`provision cache list` shows what it has.",
        )
    if plan.stages:
        raise UsageError(
            f"{plan.host} has not the complete generation {generation}, which is in the cache",
            advice=f"Build it there: `provision site --no-cache --limit {plan.host}`.",
        )
    lease = leases.variables("provision cache verify", {plan.host: plan.over})
    given = {**converge.variables((plan,), settings), "provision_lease": lease}
    with leases.released([plan.host], given, settings):
        fetched, problems = packing.fetch((plan,), lease, settings, output)
    if not fetched:
        raise HostError(f"{plan.host}: {problems.get(plan.host, 'nothing was packed')}")
    (one,) = fetched
    try:
        entries = cache_needs.inspect(cache.folder(settings.mirror, generation) / found.entry.file).entries
    finally:
        one.file.unlink(missing_ok=True)
    differing = differences(entries, one.inspected.entries)
    return Compared(
        generation,
        (found.entry.builder, plan.host),
        (found.entry.sha256, one.pack.sha256),
        tuple((path, _difference(left, right)) for path, left, right in differing),
    )


def _difference(left: Listed | None, right: Listed | None) -> str:
    """What differs between two entries of the same path, in words, with the usual cause of it if one is known."""
    if left is None or right is None:
        return "only the second has it" if left is None else "only the first has it"
    if left.type != right.type or left.target != right.target:
        return f"{left.type} {left.target} and {right.type} {right.target}"
    if left.mode != right.mode:
        return f"mode {left.mode} and {right.mode}"
    return f"other content, {left.size} and {right.size} bytes{_cause(left.path)}"


_CAUSES = {
    ".a": "a static library, whose members have dates",
    ".log": "a log of the build",
    ".html": "pages that luarocks writes with dates",
    "runtime.lua": "declarations of the system's headers, which differ between releases of libc6-dev",
}


def _cause(path: str) -> str:
    return next((f" ({cause})" for end, cause in _CAUSES.items() if path.endswith(end)), "")
