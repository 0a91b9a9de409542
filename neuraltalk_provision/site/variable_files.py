"""Finds the files of group_vars and host_vars that Ansible cannot read: its own error does not name them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision import inventories
from neuraltalk_provision.inventories import Inventory

FOLDERS = ("group_vars", "host_vars")
"""The directories beside an inventory from which Ansible reads variables."""
SUFFIXES = ("", ".yml", ".yaml", ".json")
"""The suffixes of the files in them that Ansible reads."""
_MOST_FILES = 20_000
_LARGEST = 4 << 20
_ENCRYPTED = b"$ANSIBLE_VAULT"
_OF_ANSIBLE = ("!", "!vault", "!vault-encrypted", "!unsafe")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCOPES = (yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.ScalarEvent)


def unreadable(inventory: Inventory) -> list[str]:
    """`FILE: REASON` for each file of variables beside the inventories that Ansible cannot read.

    Files larger than 4 MiB are not examined, nor more than 20,000 files.
    """
    files = list(itertools.islice(_files(inventory), _MOST_FILES))
    return [f"{file}: {reason}" for file in files if (reason := _reason(file))]


def _files(inventory: Inventory) -> Iterator[Path]:
    """The files below group_vars and host_vars of all inventories, each once, in the order of their names."""
    places = [one if one.is_dir() else one.parent for one in inventories.listed(inventory)]
    for place in dict.fromkeys(places):
        for folder, below, names in itertools.chain.from_iterable(os.walk(place / name) for name in FOLDERS):
            below[:] = sorted(name for name in below if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if _is_read(name))


def _is_read(name: str) -> bool:
    """Whether Ansible reads a file of this name: a host's name with several dots, such as a.b.org, needs no suffix."""
    return name[0] != "." and name[-1] != "~" and (Path(name).suffix in SUFFIXES or name.count(".") > 1)


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
    except yaml.YAMLError as error:
        return str(error)


def _reason_of(text: str) -> str:
    root = True
    for event in yaml.parse(text, _LOADER):
        if not isinstance(event, _SCOPES):
            continue
        empty = isinstance(event, yaml.ScalarEvent) and event.value.lower() in ("", "null", "~")
        if root and not isinstance(event, yaml.MappingStartEvent) and not empty:
            return f"{_place(event.start_mark)}: the file must consist of names with values (NAME: VALUE)"
        if event.tag and event.tag not in _OF_ANSIBLE and event.tag not in yaml.SafeLoader.yaml_constructors:
            return f"{_place(event.start_mark)}: Ansible knows no type {event.tag}"
        root = False
    return ""


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
