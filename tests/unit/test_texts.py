"""Long lists in messages: the first entries, and how many more there are, by one function."""

from __future__ import annotations

import re

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.rules.texts import some

ONE_MORE = re.compile(r"""["']( |\(| \()and (\{[^}"]*\}|%d) more""")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (30, "0, 1, 2 and 27 more")],
)
def test_first_entries_are_named_and_the_others_counted(count: int, words: str) -> None:
    assert some(range(count), 3) == words
    assert some(list(range(count))[:3], 3, count) == words
    assert some("ab", 1, joint="; ") == "a and 1 more"


def test_no_other_function_counts_what_a_sentence_leaves_out() -> None:
    """A line of its own may say it: `  and 3 more`."""
    files = [file for folder in ("neuraltalk_provision", "plugins") for file in (paths.share() / folder).rglob("*.py")]
    found = [file.name for file in files if ONE_MORE.search(file.read_text(encoding="utf-8"))]
    assert set(found) == {"texts.py"}
