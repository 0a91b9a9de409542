"""A run written down: a YAML file with its host, its card and its options."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.spec import PROCESSOR

SUFFIXES = (".yml", ".yaml")


class RunDocument(BaseModel):
    """What a run's file may say; `options` are the program's own, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = ""
    id: str = ""
    gpu: str | int = PROCESSOR
    gpu_memory: int | None = None
    options: dict[str, str | int | float] = {}

    def words(self, given: Sequence[str]) -> list[str]:
        """The options as words, with those of the command line in the place of the file's."""
        named = {word.lstrip("-") for word in given[::2]}
        own = [part for name, value in self.options.items() if name not in named for part in (f"-{name}", _text(value))]
        return [*own, *given]


def _text(value: str | int | float) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:.12g}" if isinstance(value, float) else str(value)


def split(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """(the file, the rest): the first word is a file where it ends in .yml or .yaml and is no option."""
    if words and not words[0].startswith("-") and words[0].endswith(SUFFIXES):
        return Path(words[0]), list(words[1:])
    return None, list(words)


def read(file: Path | None) -> RunDocument:
    """The file's content; an empty one without a file. Raises UsageError with the place of every problem."""
    if file is None:
        return RunDocument()
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    try:
        return RunDocument.model_validate(given or {})
    except ValidationError as error:
        raise UsageError("\n".join(_explain(file, problem["loc"], problem) for problem in error.errors())) from None


def _explain(file: Path, place: Sequence[str | int], problem: object) -> str:
    name = ".".join(str(part) for part in place) or "the whole"
    if isinstance(problem, dict) and problem.get("type") == "extra_forbidden":
        near = difflib.get_close_matches(name, RunDocument.model_fields, n=2, cutoff=0.4) or RunDocument.model_fields
        return f"{file}: {name} is nothing that a run's file says; did you mean {' or '.join(near)}?"
    return f"{file}: {name}: {problem['msg'] if isinstance(problem, dict) else problem}"
