"""What torch's own Tester prints, read: which tests passed and which did not. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

TAIL = 8
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LINE = re.compile(r"^\s*\d+/\d+ (\S+) .*?\[\+?(PASS|FAIL|ERROR|SKIP)\]\s*$")
_END = re.compile(r"Completed (\d+) asserts? in (\d+) tests? with (\d+) failures? and (\d+) errors?")


@dataclass(frozen=True)
class Suite:
    """How a suite ended. `whole` says that it came to its own last line; `asserts` counts only then."""

    name: str
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    asserts: int
    whole: bool
    seconds: float
    tail: tuple[str, ...] = ()
    """The last lines of a suite that did not come to its end."""

    @property
    def green(self) -> bool:
        """Whether it ran to its end, ran something, and nothing failed."""
        return self.whole and bool(self.passed) and not self.failed

    def words(self) -> str:
        """One line a person can read."""
        end = f"{self.asserts} asserts" if self.whole else "cut off before its end"
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return f"{self.name}: {len(self.passed)} passed, {len(self.failed)} failed, {end}, {self.seconds:.0f} s{failed}"


def read(name: str, text: str, seconds: float) -> Suite:
    """A suite's output, whole or cut off."""
    passed: list[str] = []
    failed: list[str] = []
    plain = _ANSI.sub("", text)
    # A test's line is written over its own waiting line, with a carriage return between.
    for line in plain.replace("\r", "\n").splitlines():
        found = _LINE.match(line)
        if found and found[2] != "SKIP":
            (passed if found[2] == "PASS" else failed).append(found[1])
    end = _END.search(plain)
    tail = () if end else tuple(plain.replace("\r", "\n").splitlines()[-TAIL:])
    return Suite(name, tuple(passed), tuple(failed), int(end[1]) if end else 0, bool(end), seconds, tail)
