"""Lists of hosts as files, one name a line, for `--limit @FILE`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from neuraltalk_provision.errors import naming
from neuraltalk_provision.mirror.part_writer import write_small

NAMES = ("done", "failed", "set-aside", "untouched")
"""done: as the mirror describes. failed: something failed in this rollout. set-aside: nothing was done there, because
the host was not well or busy. untouched: the rollout ended before it came to them."""


def remove(directory: Path) -> None:
    """Remove the lists of an earlier time."""
    with naming(directory, "written"):
        for name in NAMES:
            (directory / f"{name}.txt").unlink(missing_ok=True)


def write(directory: Path, lists: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Write each list that has hosts; {name of the list: path of its file}. The list of an earlier time is replaced."""
    written = {}
    with naming(directory, "written"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in NAMES:
            file = directory / f"{name}.txt"
            hosts = sorted(lists.get(name, ()))
            if not hosts:
                file.unlink(missing_ok=True)
                continue
            write_small(file, "".join(f"{host}\n" for host in hosts).encode())
            written[name] = str(file)
    return written
