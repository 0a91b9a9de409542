"""The failure budget: how many hosts of a rollout may fail or be set aside before it stops. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from neuraltalk_provision.wave_rules import Size


@dataclass(frozen=True)
class Budget:
    """`limit` is max_failures of provision.yml, `total` the number of all hosts of the rollout.

    `same` is {name: the first name of that machine}, for further names: a machine counts once.
    """

    limit: Size
    total: int
    same: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> int:
        """The number of hosts that may fail. A percentage is rounded down."""
        return self.total * self.limit.count // 100 if self.limit.percent else self.limit.count

    def is_spent(self, failed: Collection[str]) -> bool:
        """Whether more hosts failed than are allowed."""
        return self._count(failed) > self.allowed

    def describe(self, failed: Collection[str], also: str = "") -> str:
        """The budget in a sentence, for messages and the journal. `also` is what else can have happened to a host."""
        return (
            f"{self._count(failed)} of {self.total} hosts failed or were set aside{also}, and max_failures: "
            f"{self.limit} allows {self.allowed}"
        )

    def _count(self, failed: Collection[str]) -> int:
        return len({self.same.get(host, host) for host in failed})
