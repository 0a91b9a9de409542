"""The words of a command line before Typer reads them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

from neuraltalk_provision import paths
from neuraltalk_provision.errors import UsageError

_PROGRAMS = {"train": "train.lua", "sweep": "train.lua", "runs resume": "train.lua", "eval": "eval.lua"}
"""The verbs that pass options to a program, and that program."""
_LONG = re.compile(r"--?([A-Za-z][A-Za-z0-9_]+)(?==|$)")
_HOME = re.compile(r"(--[a-z][a-z_-]*=)~(?=/|$)")


def checked(words: Sequence[str]) -> list[str]:
    """The words, with the home directory for ~ in `--option=~/path`, which no shell replaces there.

    Raises UsageError for an empty word: verbs would use the default, for example another host or another directory.
    Words after a `--` are options of a program and stay as they are.
    """
    end = words.index("--") if "--" in words else len(words)
    for before, word in zip(("", *words), words[:end], strict=False):
        option = word.strip()[:-1] if re.fullmatch(r"--[a-z][a-z_-]*=\s*", word) else None
        if option or not word.strip():
            place = f"after {option or before}" if option or before else "at the beginning"
            raise UsageError(
                f"the command line has an empty value {place}",
                advice="If it comes from a shell variable, the variable is empty. Nothing was done.",
            )
    _refuse_misplaced(words[:end])
    plain = [_HOME.sub(lambda found: f"{found[1]}{paths.home()}", word) for word in words[:end]]
    return [*plain, *words[end:]]


def _refuse_misplaced(words: Sequence[str]) -> None:
    """UsageError for an option of a program before the --: Typer would take -input_h5 for -i with the value nput_h5."""
    plain = [word for word in words if not word.startswith("-")]
    verb = next((verb for verb in _PROGRAMS if plain[: len(verb.split())] == verb.split()), "")
    found = [match for word in words if (match := _LONG.match(word))] if verb else []
    if not found:
        return
    program = _PROGRAMS[verb]
    known = importlib.import_module("neuraltalk_provision.catalogue").program_options(program)  # takes 0.3 s
    for match in found:
        if match[1] in known and match[0] != "--id":
            raise UsageError(
                f"{match[0]} is an option of {program}, and stands before the --",
                advice=f"Write options of the program at the end: provision {verb} ... -- -{match[1]} VALUE",
            )
