# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Computes two orders that prepro.py gets from Python 2.7 on a 64-bit machine: of a shuffled list and of a dict's keys.

neuraltalk2's prepro.py shuffles the pictures with a fixed seed and numbers the words in the order in which a dict of
byte strings returns them. Both are fixed by Python 2.7's own code (Lib/random.py, Objects/stringobject.c,
Objects/dictobject.c), so they can be computed by any Python.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import random

_64_BITS = (1 << 64) - 1
_SMALLEST = 8
_LARGE = 50000
"""A dict with more keys than this grows to twice their number; a smaller dict grows to four times their number."""


def shuffle(values, seed):
    """Put a list in the order that `random.seed(seed); random.shuffle(values)` gives in Python 2.7.

    Python 3's random() returns the same numbers, but its own shuffle uses them in another way.
    """
    draw = random.Random(seed).random
    for i in range(len(values) - 1, 0, -1):
        j = int(draw() * (i + 1))
        values[i], values[j] = values[j], values[i]


def hash_of(word):
    """Return the hash of a byte string in Python 2.7, as an unsigned number of 64 bits."""
    letters = bytearray(word)
    if not letters:
        return 0
    value = letters[0] << 7
    for letter in letters:
        value = (1000003 * value) & _64_BITS ^ letter
    value ^= len(letters)
    return value if value != _64_BITS else _64_BITS - 1


def order_of_keys(words):
    """Return the distinct byte strings `words` in the order of a Python 2.7 dict into which they are put one by one.

    It also depends on the order of insertion, because a key whose place in the table is taken gets the next free one.
    """
    hashes = [hash_of(word) for word in words]
    table = [None] * _SMALLEST
    for count, value in enumerate(hashes, 1):
        _insert(table, hashes, count - 1, value)
        if count * 3 >= len(table) * 2:
            table = _grown(table, hashes, count * (2 if count > _LARGE else 4))
    return [words[index] for index in table if index is not None]


def _grown(table, hashes, used):
    """Return a table of more than `used` places, with the keys of `table` inserted in their order there."""
    size = _SMALLEST
    while size <= used:
        size <<= 1
    grown = [None] * size
    for index in table:
        if index is not None:
            _insert(grown, hashes, index, hashes[index])
    return grown


def _insert(table, hashes, index, value):
    """Put a new key at the first free place in the sequence of places that follows from its hash."""
    mask = len(table) - 1
    place = perturb = value
    while table[place & mask] is not None:
        place = place * 5 + perturb + 1 & _64_BITS
        perturb >>= 5
    table[place & mask] = index
