"""The results of the programs that prepare and inspect data. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from neuraltalk_provision.results.base import LongText, Result, Text, Whole


class ProgramResult(Result):
    """The result of a program: `error` is its message if it failed. Other keys are kept as the program wrote them."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    error: LongText = ""
    code: Text = ""
    traceback: LongText = ""


class PrepareResult(ProgramResult):
    """The result of `prepare`: the number of pictures in the data set."""

    pictures: Whole


class InspectResult(ProgramResult):
    """The result of `inspect`: how many faults of each kind it found."""

    faults: Annotated[dict[Text, Whole], Field(max_length=1000)]


class UndoResult(ProgramResult):
    """The result of `inspect` with a list to undo: how many files were moved back."""

    moved_back: Whole


def shape_of(name: str, undo: bool) -> type[ProgramResult]:
    """The type of the result of a program that did not fail."""
    if name == "prepare":
        return PrepareResult
    return UndoResult if undo else InspectResult
