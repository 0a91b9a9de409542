"""Marks that tell a file from its usual wrong neighbours (catalogue/data/checks.yaml)."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from neuraltalk_provision.catalogue import Check, Tell
from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror.archive import HEAD, Contents, advice_instead
from neuraltalk_provision.rules import archive_formats as formats

BLOCK = 1 << 20


def check_archive(file: Path, name: str, tells: Sequence[Tell], contents: Contents) -> None:
    """Raises MirrorError if an archive lacks a mark of the artifact `name`."""
    for tell in tells:
        paths = fnmatch.filter(contents.files, tell.file)
        problem = "" if paths or not tell.has else f"it has no {tell.file}"
        for path in paths:
            head, text = contents.heads.get(path, b""), contents.texts.get(path, "")
            problem = problem or _missing(tell, path, head, [word for word in (*tell.has, *tell.lacks) if word in text])
        if problem:
            _refuse(file, name, problem, tell)


def _missing(tell: Tell, where: str, head: bytes, found: Sequence[str]) -> str:
    """The mark that is missing, in words; empty if none is."""
    absent = [word for word in tell.has if word not in found]
    foreign = [word for word in tell.lacks if word in found]
    if tell.starts and not head.startswith(tell.starts.encode("iso-8859-1")):
        return f"{where} {formats.what_is(head) or 'does not begin as such a file does'}"
    if absent:
        return f"{where} does not contain {', '.join(absent)}"
    return f"{where} contains {', '.join(foreign)}" if foreign else ""


def _refuse(file: Path, name: str, problem: str, tell: Tell) -> None:
    reason, _, advice = tell.otherwise.partition(". ")
    raise MirrorError(f"{file} is not {name}: {problem}. It is probably {reason}", advice=f"{advice.strip()}.")


def check_file(file: Path, name: str, check: Check) -> None:
    """Raises MirrorError if a file that is no archive is empty, is something else, or lacks a mark."""
    with naming(file, "read", MirrorError), file.open("rb") as opened:
        head = opened.read(HEAD)
        check_head(file, name, check, head)
        words = {word for tell in check.tells for word in (*tell.has, *tell.lacks)}
        opened.seek(0)
        found = _search(opened, words)
        opened.seek(max(0, opened.tell() - HEAD))
        end = opened.read(HEAD).rstrip()
        for tell in check.tells:
            problem = _missing(tell, "it", head.lstrip() if tell.starts.strip() else head, sorted(found))
            if not problem and tell.ends and not end.endswith(tell.ends.encode("iso-8859-1")):
                problem = f"it does not end with {tell.ends}"
            if problem:
                _refuse(file, name, problem, tell)
        if check.format == "protobuf" and not is_whole_protobuf(opened):
            raise MirrorError(
                f"{file} is incomplete or damaged: its last part ends too early, or something follows it",
                advice="Get the file again from its origin, and compare its size and checksum.",
            )


def check_head(file: Path, name: str, check: Check, head: bytes, *, plain: bool = True) -> None:
    """Raises MirrorError if the first bytes of a file show something else; `plain` if it is no archive."""
    what = formats.what_is(head)
    if what:
        advice = advice_instead(what) or "Check that it is the right file."
        raise MirrorError(f"{file} {what}, not {check.what or name}", advice=advice)
    for tell in check.tells if plain else ():
        start = head.lstrip() if tell.starts.strip() else head
        if not start.startswith(tell.starts.encode("iso-8859-1")):
            _refuse(file, name, "it does not begin as such a file does", tell)


def _search(opened: BinaryIO, words: set[str]) -> set[str]:
    """Which of the words are in a file, from here to its end; reads it in blocks."""
    left = {word: word.encode("utf-8") for word in words}
    longest = max((len(word) for word in left.values()), default=1)
    found, tail = set[str](), b""
    while block := opened.read(BLOCK):
        text = tail + block
        found |= {word for word, encoded in left.items() if encoded in text}
        left = {word: encoded for word, encoded in left.items() if word not in found}
        tail = text[-longest:]
    return found


def is_whole_protobuf(opened: BinaryIO) -> bool:
    """Whether a file is a sequence of complete protobuf fields (https://protobuf.dev/programming-guides/encoding/)."""
    size = opened.seek(0, 2)
    place = opened.seek(0)
    while place < size:
        key = _varint(opened)
        kind = key & 7 if key else 7
        if kind == 2:
            length = _varint(opened)
            if length is None:
                return False
            opened.seek(length, 1)
        elif kind == 0:
            if _varint(opened) is None:
                return False
        elif kind in (1, 5):
            opened.seek(8 if kind == 1 else 4, 1)
        else:
            return False
        place = opened.tell()
    return place == size


def _varint(opened: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 63, 7):
        byte = opened.read(1)
        if not byte:
            return None
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    return None
