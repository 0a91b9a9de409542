"""What became of old generations, as the module stack_generation returns it. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import LongText, Many, Result, Text


class Kept(Result):
    """A generation that could not be removed; `id` is empty if none could be."""

    id: Text
    problem: LongText

    def __str__(self) -> str:
        which = f"generation {self.id} was" if self.id else "old generations were"
        return f"{which} not removed: {self.problem}"


class PrunedResult(Result):
    """The ids of the generations that were removed, and those that were not."""

    removed: Annotated[Many[Text], Field(max_length=1000)]
    kept: Annotated[Many[Kept], Field(max_length=1000)]
