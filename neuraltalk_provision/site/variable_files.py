"""Finds files of group_vars and host_vars that Ansible cannot read without naming them, or that all users can write."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision import access_lists, inventories
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.inventories import Inventory

FOLDERS = ("group_vars", "host_vars")
"""The directories beside an inventory from which Ansible reads variables."""
SUFFIXES = (".yml", ".yaml", ".json")
"""The suffixes of the files in them that Ansible reads. It also reads a file that is called as a group or a host."""
_NOTES = (".bak", ".dist", ".example", ".j2", ".md", ".old", ".orig", ".rst", ".sample", ".save", ".tmp", ".txt")
_MOST_FILES = 20_000
_LARGEST = 4 << 20
_DEEPEST = 100
_ENCRYPTED = b"$ANSIBLE_VAULT"
_OF_ANSIBLE = ("!", "!vault", "!vault-encrypted", "!unsafe")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what Ansible reads; encrypted texts stay as they are."""


for _tag in _OF_ANSIBLE:
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_scalar(node))


@functools.cache
def refuse_open(inventory: Inventory) -> None:
    """UsageError if every user of this machine can change an inventory, or the variables beside it."""
    for one in inventories.listed(inventory):
        if inventories.is_host_list(one):
            continue
        with naming(one, "read"):
            inside = [*one.iterdir()] if one.is_dir() else []
            every = [one, *inside, *itertools.islice(_files(one), _MOST_FILES)]
            reasons = ((path, access_lists.open_to_all(path)) for path in every if path.exists())
            found = next(((path, reason) for path, reason in reasons if reason), None)
        if found:
            raise UsageError(f"the inventory {found[0]} is not used, because {found[1]}", advice=access_lists.CLOSE)


def unreadable(inventory: Inventory) -> list[str]:
    """`FILE: REASON` for each file of variables beside the inventories that Ansible cannot read.

    Files without one of the SUFFIXES are examined only if no other is the cause: Ansible reads them only if a group or
    a host has that name. Files larger than 4 MiB are not examined, nor more than 20,000 files.
    """
    files = list(itertools.islice(_files(inventory), _MOST_FILES))
    for has_suffix in (True, False):
        chosen = (file for file in files if (file.suffix in SUFFIXES) is has_suffix)
        found = [f"{file}: {reason}" for file in chosen if (reason := _reason(file))]
        if found:
            return found
    return []


def _files(inventory: Inventory) -> Iterator[Path]:
    """The files below group_vars and host_vars of all inventories, each once, in the order of their names."""
    places = [one if one.is_dir() else one.parent for one in inventories.listed(inventory)]
    for place in dict.fromkeys(places):
        for name in FOLDERS:
            yield from _below(place / name, set())


def _below(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """The files in a directory and its directories, also behind links; `seen` are those that were entered."""
    real = folder.resolve()
    if real in seen or not folder.is_dir():
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # Ansible says so itself
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith("~") or entry.suffix in _NOTES:
            continue
        if entry.is_dir():
            yield from _below(entry, seen)
        else:
            yield entry


def _reason(file: Path) -> str:
    """Why Ansible cannot read the file, with the line; empty if it can, or if it is too large to be examined."""
    try:
        if file.stat().st_size > _LARGEST:
            return ""
        data = file.read_bytes()
        return "" if data.startswith(_ENCRYPTED) else _reason_of(data.decode("utf-8"))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        return f"it is not text in UTF-8: {error.reason} at byte {error.start}"
    except yaml.MarkedYAMLError as error:
        return f"{_place(error.problem_mark)}: {error.problem}"
    except (yaml.YAMLError, ValueError) as error:
        return str(error)


def _reason_of(text: str) -> str:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        if deep := _too_deep(text):
            return deep
        loader = _Loader(text)
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()
    return "" if not content or isinstance(content, dict) else "it must consist of names with values (NAME: VALUE)"


def _too_deep(text: str) -> str:
    """Where lists and mappings are nested too deeply to be read; empty if they are not. YAMLError as `yaml.parse`."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return f"{_place(event.start_mark)}: more than {_DEEPEST} lists and mappings are nested"
    return ""


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
