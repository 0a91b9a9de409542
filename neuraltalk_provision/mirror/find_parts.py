"""Finds the parts of one bundle in directories and on media."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import part_file, parts
from neuraltalk_provision.mirror.part_file import Part

_MOST_ENTRIES = 20_000


@dataclass(frozen=True)
class Found:
    """The parts of one bundle, {number: its copies}, and what is wrong with other files that are called like parts."""

    parts: Mapping[int, Sequence[Part]]
    problems: tuple[MirrorError, ...]

    @property
    def any(self) -> Part:
        """One of the parts; the first members are the same in all of them."""
        return next(iter(self.parts.values()))[0]


def find(places: Sequence[Path]) -> Found:
    """The parts in these directories, or that these files are. Raises UsageError for none, or for those of two bundles.

    If all that was found is damaged, the error says what is wrong with it.
    """
    found: dict[int, list[Part]] = {}
    problems: list[MirrorError] = []
    first: Part | None = None
    for path in _candidates(places):
        try:
            part = part_file.opened(path)
        except MirrorError as error:
            problems.append(error)
            continue
        first = first or part
        if part.bundle != first.bundle:
            raise UsageError(
                f"{path} is a part of {parts.bundle_name(part.bundle)}, but {first.path} is a part of "
                f"{parts.bundle_name(first.bundle)}: parts of two bundles are not taken together",
                advice="Give the parts of one bundle. The names of the parts of one bundle begin alike.",
            )
        found.setdefault(part.number, []).append(part)
    if not found and problems:
        raise together(problems)
    if not found:
        raise UsageError(
            f"{', '.join(map(str, places))}: there is no part of a bundle",
            advice=f"Give the directory that has files called {parts.PREFIX}-...-part-...tar. Is the medium mounted?",
        )
    return Found({number: found[number] for number in sorted(found)}, tuple(problems))


def together(problems: Sequence[MirrorError]) -> MirrorError:
    """One error for all problems, with each advice once."""
    advice = dict.fromkeys(problem.advice for problem in problems if problem.advice)
    return MirrorError("\n".join(problem.message for problem in problems), advice="\n".join(advice))


def _candidates(places: Sequence[Path]) -> Iterator[Path]:
    """The files that can be parts: in a directory those that are called like one, elsewhere every file."""
    seen = set[Path]()
    for place in places:
        with naming(place, "read"):
            if place.is_dir():
                entries = list(islice(place.iterdir(), _MOST_ENTRIES + 1))
                files = sorted(path for path in entries if parts.PART_NAME.fullmatch(path.name))
            elif place.is_file():
                entries, files = [], [place]
            else:
                raise UsageError(f"{place}: there is no such directory or file", advice="Is the medium mounted?")
            if len(entries) > _MOST_ENTRIES:
                raise UsageError(
                    f"{place} has more than {_MOST_ENTRIES:,} files", advice="Give the directory of the parts."
                )
            fresh = [path for path in files if path.is_file() and path.resolve() not in seen]
        seen |= {path.resolve() for path in fresh}
        yield from fresh
