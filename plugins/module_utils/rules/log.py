# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads the output of train.lua and eval.lua line by line: losses, scores, checkpoints, and errors.

Hosts and the controller use the same code. A log cannot be trusted: it may have any size and any content, and may be
incomplete. Each line is read once and up to a limit, the size of the result is limited, and an incomplete number is
ignored. Lua's lines end with a tab, and the scorer's output appears between them in no fixed order.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

LINE = 8192
"""How many characters of a line are read."""
KEPT = 5000
"""How many validations, scores and checkpoints of a log are kept."""
SCORES = 32
"""How many scores of one validation are kept."""
FILES = 16
"""For how many checkpoint files the last iteration is kept. A training writes two files."""
MAX_ERROR = 500
"""How many characters of an error message are kept."""
NUMBER = r"[-+]?(?:[0-9]{1,330}(?:\.[0-9]{0,60})?(?:[eE][-+]?[0-9]{1,4})?|nan|inf)"
ITERATION = re.compile(r"iter ([0-9]{1,15}): (%s)\s*$" % NUMBER)
VALIDATION = re.compile(r"validation loss:[ \t]{1,20}(%s)\s*$" % NUMBER)
EVALUATION = re.compile(r"loss:[ \t]{1,20}(%s)\s*$" % NUMBER)
ENTRY = re.compile(r"[ \t]{1,20}(\w{1,100}) : (\S{1,400})\s*$")
NUMERIC = re.compile(r"(?:%s)$" % NUMBER)
IMAGES = re.compile(r"assigned ([0-9]{1,15}) images to split train\s*$")
NAMED = re.compile(r"\w{0,80}Error: ")
# Escape sequences of a terminal: colours, movements of the cursor, window titles. An incomplete title does not match,
# so that it hides no text. No part of the pattern matches an escape character, so that the search takes linear time.
SEQUENCES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]{0,500}(?:\x07|\x1b\\\\)|[ -/]*[0-Z\\\\^-~])")
CHECKPOINT = "wrote checkpoint to "
EXPLODING = "loss seems to be exploding"
LUAJIT = "luajit: "
MEMORY = ("not enough memory", "out of memory")


class Series(object):
    """A list of limited size: of all entries added, about `most` are kept, evenly distributed, and always the last."""

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
        """The entries that are kept, in order, including the last one."""
        if self.count and self.kept[-1] is not self.last:
            return self.kept + [self.last]
        return list(self.kept)


class Reader(object):
    """Reads a log in pieces of any size. `result()` returns what was found so far."""

    def __init__(self, points, kept=KEPT):
        # type: (int, int) -> None
        self.rest = ""
        self.losses = Series(points)
        self.validations, self.scores, self.checkpoints = Series(kept), Series(kept), Series(kept)
        # {checkpoint file: the last iteration at which it was written}
        self.written = {}  # type: dict[str, int]
        # The scores of the table that is being read; None outside of a table.
        self.table = None  # type: dict[str, str] | None
        self.images = None  # type: int | None
        self.evaluation = None  # type: str | None
        self.backwards = None  # type: tuple[int, int] | None
        self.not_finite = None  # type: tuple[int, str] | None
        self.exploding, self.error = False, ""

    def feed(self, text):
        # type: (str) -> None
        """Read the next piece. An incomplete line is kept, up to LINE + 1 characters."""
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

    def line(self, line, complete):
        # type: (str, bool) -> None
        """Read one line, as a terminal would show it. In a line that was cut, only error messages are searched."""
        if "\x1b" in line or "\r" in line:
            line = SEQUENCES.sub("", line).rstrip("\r").rpartition("\r")[2]
        if not complete:
            self.table = None
            self.problem(line)
        elif self.table is not None and self.table_line(line):
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
            self.rare_line(line)

    def at(self):
        # type: () -> int
        """The last iteration that was read; 0 before the first."""
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

    def table_line(self, line):
        # type: (str) -> bool
        """Whether a line belongs to a table of scores. Any other line ends the table, which is then ignored."""
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

    def rare_line(self, line):
        # type: (str) -> None
        """Read a line of a kind that is rare in a log."""
        if line.startswith("loss:"):
            found = EVALUATION.match(line)
            if found:
                self.evaluation = found.group(1)
        elif self.images is None and line.startswith("assigned "):
            found = IMAGES.match(line)
            if found:
                self.images = int(found.group(1))
        self.problem(line)

    def problem(self, line):
        # type: (str) -> None
        """Record an error message, or the message that the loss explodes."""
        if EXPLODING in line:
            self.exploding = True
        if not self.error:
            self.error = error_of(line)[:MAX_ERROR]

    def result(self):
        # type: () -> dict[str, Any]
        """Everything that was found, as values for JSON. nan and inf are texts."""
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
    """The error message in a line; empty if there is none."""
    place = line.find(LUAJIT)
    if place == 0 or (place > 0 and line[place - 1] == "/"):
        return line[place + len(LUAJIT) :].rstrip()
    if any(message in line for message in MEMORY) or NAMED.match(line):
        return line.rstrip()
    return ""


def finite(text):
    # type: (str) -> bool
    """Whether a printed number is finite."""
    return float(text) - float(text) == 0.0


def plain(text):
    # type: (str) -> float | str
    """The value of a printed number; as text if it is not finite (nan, inf, 1e400)."""
    return float(text) if finite(text) else str(float(text))
