# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Applies source edits to a text. Used by the module on hosts and by the check of the mirror; pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence  # noqa: F401


class EditError(Exception):
    """An edit does not match its file."""


def apply_edits(text, edits):
    # type: (str, Iterable[Mapping[str, Any]]) -> str
    """`text` with all edits applied, in order. EditError if a pattern does not occur `count` times.

    An edit is {pattern, replacement, count, file, reason}; patterns are literal text.
    """
    for edit in edits:
        found = text.count(edit["pattern"])
        if found != int(edit["count"]):
            raise EditError(_mismatch(text, edit, found))
        text = text.replace(edit["pattern"], edit["replacement"])
    return text


def _mismatch(text, edit, found):
    # type: (str, Mapping[str, Any], int) -> str
    if text.replace("\r\n", "\n").count(edit["pattern"]) == int(edit["count"]):
        return (
            "%s: its lines end with CR LF, as on Windows, so that source edits do not find their places. Make the "
            "archive again from sources as they were published, for example with `git clone -c core.autocrlf=false`"
            % edit["file"]
        )
    needle = max(edit["pattern"].strip().splitlines(), key=len).strip()
    word = max(needle.replace("(", " ").replace(")", " ").split() or [needle], key=len)
    likely = [
        "  line %d: %s" % (number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if word in line
    ]
    return (
        "%s: %r occurs %d times, expected %s. The edit (%s) was written for other sources; "
        "compare the archive's version with the catalogue's. Similar lines:\n%s"
        % (
            edit["file"],
            needle,
            found,
            edit["count"],
            edit["reason"],
            "\n".join(likely[:10]) or "  none",
        )
    )


def by_file(edits):
    # type: (Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]
    """The edits grouped by file: [(file, its edits)], in the order of the first edit of each file."""
    order = []  # type: list[str]
    for edit in edits:
        if edit["file"] not in order:
            order.append(edit["file"])
    return [(name, [edit for edit in edits if edit["file"] == name]) for name in order]
