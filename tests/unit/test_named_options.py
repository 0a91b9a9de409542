"""Every option that a message names is one that the command has which the message names, or which prints it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.rules import holder
from neuraltalk_provision.site import advice
from tests.unit.test_cli import commands

OPTIONS = {words: {name for one in command.params for name in one.opts} | {"--help"} for words, command in commands()}
LEASED = ("site", "rollback", "cudnn swap", "cudnn restore", "cache verify")
"""The commands that take the leases of hosts; docs/contracts.md names them."""
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9_-]*")
_GROUPS = {words.rpartition(" ")[0] for words in OPTIONS}


@functools.cache
def texts(folder: str) -> tuple[tuple[str, str], ...]:
    """(place, text) of each string in the Python files below a folder; `{}` stands for a value."""
    return tuple(_texts(folder))


def _texts(folder: str) -> Iterator[tuple[str, str]]:
    for file in sorted((paths.share() / folder).rglob("*.py")):
        parts: set[int] = set()
        code = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(code)) if "`provision " in code or "the same command" in code else ():
            if isinstance(node, ast.JoinedStr):
                parts |= {id(value) for value in node.values}
                words = [str(value.value) if isinstance(value, ast.Constant) else "{}" for value in node.values]
                yield f"{file.name}, line {node.lineno}", "".join(words)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                yield f"{file.name}, line {node.lineno}", node.value


def wrong(line: str) -> str:
    """What is wrong with a command line of ours, without `provision`; empty if nothing is."""
    found = [words for words in OPTIONS if f"{line} ".startswith(f"{words} ")]
    if not found:
        return "" if line.rstrip(". ") in _GROUPS or line.startswith(("{}", "--")) else "no such command"
    lacks = set(_OPTION.findall(line)) - OPTIONS[max(found, key=len)]
    return f"it has no {', '.join(sorted(lacks))}" if lacks else ""


@pytest.mark.parametrize("folder", ["neuraltalk_provision", "plugins", "docs"])
def test_every_command_line_that_a_message_or_a_document_names_has_its_options(folder: str) -> None:
    documents = sorted(Path(paths.share() / folder).glob("*.md"))
    told = [*texts(folder), *((file.name, file.read_text(encoding="utf-8")) for file in documents)]
    lines = [(place, line) for place, text in told for line in re.findall(r"`provision ([a-z{-][^`]+)`", text)]
    assert len(lines) > 5
    assert [f"{place}: `provision {line}`: {wrong(line)}" for place, line in lines if wrong(line)] == []
    assert wrong("site --limmit a") == "it has no --limmit"


def test_advice_for_a_failure_names_options_with_their_command_because_every_command_prints_it() -> None:
    for code, text in advice.ADVICE.items():
        assert not _OPTION.findall(re.sub(r"`[^`]*`|\([^)]*\)|-o \S+", "", text)), code


@pytest.mark.parametrize("words", LEASED)
def test_every_command_that_takes_leases_can_take_them_over(words: str) -> None:
    assert "--take-over" in OPTIONS[words]


def test_other_commands_that_tell_a_lease_do_not_send_the_user_to_an_option_that_they_lack() -> None:
    assert "the same command" not in holder.TAKE_OVER
    told = [
        place
        for folder in ("neuraltalk_provision", "plugins")
        for place, text in texts(folder)
        if "the same command with --" in text and not place.startswith("journal.py")
    ]  # site and rollback open it
    assert told == []
