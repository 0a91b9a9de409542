"""Command lines in advice: they repeat the options of this command that decide on what it works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

PLACES = {"-s": "--settings", "-i": "--inventory", "-m": "--mirror", "": "--stack-root"}
"""The options that say on which site a command works, with their short names."""
_LIMIT = "-l"
"""The option that says on which hosts: only the same command repeats it, because another one can be about others."""
_NAMED = re.compile(r"`provision ([^`]+)`(?<!--help`)")
"""A command line for the reader, in backticks. Those of other commands and for other machines are in double quotes."""


class _Given(NamedTuple):
    """The words of this command, the options that are repeated, and a function that returns those of a command."""

    words: str
    places: tuple[str, ...]
    limits: tuple[str, ...]
    options_of: Callable[[str], Collection[str]]


_given: ContextVar[_Given | None] = ContextVar("given", default=None)


@contextmanager
def repeating(arguments: Sequence[str], options_of: Callable[[str], Collection[str]]) -> Iterator[None]:
    """In the block, `completed` repeats the options of this command line.

    `options_of` returns the options of a command by its words, such as `mirror add`.
    """
    limits = tuple(_values(arguments, {_LIMIT: "--limit"}))
    token = _given.set(_Given(_verb(" ".join(arguments)), tuple(_values(arguments, PLACES)), limits, options_of))
    try:
        yield
    finally:
        _given.reset(token)


def completed(text: str) -> str:
    """The text; each command line of ours in backticks has the options that this command got, if it can have them."""
    given = _given.get()
    return _NAMED.sub(lambda found: _complete(found[1], given), text) if given else text


def _complete(whole: str, given: _Given) -> str:
    line, *rest = whole.split(" -- ", 1)
    options = given.options_of(_verb(line)) if given.places else ()
    more = [word for word in given.places if _option(word) in options]
    if _verb(line) == given.words and "--resume" not in line:
        more += given.limits
    missing = [word for word in more if f" {_option(word)}" not in f" {line}"]
    return f"`provision {' -- '.join([' '.join([line, *missing]), *rest])}`"


def _verb(line: str) -> str:
    """The words of a command line before its first option."""
    return re.split(r" -|(?: |^)[^a-z]", f"{line} ")[0].strip()


def _option(word: str) -> str:
    return word.partition("=")[0].partition(" ")[0]


def _values(arguments: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The options of these names in a command line, as `--option VALUE`, for a shell."""
    found = []
    words = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    for place, word in enumerate(words):
        for short, name in names.items():
            value = None
            if word in (name, short or name):
                value = words[place + 1] if place + 1 < len(words) else None
            elif word.startswith(f"{name}="):
                value = word.partition("=")[2]
            elif short and re.match(rf"{short}[^-]", word):
                value = word[2:]
            if value is not None:
                found.append(f"{name} {shlex.quote(value)}")
    return found
