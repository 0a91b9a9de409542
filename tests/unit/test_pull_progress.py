"""Progress of many files of one artifact: a single line."""

from __future__ import annotations

import pytest

from neuraltalk_provision.catalogue.model import UrlSource
from neuraltalk_provision.mirror.pull_plan import Transfer
from neuraltalk_provision.mirror.pull_progress import Progress


class Told(list[tuple[object, ...]]):
    def begin(self, name: str, size: int) -> None:
        self.append(("begin", name, size))

    def at(self, name: str, fraction: float, words: str) -> None:
        self.append(("at", name, round(fraction, 3), words))

    def end(self, name: str, words: str) -> None:
        self.append(("end", name, words))


def file(number: int, size: int, group: str = "packages") -> Transfer:
    address = f"https://x.example.org/{number}"
    source = UrlSource(kind="url", address=address, sha256=f"{number:064}", size=size)
    return Transfer(address, address, file=source, group=group)


@pytest.mark.parametrize(("sizes", "fractions"), [((10, 30), (0.125, 0.25, 1.0)), ((0, 0), (0.0, 0.5, 1.0))])
def test_files_of_a_group_have_one_line(sizes: tuple[int, int], fractions: tuple[float, ...]) -> None:
    told = Told()
    one, two = (file(number, size) for number, size in enumerate(sizes))
    progress = Progress(told, [one, two])
    progress.begin(one)
    progress.begin(two)
    progress.at(one, 0.5, "")
    progress.end(one, "fetched", good=True)
    progress.end(two, "fetched", good=True)
    assert told == [
        ("begin", "packages", sum(sizes)),
        ("at", "packages", fractions[0], "0 of 2 files"),
        ("at", "packages", fractions[1], "1 of 2 files"),
        ("at", "packages", fractions[2], "2 of 2 files"),
        ("end", "packages", "fetched"),
    ]


def test_line_ends_with_the_first_file_that_fails() -> None:
    told = Told()
    one, two = file(1, 5), file(2, 5)
    progress = Progress(told, [one, two])
    progress.begin(one)
    progress.begin(two)
    progress.end(one, "failed", good=False)
    progress.at(two, 0.5, "")
    progress.end(two, "fetched", good=True)
    progress.give_up("packages")
    progress.give_up("unknown")
    assert [words for words in told if words[0] == "end"] == [("end", "packages", "failed")]
    assert told[-1][0] == "end"


def test_other_transfers_have_lines_of_their_own() -> None:
    told = Told()
    single = file(1, 5, group="")
    progress = Progress(told, [single, file(2, 5)])
    progress.begin(single)
    progress.at(single, 0.5, "1 MiB/s")
    progress.end(single, "fetched", good=True)
    assert [words[1] for words in told] == [single.name] * 3
    assert told[1][3] == "1 MiB/s"
