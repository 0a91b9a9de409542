"""What hosts answered, at the door: a result of each host, or that host's failure with what is wrong in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import DROPPED, Failure, Told

Results = dict[str, Mapping[str, Any]]

Text = Annotated[str, Field(max_length=4096)]
Words = Annotated[str, Field(max_length=100_000)]
Number = Annotated[int, Field(ge=0, lt=2**63)]
Version = Annotated[str, Field(pattern=r"^[0-9.]*$", max_length=64)]


class Shape(BaseModel):
    """A part of an answer: types are taken as they are, never converted; further keys do not matter."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


def of(
    told: Told, action: str, hosts: Sequence[str] = (), shape: type[BaseModel] | None = None
) -> tuple[Results, tuple[Failure, ...]]:
    """({host: its result of the module `action`}, the failures of all other hosts).

    A host that failed, that said nothing (one of `hosts` that no result came from), whose result was dropped on its
    way for its size, or whose result has not that `shape`, is a failure with its name and the field; the others'
    results are handed on as they came. Pass `playbook.Outcome.told`.
    """
    failures = {failure.host: failure for failure in told.failures}
    results: Results = {}
    for host, result in told.result_of(action).items():
        if host in failures:
            continue
        problem = wrong(result, shape)
        if problem:
            code = codes.ANSWER_WRONG if result else codes.ANSWER_DROPPED
            failures[host] = Failure(host, action, problem, code=code)
        else:
            results[host] = result
    for host in hosts:
        if host not in results and host not in failures:
            words = "it gave no answer, and Ansible gave no reason"
            failures[host] = Failure(host, action, words, code=codes.ANSWER_MISSING)
    return dict(sorted(results.items())), tuple(failures.values())


def wrong(result: Mapping[str, Any], shape: type[BaseModel] | None = None) -> str:
    """What is wrong with a result: that it was dropped, or each field that is not as expected; empty if it is well."""
    if not result:
        return DROPPED
    if shape is None:
        return ""
    try:
        shape.model_validate(dict(result))
    except ValidationError as error:
        told = [f"{_place(problem['loc'])}: {_expected(problem)}" for problem in error.errors(include_url=False)]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        return (
            f"its answer is not as expected: {'; '.join(told[:_SHOWN])}{more}. Another Python, a login script that "
            "prints, or somebody who answers in its name does this: look at the host before anything else"
        )
    return ""


_SHOWN = 3


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:80] for part in location) or "the whole"


def _expected(problem: Any) -> str:
    said = "" if problem["type"] == "missing" else f" (it says {_short(problem['input'])})"
    words = str(problem["msg"])
    return f"{words[:1].lower()}{words[1:]}{said}"


def _short(value: Any) -> str:
    """A value in few words: an answer may be as large as it likes."""
    if isinstance(value, Mapping | list):
        return f"{type(value).__name__} of {len(value)}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
