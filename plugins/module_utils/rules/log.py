# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What train.lua and eval.lua print, read line by line: losses, scores, checkpoints, and what went wrong.

The same code reads on hosts and on the controller. A log is not to be trusted: it may be of any size, in the middle
of being written, and hold anything. Each line is looked at once and up to a bound, what is kept of a log has a bound,
and what is not whole is taken for no number. Lua's lines end in a tab, and the scorer's own output stands between
them in no fixed order.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

LINE = 8192
"""Characters of a line that are looked at."""
KEPT = 5000
"""How many validations, scores and checkpoints are kept of a log."""
SCORES = 32
"""How many scores of one validation are kept."""
FILES = 16
"""Of how many files it is known when they were last written; a training writes two."""
SHOWN = 500
"""Characters of an error that are told."""
NUMBER = r"[-+]?(?:[0-9]{1,330}(?:\.[0-9]{0,60})?(?:[eE][-+]?[0-9]{1,4})?|nan|inf)"
ITERATION = re.compile(r"iter ([0-9]{1,15}): (%s)\s*$" % NUMBER)
VALIDATION = re.compile(r"validation loss:[ \t]{1,20}(%s)\s*$" % NUMBER)
EVALUATION = re.compile(r"loss:[ \t]{1,20}(%s)\s*$" % NUMBER)
ENTRY = re.compile(r"[ \t]{1,20}(\w{1,100}) : (\S{1,400})\s*$")
NUMERIC = re.compile(r"(?:%s)$" % NUMBER)
IMAGES = re.compile(r"assigned ([0-9]{1,15}) images to split train\s*$")
NAMED = re.compile(r"\w{0,80}Error: ")
# Colours, movements of the cursor, titles of windows that have an end: what has none hides nothing. No part takes an
# escape itself, so each is looked at once.
SEQUENCES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]{0,500}(?:\x07|\x1b\\\\)|[ -/]*[0-Z\\\\^-~])")
CHECKPOINT = "wrote checkpoint to "
EXPLODING = "loss seems to be exploding"
LUAJIT = "luajit: "
MEMORY = ("not enough memory", "out of memory")


class Series(object):
    """Entries in order, of which about `most` are kept, evenly, and always the last."""

    def __init__(self, most):
        # type: (int) -> None
        self.most = max(1, most)
        self.kept = []  # type: list[Any]
        self.last = None  # type: Any
        self.step, self.count = 1, 0

    def add(self, entry):
        # type: (Any) -> None
        self.last = entry
        if self.count % self.step == 0:
            self.kept.append(entry)
            if len(self.kept) > 2 * self.most:
                self.kept = self.kept[::2]
                self.step *= 2
        self.count += 1

    def entries(self):
        # type: () -> list[Any]
        """What is kept; the last one is among it."""
        if self.count and self.kept[-1] is not self.last:
            return self.kept + [self.last]
        return list(self.kept)


class Reader(object):
    """Reads a log in pieces of any size; `told()` says at any time what stood in it so far."""

    def __init__(self, points, kept=KEPT):
        # type: (int, int) -> None
        self.rest = ""
        self.losses = Series(points)
        self.validations, self.scores, self.checkpoints = Series(kept), Series(kept), Series(kept)
        # The last iteration at which each of the files was written, of a few files.
        self.written = {}  # type: dict[str, int]
        # The scores of a table that is being read.
        self.table = None  # type: dict[str, str] | None
        self.images = None  # type: int | None
        self.evaluation = None  # type: str | None
        self.backwards = None  # type: tuple[int, int] | None
        self.not_finite = None  # type: tuple[int, str] | None
        self.exploding, self.error = False, ""

    def feed(self, text):
        # type: (str) -> None
        """Read on. A line that is not whole yet is kept, up to one character beyond the bound of a line."""
        start = 0
        while True:
            end = text.find("\n", start)
            if end < 0:
                self.rest += text[start : start + LINE + 1 - len(self.rest)]
                return
            line = text[start : min(end, start + LINE + 1)]
            if self.rest:
                line, self.rest = (self.rest + line)[: LINE + 1], ""
            start = end + 1
            self.line(line[:LINE], len(line) <= LINE)

    def line(self, line, whole):
        # type: (str, bool) -> None
        """Look at one line, as a terminal would leave it; one that was cut has no number, only words."""
        if "\x1b" in line or "\r" in line:
            line = SEQUENCES.sub("", line).rstrip("\r").rpartition("\r")[2]
        if not whole:
            self.table = None
            self.words(line)
        elif self.table is not None and self.of_table(line):
            pass
        elif line.startswith("iter "):
            self.iteration(line)
        elif line.startswith("validation loss:"):
            found = VALIDATION.match(line)
            if found:
                self.validations.add((self.at(), found.group(1)))
        elif line.startswith(CHECKPOINT):
            file = line[len(CHECKPOINT) :].strip()
            self.checkpoints.add((self.at(), file))
            if file in self.written or len(self.written) < FILES:
                self.written[file] = self.at()
        elif line.rstrip() == "{":
            self.table = {}
        else:
            self.seldom(line)

    def at(self):
        # type: () -> int
        """The last iteration that was printed; 0 before the first."""
        return self.losses.last[0] if self.losses.last else 0

    def iteration(self, line):
        # type: (str) -> None
        found = ITERATION.match(line)
        if not found:
            return
        number, loss = int(found.group(1)), found.group(2)
        last = self.losses.last
        if last and number <= last[0] and self.backwards is None:
            self.backwards = (last[0], number)
        self.losses.add((number, loss))
        if self.not_finite is None and not finite(loss):
            self.not_finite = (number, loss)

    def of_table(self, line):
        # type: (str) -> bool
        """Whether a line belongs to a table of scores, or ends one; what is no such line ends it, and it was none."""
        table, found = self.table, ENTRY.match(line)
        if found:
            name, value = found.groups()
            if table is not None and len(table) < SCORES and NUMERIC.match(value):
                table[name] = value
            return True
        self.table = None
        if line.rstrip() == "}" and table:
            self.scores.add((self.at(), table))
        return line.rstrip() == "}"

    def seldom(self, line):
        # type: (str) -> None
        """The lines of which a log has few."""
        if line.startswith("loss:"):
            found = EVALUATION.match(line)
            if found:
                self.evaluation = found.group(1)
        elif self.images is None and line.startswith("assigned "):
            found = IMAGES.match(line)
            if found:
                self.images = int(found.group(1))
        self.words(line)

    def words(self, line):
        # type: (str) -> None
        """What a line says of an end that is none."""
        if EXPLODING in line:
            self.exploding = True
        if not self.error:
            self.error = error_of(line)[:SHOWN]

    def told(self):
        # type: () -> dict[str, Any]
        """All of it, as JSON has it: numbers that are none stand as text."""
        return {
            "losses": [[number, plain(loss)] for number, loss in self.losses.entries()],
            "validations": [[number, plain(value)] for number, value in self.validations.entries()],
            "scores": [
                [number, dict((name, plain(value)) for name, value in table.items())]
                for number, table in self.scores.entries()
            ],
            "checkpoints": [list(entry) for entry in self.checkpoints.entries()],
            "evaluation": None if self.evaluation is None else plain(self.evaluation),
            "images": self.images,
            "exploding": self.exploding,
            "error": self.error,
            "backwards": list(self.backwards) if self.backwards else None,
            "not_finite": [self.not_finite[0], plain(self.not_finite[1])] if self.not_finite else None,
        }


def error_of(line):
    # type: (str) -> str
    """What a line says of an error; empty where it says nothing of one."""
    place = line.find(LUAJIT)
    if place == 0 or (place > 0 and line[place - 1] == "/"):
        return line[place + len(LUAJIT) :].rstrip()
    if any(words in line for words in MEMORY) or NAMED.match(line):
        return line.rstrip()
    return ""


def finite(word):
    # type: (str) -> bool
    """Whether a number, as it was printed, is one."""
    return float(word) - float(word) == 0.0


def plain(word):
    # type: (str) -> float | str
    """A number as it was printed: as a number, and where it is none (nan, inf, 1e400) as text."""
    return float(word) if finite(word) else str(float(word))
