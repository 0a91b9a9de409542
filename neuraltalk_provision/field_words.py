"""The form of files: what is wrong with a field that a person wrote, in words of the file and not of Python. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

_LINES = "`name: value` lines"
_LIST = "a list such as [a, b]"
_WHOLE = "a whole number"
_LONGEST_PATH = 4095
"""In bytes: the kernel's limit without the zero at the end."""
# What must stand there, by the type of pydantic's error.
_WANTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _LINES),
    "string_type": "text",
    "path_type": "a file or directory",
}
_BRANCH = re.compile(r"str|int|float|path|literal\[.*|function-.*|lax-or-strict.*")
"""The name that pydantic appends to the place of an error if the field can have several types."""
_LONGEST = 80


class Strict(BaseModel):
    """A part of a file, frozen and without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


@dataclass(frozen=True)
class Problem:
    """A problem of one field."""

    place: tuple[str | int, ...]
    words: str
    unknown: bool = False
    """Whether there is no such field."""

    @property
    def name(self) -> str:
        """The name of the field, with the fields that contain it."""
        return ".".join(str(part) for part in self.place)


def problems(error: ValidationError) -> list[Problem]:
    """The problems that pydantic found, one for each field."""
    found: list[Problem] = []
    for place, group in groupby(error.errors(), _field):
        alternatives = list(group)
        first = alternatives[0]
        wanted = [word for word in dict.fromkeys(_WANTED.get(one["type"], "") for one in alternatives) if word]
        words = _type(wanted, first["input"]) if wanted else _said(first)
        found.append(Problem(place, words, unknown=first["type"] == "extra_forbidden"))
    return found


def first_problem(error: ValidationError) -> str:
    """The place and the words of the first problem, for files that only programs write."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"][:5]) or "the whole file"
    return f"{place[:200]}: {first['msg'][:300]}"


def not_a_path(value: str) -> str:
    """Why a text cannot be a path on a host; empty if it can, or if it is empty itself."""
    if value and not value.startswith("/"):
        return "must be an absolute path on the host"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value):
        return (
            "a path with control characters, line breaks or bytes that are not UTF-8 cannot be used; rename the file "
            "or directory"
        )
    return f"a path can have at most {_LONGEST_PATH} bytes" if len(value.encode()) > _LONGEST_PATH else ""


def _field(problem: Any) -> tuple[str | int, ...]:
    place: tuple[str | int, ...] = problem["loc"]
    return place[:-1] if place and _BRANCH.fullmatch(str(place[-1])) else place


def _type(wanted: Sequence[str], value: object) -> str:
    what = " or ".join(filter(None, (", ".join(wanted[:-1]), wanted[-1])))
    if value is None:
        return f"is empty: write {what}, or leave the line out"
    return f"must be {what}, and is {_shown(value)}"


def _said(problem: Any) -> str:
    """An error that is not about a type."""
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "missing":
            return "it is missing"
        case "greater_than_equal":
            words = f"must be at least {limits['ge']}"
        case "less_than_equal":
            words = f"must be at most {limits['le']}"
        case "literal_error" | "enum":
            words = f"must be {limits['expected']}"
        case "string_pattern_mismatch":
            words = f"must match {limits['pattern']}"
        case "string_too_short" | "string_too_long" as kind:
            least = kind == "string_too_short"
            count = limits["min_length" if least else "max_length"]
            return f"must have at {'least' if least else 'most'} {count} character{'s' if count != 1 else ''}"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")
    return f"{words}, and is {_shown(problem['input'])}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list | tuple):
        return "a list of values" if not isinstance(value, dict) else _LINES
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
