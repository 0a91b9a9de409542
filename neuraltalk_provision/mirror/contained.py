"""What a tar of OS packages or wheels contains, for the list that goes with a bundle. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["deb", "rpm", "wheel", "file"]
LONGEST_NAME = 200
MOST_LICENCES = 50
LONGEST_LICENCES = 2_000


@dataclass(frozen=True)
class Statement:
    """What a package says about its licence: names as it writes them, the file they are in, or why there are none."""

    licences: tuple[str, ...] = ()
    file: str = ""
    why: str = ""


@dataclass(frozen=True)
class Package:
    """A file of the tar; `kind` is `file` for one that is no package, such as an index. `size` in bytes."""

    kind: Kind
    file: str
    size: int
    sha256: str
    name: str = ""
    version: str = ""
    architecture: str = ""
    statement: Statement = field(default=Statement(why="it is no package"))


@dataclass(frozen=True)
class Inside:
    """The files of a tar, sorted; `problem` says why they are not known."""

    packages: tuple[Package, ...] = ()
    problem: str = ""


def plain(text: str) -> str:
    """Text that people gave, without characters that could change what is shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown(text: str) -> str:
    """Text of a package as one short line without characters that could change what is shown."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 10 * LONGEST_NAME]).split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 3]}..."


def stated(names: list[str], file: str, why: str) -> Statement:
    """The statement with these names, sorted and each once; `why` is used if there are none."""
    found = sorted({shown(name) for name in names} - {""})
    if len(found) > MOST_LICENCES or sum(map(len, found)) > LONGEST_LICENCES:
        return Statement((), file, f"it names {len(found)} licences, too many for this list: read the file")
    return Statement(tuple(found), file, "" if found else why)
