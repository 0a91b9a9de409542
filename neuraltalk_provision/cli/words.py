"""The words of a command line before Typer reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from neuraltalk_provision import paths
from neuraltalk_provision.errors import UsageError

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
    return [*(_with_home(word) for word in words[:end]), *words[end:]]


def _with_home(word: str) -> str:
    return _HOME.sub(lambda found: f"{found[1]}{paths.home()}", word)
