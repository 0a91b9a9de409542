"""The failure budget: how many hosts of a rollout may fail or be set aside before it stops. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neuraltalk_provision.wave_rules import Size


@dataclass(frozen=True)
class Budget:
    """`limit` is max_failures of provision.yml, `total` the number of all hosts of the rollout."""

    limit: Size
    total: int

    @property
    def allowed(self) -> int:
        """The number of hosts that may fail. A percentage is rounded down."""
        return self.total * self.limit.count // 100 if self.limit.percent else self.limit.count

    def is_spent(self, failed: Collection[str]) -> bool:
        """Whether more hosts failed than are allowed."""
        return len(failed) > self.allowed

    def describe(self, failed: Collection[str]) -> str:
        """The budget in a sentence, for messages and the journal."""
        return (
            f"{len(failed)} of {self.total} hosts failed or were set aside, and max_failures: {self.limit} allows "
            f"{self.allowed}"
        )
