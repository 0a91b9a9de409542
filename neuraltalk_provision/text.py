"""Text that others wrote (hosts, programs, files, names), made fit for a terminal and for reading. Pure."""

from __future__ import annotations

import re

from neuraltalk_provision.rules import log

# Colours, movements of the cursor, titles of windows, by the pattern that reads logs on hosts too.
_SEQUENCES: re.Pattern[str] = log.SEQUENCES
# What a terminal obeys in place of showing it, or what turns around or hides the letters beside it: C0 but for tab and
# line feed, DEL and C1, marks of direction, separators of lines, letters that are none (tags, halves of pairs).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""The text with what moves a cursor, colours, rings or hides shown as an escape such as \x1b or \u202e.

    Line feeds and tabs stay, and a carriage return before a line feed goes. A byte of a file's name that is not UTF-8
    is shown as that byte.
    """
    return _UNSEEN.sub(_shown, text.replace("\r\n", "\n"))


def of_a_log(text: str) -> str:
    """The text of a program's log: without its colours, each step of a progress bar on a line, the rest `visible`."""
    return visible(without_sequences(text).replace("\r\n", "\n").replace("\r", "\n"))


def without_sequences(text: str) -> str:
    """The text without the escape sequences of a terminal."""
    return _SEQUENCES.sub("", text) if "\x1b" in text else text


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
