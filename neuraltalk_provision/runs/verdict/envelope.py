"""The range in which losses and scores of a training are expected, by iteration. Pure except for `read`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from neuraltalk_provision import catalogue, field_words, yaml_file
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.field_words import Strict
from neuraltalk_provision.runs.request.document import Number


class Range(Strict):
    """The expected range, from `least` to `most`, at one iteration (counted over all stages)."""

    iteration: int = Field(ge=0, strict=True)
    least: Number
    most: Number

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.least > self.most:
            raise ValueError(f"at iteration {self.iteration} least {self.least:g} is greater than most {self.most:g}")
        return self


class Envelope(Strict):
    """Ranges over iterations: of `loss` (training and validation) and of scores by name, such as CIDEr."""

    name: str
    ranges: Mapping[str, tuple[Range, ...]]

    @model_validator(mode="after")
    def _ordered(self) -> Envelope:
        for what, ranges in self.ranges.items():
            if not ranges:
                raise ValueError(f"{what} has no ranges")
            if any(before.iteration >= after.iteration for before, after in pairwise(ranges)):
                raise ValueError(f"the iterations of {what} must increase")
        return self

    def at(self, what: str, iteration: int) -> tuple[float, float] | None:
        """(least, most) of `loss` or a score at an iteration: interpolated between two ranges, constant after the last.

        None if the envelope has no ranges for it, and before the first range.
        """
        ranges = self.ranges.get(what, ())
        if not ranges or iteration < ranges[0].iteration:
            return None
        for before, after in pairwise(ranges):
            if iteration <= after.iteration:
                share = (iteration - before.iteration) / (after.iteration - before.iteration)
                return (
                    before.least + share * (after.least - before.least),
                    before.most + share * (after.most - before.most),
                )
        return ranges[-1].least, ranges[-1].most


def read(file: Path) -> Envelope:
    """The envelope in a YAML file. Raises UsageError with the place of every problem."""
    try:
        return Envelope.model_validate(yaml_file.read(file))
    except ValidationError as error:
        lines = [
            f"{file}: {problem.name or 'the whole file'}: "
            f"{'there is no such field' if problem.unknown else problem.words}"
            for problem in field_words.problems(error)
        ]
        raise UsageError("\n".join(lines)) from None


def of_coco(finetunes_at: int | None = None) -> Envelope:
    """The envelope for COCO and the programs' default options, with finetuning from that iteration, or without."""
    known = catalogue.envelopes()
    base = {what: tuple(Range(**row) for row in rows) for what, rows in known["base"].items()}
    if finetunes_at is None:
        return Envelope(name="COCO", ranges=base)
    joined = {
        what: (
            *(row for row in base.get(what, ()) if row.iteration < finetunes_at),
            *(Range(**{**row, "iteration": row["iteration"] + finetunes_at}) for row in rows),
        )
        for what, rows in known["finetune"].items()
    }
    return Envelope(name=f"COCO, finetuned from iteration {finetunes_at:,}", ranges=joined)
