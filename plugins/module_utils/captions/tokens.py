# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Splits captions into words like prepro.py, or into letters for scripts that put no spaces between words.

Words are byte strings in UTF-8. A caption in ASCII gives exactly the words of prepro.py. For any other caption
prepro.py ends with UnicodeEncodeError. Here such a caption is converted to NFC and lower case, all punctuation (of
ASCII as in prepro.py, and every character of Unicode's categories P*) is removed, and it is split at Unicode's white
space.

Python 2.7 has an older Unicode and converts to lower case letter by letter, so captions with capital letters beyond
ASCII may give other words there in a few cases (a Greek sigma at the end of a word).

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re
import string
import sys
import unicodedata

from .entries import kind
from ..host.errors import StackError
from ..host.texts import as_text
from ..rules.data import CHARS, TOKENS

LONG_RUN = 10
"""A caption with so many adjacent letters of a script without spaces has no spaces between its words."""
_PUNCTUATION = string.punctuation.encode("ascii")
# Thai, Lao, Myanmar, Khmer, Hiragana, Katakana, Han.
_SMALL = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F))
_HAN = ((0x3005, 0x3007), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F))


def _letter(code):
    """Return the character of a code point below 65536; chr of Python 2.7 returns bytes."""
    return json.loads('"\\u%04x"' % code)


def _letter_pattern():
    """Return a pattern for one letter of a script without spaces, with the marks above and below it."""
    spans = "".join(as_text("%s-%s") % (_letter(first), _letter(last)) for first, last in _SMALL + _HAN)
    small = [_letter(code) for first, last in _SMALL for code in range(first, last + 1)]
    marks = as_text("").join(letter for letter in small if unicodedata.category(letter).startswith("M"))
    # Han beyond 65536: one character, or a pair of them where Python 2.7 was built with characters of 16 bits.
    if sys.maxunicode > 0xFFFF:
        beyond = json.loads('"[\\ud840\\udc00-\\ud888\\udfff]"')
    else:
        beyond = json.loads('"[\\ud840-\\ud888][\\udc00-\\udfff]"')
    return as_text("(?![%s])(?:[%s]|%s)[%s]*") % (marks, spans, beyond, marks)


_ONE = _letter_pattern()
_ANY_LETTER = re.compile(_ONE)
_LETTERS_OR_REST = re.compile(as_text("%s|(?:(?!%s).)+") % (_ONE, _ONE), re.DOTALL)
_UNSPACED = re.compile(as_text("(?:%s){%d}") % (_ONE, LONG_RUN))


class _WithoutPunctuation(dict):  # type: ignore[type-arg]
    """For translate(): {code: the same code, or None for punctuation}, computed when a character first occurs."""

    def __missing__(self, code):
        # Below 128 the list of prepro.py is used, which also has signs like $ and +.
        if code < 128:
            kept = as_text(string.punctuation).find(_letter(code)) < 0
        else:
            kept = code > 0x10FFFF or not unicodedata.category(_character(code)).startswith("P")
        self[code] = code if kept else None
        return self[code]


def _character(code):
    """Return the character of any code point."""
    if code < 0x10000:
        return _letter(code)
    code -= 0x10000
    return json.loads('"\\u%04x\\u%04x"' % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)))


_TABLE = _WithoutPunctuation()


def ascii_words(caption):
    """Return the words of a caption that is bytes in ASCII, exactly those of prepro.py."""
    return caption.lower().translate(None, _PUNCTUATION).split()


def plain(caption):
    """Return a caption in NFC and lower case, without punctuation."""
    return unicodedata.normalize("NFC", caption).lower().translate(_TABLE)


def tokenizer(mode):
    """Return a function that splits the text of a caption, for the mode `words` or `chars`. StackError for others."""
    if mode not in TOKENS:
        raise StackError("tokens is %s; it can be %s" % (kind(mode), " or ".join(TOKENS)))
    split = _letters if mode == CHARS else _words

    def words(caption):
        try:
            return ascii_words(caption.encode("ascii"))
        except UnicodeEncodeError:
            return [word.encode("utf-8") for word in split(plain(caption))]

    return words


def _words(caption):
    return caption.split()


def _letters(caption):
    """Return the words of a caption, with every letter of a script without spaces as a word."""
    found = []
    for word in caption.split():
        found += _LETTERS_OR_REST.findall(word) if _ANY_LETTER.search(word) else [word]
    return found


def is_unspaced(caption):
    """Return whether a caption has LONG_RUN adjacent letters of a script without spaces."""
    return _UNSPACED.search(plain(caption)) is not None
