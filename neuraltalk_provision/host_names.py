"""Many hosts in few words: names folded as `node[001-500]`, and one line for all hosts of which the same is said. Pure.

Folded names are for people. `--limit` takes patterns of Ansible and files, and `--json` lists every host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

MOST_NAMED = 20
"""How many hosts, or ranges of hosts, a sentence names."""
MOST_LINES = 5
"""Up to so many hosts of which the same is said have a line each."""
HOST, ADDRESS = "HOST", "ADDRESS"
"""What stands for the name of the host, and for its address in the words of ssh, in what is said of several."""
_BEGIN = re.compile(rf"(\w* *){HOST}\b")
_OF_SSH = re.compile(
    r"(?<=\bconnect to host )\S+(?: port \d+)?|(?<=\bresolve hostname )\S+?(?=: )|(?<=\bby )\S+ port \d+"
    # A word is looked at only from its beginning: what a host says can be one very long word.
    r"|(?<=\bonnection to )\S+(?= (?:port \d|closed|timed))|(?<!\S)(?=\S*@)\S+(?=: Permission denied)"
)


class _Piece(NamedTuple):
    """One or more hosts whose names differ in one number; `numbers` is `001-500`, `7`, or empty without a number."""

    before: str
    numbers: str
    after: str
    size: int


def named(hosts: Sequence[str], most: int = MOST_NAMED) -> str:
    """The hosts in a sentence: all names if they are at most `most`, else folded: at most so many ranges, and how many
    hosts there are beside them.
    """
    if len(hosts) <= most:
        return ", ".join(hosts)
    pieces = list(_folded(list(dict.fromkeys(hosts))))
    words = []
    for (before, after), group in groupby(pieces[:most], key=lambda piece: (piece.before, piece.after)):
        numbers = ",".join(piece.numbers for piece in group)
        words.append(f"{before}[{numbers}]{after}" if re.search("[-,]", numbers) else f"{before}{numbers}{after}")
    more = sum(piece.size for piece in pieces[most:])
    return ", ".join(words) + (f" and {more} others" if more else "")


def counted(hosts: int) -> str:
    """How many hosts, in words."""
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def lines(told: Iterable[tuple[str, str]]) -> list[str]:
    """What is told of hosts, as (host, text), in their order; many hosts of which the same is told have one line.

    A text usually begins with the name of its host, or with a word and the name. In a line for many hosts, HOST stands
    for the name elsewhere.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for host, text in told:
        groups.setdefault(_general(host, text), {}).setdefault(host, []).append(text)
    found = []
    for words, texts in groups.items():
        if len(texts) <= MOST_LINES:
            found += [text for of_host in texts.values() for text in of_host]
        else:
            hosts = f"{named(list(texts))} ({len(texts)} hosts)"
            begin = _BEGIN.match(words)
            if begin and not begin[1] and re.match(" [a-z]", words[begin.end() :]):
                begin = None  # "HOST has none" stays whole: several hosts have none
            found.append(f"{begin[1]}{hosts}{words[begin.end() :]}" if begin else f"{hosts}: {words}")
    return found


def _general(host: str, text: str) -> str:
    """The text without what it says only of this host: its name, and the address that ssh was given."""
    plain = _OF_SSH.sub(ADDRESS, text)
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", HOST, plain) if host in plain else plain


def _folded(hosts: Sequence[str]) -> Iterator[_Piece]:
    """The names, each once, as pieces; those that differ only in one number are together."""
    patterns: dict[tuple[str, ...], list[list[str]]] = {}
    for host in hosts:
        parts = re.split(r"([0-9]{1,18})", host)
        patterns.setdefault(tuple(parts[::2]), []).append(parts)
    for names in patterns.values():
        # The number that differs most often, and of several the last one.
        places = range(1, len(names[0]), 2)
        place = max(places, key=lambda place: (len({parts[place] for parts in names}), place), default=0)
        groups: dict[tuple[str, str], list[str]] = {}
        for parts in names if place else ():
            groups.setdefault(("".join(parts[:place]), "".join(parts[place + 1 :])), []).append(parts[place])
        for (before, after), numbers in groups.items():
            yield from (_Piece(before, text, after, size) for text, size in _ranges(numbers))
        if not place:
            yield _Piece(names[0][0], "", "", 1)


def _ranges(numbers: Sequence[str]) -> Iterator[tuple[str, int]]:
    """(text, how many numbers) of each range; with leading zeros, only numbers of the same width are one range."""
    has_zeros = any(number.startswith("0") and len(number) > 1 for number in numbers)
    widths = sorted((len(number) if has_zeros else 0, int(number)) for number in numbers)
    # In a range, number and position grow together.
    for (width, _), group in groupby(enumerate(widths), key=lambda one: (one[1][0], one[1][1] - one[0])):
        found = [number for _place, (_width, number) in group]
        first, last = (str(number).zfill(width) for number in (found[0], found[-1]))
        yield (first if len(found) == 1 else f"{first}-{last}"), len(found)
