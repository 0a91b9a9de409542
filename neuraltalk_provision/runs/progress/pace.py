"""How fast a training is, and how far it got. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neuraltalk_provision import catalogue
from neuraltalk_provision.results import numbers
from neuraltalk_provision.results.run import Sample
from neuraltalk_provision.runs.progress.state import RunState

WINDOW = 10
"""How many of the last samples the rate is computed from."""
_CENTURY = 100 * 365.25 * 24 * 3600


@dataclass(frozen=True)
class Pace:
    """Iterations per second, seconds left, passes over the images; None if it is not known yet."""

    rate: float | None
    left: float | None
    epochs: float | None

    def as_json(self) -> dict[str, float | None]:
        """The pace as `--json` prints it."""
        return {"rate": self.rate, "left": self.left, "epochs": self.epochs}


def of(run: RunState) -> Pace:
    """The pace of a run, from its samples and its options."""
    done = run.progress.iteration
    rate = _rate(_counted(run.samples)[-WINDOW:])
    images = run.progress.images
    batch = _option(run, "batch_size") if run.program == "train.lua" else 1
    epochs = done * batch / images if done is not None and images else None
    ends = (_option(run, "max_iters"), (run.until or {}).get("iterations", 0))
    total = min((end for end in ends if end > 0), default=0)
    left = (total - done) / rate if run.active and rate and done is not None and 0 < total >= done else None
    return Pace(rate, left, epochs)


def _option(run: RunState, name: str) -> int:
    """An option that is a whole number: as the program received it, else the program's own default."""
    given = numbers.whole(run.effective.get(name))
    return int(catalogue.default("train.lua", name)) if given is None else given


def _counted(samples: Sequence[Sample]) -> list[tuple[float, int]]:
    """(time, iteration) of the samples that have both."""
    return [(sample.time, sample.iteration) for sample in samples if sample.iteration is not None]


def _rate(counted: Sequence[tuple[float, int]]) -> float | None:
    if len(counted) < 2:
        return None
    seconds = counted[-1][0] - counted[0][0]
    iterations = counted[-1][1] - counted[0][1]
    return iterations / seconds if seconds > 0 and iterations > 0 else None


def summary(pace: Pace, run: RunState) -> str:
    """One line: iteration, loss, epoch, rate, time left, scores, and the load of the card; else its last log line."""
    progress = run.progress
    parts = []
    if progress.iteration is not None:
        parts += [f"iteration {progress.iteration:,}", f"loss {progress.losses[-1][1]:.4f}"]
    if pace.epochs is not None:
        parts.append(f"epoch {pace.epochs:.2f}")
    if pace.rate is not None:
        parts.append(f"{pace.rate:.2f} iterations/s" if pace.rate >= 1 else f"{1 / pace.rate:.1f} s per iteration")
    if pace.left is not None:
        parts.append(f"{span(pace.left)} left")
    if progress.validations:
        parts.append(f"validation loss {progress.validations[-1][1]:.4f}")
    if progress.scores:
        parts += [f"{name} {value:.3f}" for name, value in progress.scores[-1][1] if name == "CIDEr"]
    for sample in reversed(run.samples):
        if sample.used is not None:
            busy = "" if sample.utilization is None else f", {sample.utilization} %"
            parts.append(f"card {sample.used:,} MiB{busy}")
            break
    return ", ".join(parts) or run.tail.rstrip().rpartition("\n")[2].strip() or "nothing printed yet"


def span(seconds: float) -> str:
    """A duration in its two largest units."""
    if not seconds < _CENTURY:
        return "more than 100 years"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{seconds:.0f} s"
