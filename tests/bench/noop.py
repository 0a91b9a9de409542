"""What `python -m tests.bench` measured: the medians, and what follows from them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OURS = "provision site"
SAME_KEYS = "provision site, curve25519"
PYINFRA = "pyinfra, 38 operations"
PLAIN = "ansible-playbook, tuned"
PEERS = (PYINFRA, PLAIN)


@dataclass(frozen=True)
class Measured:
    """Seconds of each round, and of the controller's processor time in it."""

    hosts: int
    what: str
    seconds: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """The median of the processor time."""
        return statistics.median(self.cpu)


def lines(measured: Sequence[Measured]) -> Iterator[str]:
    """The table, the ratios to the peers, and the processor time of each further host."""
    yield f"{'hosts':>5}  {'what':<28} {'median s':>9} {'least':>6} {'most':>6}  {'cpu s':>6}"
    for one in measured:
        spread = f"{min(one.seconds):>6.2f} {max(one.seconds):>6.2f}"
        yield f"{one.hosts:>5}  {one.what:<28} {one.median:>9.2f} {spread}  {one.median_cpu:>6.2f}"
    found = {(one.hosts, one.what): one for one in measured}
    for (hosts, what), one in found.items():
        for peer in (found[hosts, name] for name in PEERS if (hosts, name) in found and what in (OURS, SAME_KEYS)):
            yield f"{what} on {hosts}: {one.median / peer.median:.3f} of {peer.what}"
    for (hosts, what), one in found.items():
        first = found.get((1, what))
        if first and hosts > 1 and what not in ("provision --version",):
            each = (one.median_cpu - first.median_cpu) / (hosts - 1)
            yield f"{what} on {hosts}: {each:.3f} s of the controller's processor time for each further host"
