"""The base class of all results, their field types with limits, and the messages for wrong results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError

from neuraltalk_provision.rules.texts import some

Item = TypeVar("Item")
Read = TypeVar("Read", bound="Result")

Text = Annotated[str, Field(max_length=4096)]
LongText = Annotated[str, Field(max_length=100_000)]


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ") if "\n" in text else text


Words = Annotated[Text, AfterValidator(_indented)]
LongWords = Annotated[LongText, AfterValidator(_indented)]
"""Texts that become a part of our messages. Further lines are indented: a host could otherwise print a line that begins
with `next:`, as ours do."""
Whole = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Version = Annotated[str, Field(pattern=r"^[0-9.]*$", max_length=64)]
Many = Annotated[tuple[Item, ...], Strict(False), Field(fail_fast=True)]
"""A list, read as a tuple. Items are checked strictly, up to the first wrong one. Every use sets a maximum length:
Annotated[Many[Text], Field(max_length=9)]."""


class Result(BaseModel):
    """A part of a module's result. Values are never converted to another type; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", defer_build=True)


def read(shape: type[Read], value: object) -> Read | str:
    """The value as an object of that type, or a text that says which fields are wrong."""
    try:
        return shape.model_validate(dict(value) if isinstance(value, Mapping) else value)
    except ValidationError as error:
        return problems(error)


def problems(error: ValidationError) -> str:
    """The first three wrong fields, each with what is expected and the value that was found."""
    found = error.errors(include_url=False, include_context=False)
    return some([f"{_place(one['loc'])}: {_expected(one)}" for one in found[:_SHOWN]], _SHOWN, len(found), "; ")


def plain(value: Any) -> Any:
    """A result, or an object that contains results, as JSON data; without the fields that the host did not return."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


_SHOWN = 3


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:80] for part in location) or "the whole result"


def _expected(problem: Any) -> str:
    found = "" if problem["type"] == "missing" else f" (found {_short(problem['input'])})"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}{found}"


def _short(value: Any) -> str:
    """A value as a text of at most 80 characters: a result can have any size."""
    if isinstance(value, Mapping | list):
        return f"{type(value).__name__} of {len(value)}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
