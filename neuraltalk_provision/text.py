"""Makes text from hosts, programs and files safe for a terminal. Pure."""

from __future__ import annotations

import re

from neuraltalk_provision.rules import log

# Escape sequences for colours, cursor movements and window titles: the same pattern reads logs on hosts.
_SEQUENCES: re.Pattern[str] = log.SEQUENCES
# Characters that control a terminal, or that hide or reorder the characters next to them: C0 except tab and line feed,
# DEL and C1, direction marks, line separators, tag characters and halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""The text with control characters and hidden characters shown as escapes, such as \x1b or \u202e.

    Line feeds and tabs are kept, and a carriage return before a line feed is removed. A byte of a file name that is not
    UTF-8 is shown as that byte.
    """
    return _UNSEEN.sub(_shown, text.replace("\r\n", "\n"))


def log_text(text: str) -> str:
    """The output of a program without colours, with each step of a progress bar on its own line, and `visible`."""
    return visible(without_sequences(text).replace("\r\n", "\n").replace("\r", "\n"))


def without_sequences(text: str) -> str:
    """The text without the escape sequences of a terminal."""
    return _SEQUENCES.sub("", text) if "\x1b" in text else text


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
