"""A run's file: YAML with its host, its card and its options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BeforeValidator, Field, FiniteFloat, StrictInt, ValidationError

from neuraltalk_provision import field_words, yaml_file
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.field_words import Problem, Strict
from neuraltalk_provision.runs.request.spec import PROCESSOR, words

SUFFIXES = (".yml", ".yaml")
Value = Annotated[str | int | float, BeforeValidator(yaml_file.not_boolean)]
"""The value of an option in a file."""
Number = Annotated[FiniteFloat, BeforeValidator(yaml_file.not_boolean)]
Document = TypeVar("Document", bound="RunDocument")


class Until(Strict):
    """When a stage ends: at the first checkpoint at or after an iteration, or after so many without an improvement."""

    iterations: int | None = Field(default=None, ge=1, le=1 << 53, strict=True)
    plateau: int | None = Field(default=None, ge=1, le=1 << 53, strict=True)

    def given(self) -> dict[str, int]:
        """The conditions that are set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class StageDocument(Strict):
    """One stage in a run's file."""

    options: dict[str, Value] = Field(default_factory=dict)
    until: Until | None = None


class RunDocument(Strict):
    """A run's file. `options` are the program's own, by name; the options of a stage override them."""

    host: str = ""
    id: str = ""
    gpu: str | StrictInt = PROCESSOR
    gpu_memory: int | None = Field(default=None, ge=0, le=1 << 53, strict=True)
    options: dict[str, Value] = Field(default_factory=dict)
    stages: dict[str, StageDocument] = Field(default_factory=dict)

    def stage(self, name: str) -> StageDocument:
        """The settings of a stage; empty if the file has no such stage."""
        return self.stages.get(name, StageDocument())

    def with_options(self, options: Mapping[str, str | int | float]) -> RunDocument:
        """A copy with some options changed."""
        return self.model_copy(update={"options": {**self.options, **options}})

    def with_gpu(self, gpu: str | None, memory: int | None) -> Self:
        """A copy with the GPU and the memory that the command line gives; None for what it does not give."""
        given = {"gpu": gpu, "gpu_memory": memory}
        return self.model_copy(update={name: value for name, value in given.items() if value is not None})

    def arguments(self, given: Sequence[str]) -> list[str]:
        """The options as arguments of a command line; `given` are those of the command line and override the file's."""
        named = {option.lstrip("-") for option in given[::2]}
        own = {name: as_argument(value) for name, value in self.options.items() if name not in named}
        return [*words(own), *given]


def as_argument(value: str | int | float) -> str:
    """A value from a file as an argument of the command line."""
    return repr(value) if isinstance(value, float) else str(value)


def split(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """(the file, the other arguments): the first argument is a file if it ends in .yml or .yaml and is no option."""
    if arguments and not arguments[0].startswith("-") and arguments[0].endswith(SUFFIXES):
        return Path(arguments[0]), list(arguments[1:])
    return None, list(arguments)


def read(file: Path | None) -> RunDocument:
    """The content of the file; empty without a file. Raises UsageError with the place of every problem."""
    return RunDocument() if file is None else read_as(RunDocument, file)


def read_as(model: type[Document], file: Path) -> Document:
    """The content of a run's or a sweep's file. Raises UsageError with the place of every problem."""
    given = yaml_file.read(file)
    try:
        return model.model_validate({} if given is None else given)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(model, file, problem) for problem in field_words.problems(error))) from None


def _explain(model: type[RunDocument], file: Path, problem: Problem) -> str:
    name = problem.name or "the whole file"
    if not problem.unknown:
        return f"{file}: {name}: {problem.words}"
    known = list(model.model_fields)
    if len(problem.place) > 1:
        inner = Until if problem.place[-2] == "until" else StageDocument
        known = [f"{name.rpartition('.')[0]}.{field}" for field in inner.model_fields]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.4) or known
    return f"{file}: {name} is not a setting of a run's file; did you mean {' or '.join(near)}?"
