"""The base of all results: how they are read, which types and bounds they have, and what is wrong with one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

Item = TypeVar("Item")
Read = TypeVar("Read", bound="Result")

Text = Annotated[str, Field(max_length=4096)]
Words = Annotated[str, Field(max_length=100_000)]
Whole = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Version = Annotated[str, Field(pattern=r"^[0-9.]*$", max_length=64)]
Many = Annotated[tuple[Item, ...], Strict(False), Field(fail_fast=True)]
"""A list, as a tuple, looked at up to the first item that is wrong; its items stay strict. Each use has a bound, as in
Annotated[Many[Text], Field(max_length=9)]."""


class Result(BaseModel):
    """A part of what a module returns: types are taken as they are, never converted; unknown keys are left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


def read(shape: type[Read], value: object) -> Read | str:
    """The value as that type; in words what is wrong with it, field by field, where it is something else."""
    try:
        return shape.model_validate(dict(value) if isinstance(value, Mapping) else value)
    except ValidationError as error:
        return problems(error)


def problems(error: ValidationError) -> str:
    """The first few fields that are wrong, each with what is expected there and what stands there."""
    found = error.errors(include_url=False, include_context=False)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(f"{_place(problem['loc'])}: {_expected(problem)}" for problem in found[:_SHOWN]) + more


def plain(value: Any) -> Any:
    """A result, or what holds some, in what JSON has; of a result only what the host did say."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


_SHOWN = 3


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:80] for part in location) or "the whole"


def _expected(problem: Any) -> str:
    found = "" if problem["type"] == "missing" else f" (it says {_short(problem['input'])})"
    words = str(problem["msg"]).removeprefix("Value error, ")
    return f"{words[:1].lower()}{words[1:]}{found}"


def _short(value: Any) -> str:
    """A value in few words: a result may be as large as it likes."""
    if isinstance(value, Mapping | list):
        return f"{type(value).__name__} of {len(value)}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
