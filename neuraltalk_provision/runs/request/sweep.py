"""Many trainings that differ in some options, distributed over cards. Pure."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import Field, StrictInt, model_validator

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.field_words import Strict
from neuraltalk_provision.runs.request import stages
from neuraltalk_provision.runs.request.document import Number, RunDocument, Value, as_argument
from neuraltalk_provision.runs.request.spec import RunSpec

MOST = 10_000
"""The largest number of runs in a sweep."""


class Draw(Strict):
    """A random number between `least` and `most`: uniform, or with `log` uniform in its logarithm."""

    least: Number
    most: Number
    log: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _possible(self) -> Draw:
        if self.least > self.most:
            raise ValueError(f"least {self.least:g} is greater than most {self.most:g}")
        if self.log and self.least <= 0:
            raise ValueError(f"least {self.least:g} has no logarithm: it must be greater than 0")
        return self

    def at(self, share: float) -> float:
        """The number at a share (0 to 1) of the range."""
        if self.log:
            number = math.exp(math.log(self.least) + share * (math.log(self.most) - math.log(self.least)))
        else:
            number = self.least * (1 - share) + self.most * share
        return min(max(number, self.least), self.most)

    def text(self, number: float) -> str:
        """A drawn number with four digits, or with as many as it needs to stay in the range and differ from others."""
        near = self.most / 2000 - self.least / 2000
        texts = (f"{number:.{digits}g}" for digits in range(4, 18))
        return next(
            text for text in texts if self.least <= float(text) <= self.most and abs(float(text) - number) <= near
        )


class SweepDocument(RunDocument):
    """A sweep's file: a run's file and what differs: every combination of `grid`, each with `draws` random draws."""

    grid: dict[str, list[Value]] = Field(default_factory=dict)
    draw: dict[str, Draw] = Field(default_factory=dict)
    draws: int = Field(default=1, ge=1, le=MOST, strict=True)
    seed: StrictInt = 1
    """The seed of the random draws: the same file gives the same runs."""


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time: a card of a host by UUID, or `none` for the host's CPU."""

    host: str
    gpu: str


@dataclass(frozen=True)
class Share:
    """The runs of one slot, one after the other."""

    slot: Slot
    runs: tuple[RunSpec, ...]


def combinations(written: SweepDocument, chance: Callable[[], float]) -> list[dict[str, str]]:
    """The options that differ, for each run; `chance` gives numbers from 0 to 1. UsageError for unknown options."""
    known = catalogue.program_options(stages.TRAIN)
    unknown = [name for name in (*written.grid, *written.draw) if name not in known]
    twice = sorted(set(written.grid) & set(written.draw))
    if unknown or twice:
        near = {name: difflib.get_close_matches(name, known, n=2) for name in unknown}
        also = {name: f"; did you mean -{' or -'.join(found)}?" if found else "" for name, found in near.items()}
        what = [f"train.lua has no option -{name}{also[name]}" for name in unknown]
        raise UsageError("\n".join([*what, *(f"{name} is in grid and in draw" for name in twice)]))
    if not written.grid and not written.draw:
        raise UsageError("all runs would be the same: add `grid:` or `draw:` to the sweep's file")
    fractions = [
        f"draw: {name}: {number:g} is not a whole number, as the values of -{name} are"
        for name, draw in written.draw.items()
        for number in (draw.least, draw.most)
        if known[name].type == "whole" and not float(number).is_integer()
    ]
    if fractions:
        raise UsageError("\n".join(fractions))
    empty = [name for name, values in written.grid.items() if not values]
    if empty:
        raise UsageError(f"grid: {', '.join(empty)} has no value")
    doubles = [name for name, values in written.grid.items() if len(set(map(as_argument, values))) < len(values)]
    if doubles:
        raise UsageError(f"grid: {', '.join(doubles)} has a value twice, so that runs would be the same")
    if "draws" in written.model_fields_set and not written.draw:
        raise UsageError(
            "draws has an effect only with `draw:`", advice="To repeat runs, give several seeds in `grid:`."
        )
    count = math.prod(len(values) for values in written.grid.values()) * written.draws
    if count > MOST:
        raise UsageError(
            f"the sweep would have {count:,} runs; the maximum is {MOST:,}",
            advice="Use `draw:` to select some of them.",
        )
    found = []
    for values in itertools.product(*written.grid.values()):
        for _draw in range(written.draws):
            chosen = {name: as_argument(value) for name, value in zip(written.grid, values, strict=True)}
            for name, draw in written.draw.items():
                number = draw.at(chance())
                chosen[name] = str(round(number)) if known[name].type == "whole" else draw.text(number)
            found.append(chosen)
    return found


def plan(
    written: SweepDocument,
    combined: Sequence[Mapping[str, str]],
    names: Sequence[str],
    sweep_id: str,
    given: Sequence[str],
    gpu: str,
    memory: int | None,
) -> tuple[tuple[RunSpec, ...], ...]:
    """The runs of each combination (several if it has stages), named by the sweep and a number."""
    digits = len(str(len(combined)))
    found = []
    first: dict[str, tuple[str, Mapping[str, str]]] = {}
    for number, options in enumerate(combined, 1):
        one = f"{sweep_id}-{number:0{digits}d}"
        runs = stages.plan(written.with_options(options), names, one, given, gpu, memory)
        other, same = first.setdefault(repr([sorted(run.arguments.items()) for run in runs]), (one, options))
        if same != options:
            raise UsageError(
                f"{other} and {one} would be the same, although the sweep gives them other values of "
                f"{', '.join(name for name in options if options[name] != same[name])}",
                advice="An option after -- or of a stage takes precedence over the sweep's: leave it out there.",
            )
        found.append(tuple(replace(run, sweep=sweep_id) for run in runs))
    return tuple(found)


def spread(sets: Sequence[Sequence[RunSpec]], slots: Sequence[Slot], reasons: Sequence[str] = ()) -> tuple[Share, ...]:
    """Distribute the runs evenly over the slots, in order, with the stages of one training together.

    Slots without runs are left out. Raises UsageError with the reasons if there is no slot.
    """
    if not slots:
        raise UsageError(
            "\n".join(["no GPU is free on any host", *reasons]),
            advice="`provision runs list` shows which runs use the GPUs. With --gpu none the runs use the CPU.",
        )
    shares = []
    for place, slot in enumerate(slots):
        mine = [replace(run, gpu=slot.gpu) for runs in sets[place :: len(slots)] for run in runs]
        if mine:
            shares.append(Share(slot, tuple(mine)))
    return tuple(shares)
