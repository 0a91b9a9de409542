"""How fast a training goes, and how far it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.runs.health import ALIVE
from neuraltalk_provision.runs.record import RunState

WINDOW = 10
"""How many of the last samples the rate is taken from."""


@dataclass(frozen=True)
class Pace:
    """Iterations a second, seconds that are left, passes over the images; None where that cannot be told yet."""

    rate: float | None
    left: float | None
    epochs: float | None

    def as_json(self) -> dict[str, float | None]:
        """The pace as `--json` prints it."""
        return {"rate": self.rate, "left": self.left, "epochs": self.epochs}


def of(run: RunState) -> Pace:
    """The pace of a run, from what was sampled of it and what it was asked."""
    done = run.progress.iteration
    counted = [sample for sample in run.samples if sample.get("iteration") is not None]
    rate = _rate(counted[-WINDOW:])
    images = run.progress.images
    batch = int(run.arguments.get("batch_size", "16")) if run.program == "train.lua" else 1
    epochs = done * batch / images if done is not None and images else None
    total = int(run.arguments.get("max_iters", "-1"))
    if total <= 0 and run.until:
        total = run.until.get("iterations", -1)
    goes_on = run.health.state in ALIVE
    left = (total - done) / rate if goes_on and rate and done is not None and total > 0 and done <= total else None
    return Pace(rate, left, epochs)


def _rate(samples: list[Mapping[str, Any]]) -> float | None:
    if len(samples) < 2:
        return None
    seconds = samples[-1]["time"] - samples[0]["time"]
    gone = samples[-1]["iteration"] - samples[0]["iteration"]
    return gone / seconds if seconds > 0 and gone > 0 else None


def in_words(pace: Pace, run: RunState) -> str:
    """One line: iteration, passes, rate, time left, loss, scores, and what the card does."""
    progress = run.progress
    words = []
    if progress.iteration is not None:
        words += [f"iteration {progress.iteration:,}", f"loss {progress.losses[-1][1]:.4f}"]
    if pace.epochs is not None:
        words.append(f"epoch {pace.epochs:.2f}")
    if pace.rate is not None:
        words.append(f"{pace.rate:.2f} iterations/s" if pace.rate >= 1 else f"{1 / pace.rate:.1f} s an iteration")
    if pace.left is not None:
        words.append(f"{span(pace.left)} left")
    if progress.validations:
        words.append(f"validation loss {progress.validations[-1][1]:.4f}")
    if progress.scores:
        words += [f"{name} {value:.3f}" for name, value in progress.scores[-1][1] if name == "CIDEr"]
    last = next((sample for sample in reversed(run.samples) if "used" in sample), None)
    if last:
        words.append(f"card {last['used']:,} MiB, {last['utilization']} %")
    return ", ".join(words) or "nothing printed yet"


def span(seconds: float) -> str:
    """A time in its two largest units."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{seconds:.0f} s"
