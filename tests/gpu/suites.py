"""Torch's own Tester: a suite in several parts at once, and what it prints, read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TAIL = 8
SUITES = {
    "cutorch.test()": ("require 'cutorch'", "cutorch.test(nil, 123)", 6),
    "nn.testcuda()": ("require 'cunn'", "nn.testcuda(nil, false, 1, 123)", 8),
}
"""Per suite what loads it, what runs it, and into how many parts it is divided.

Each part is a process of its own: a test that breaks its card's context, or never returns, ends no other part.
"""
PART = """
local tester = torch.getmetatable('torch.Tester')
local run = tester.run
function tester:run()
   local names, chosen = {}, {}
   for name in pairs(self.tests) do names[#names + 1] = name end
   table.sort(names)
   for i = %d, #names, %d do chosen[#chosen + 1] = '^' .. names[i]:gsub('%%p', '%%%%%%0') .. '$' end
   return run(self, chosen)
end
"""
"""Every nth test, by name, of those that the Tester has; with the first (from 1) and n. The Tester takes patterns."""
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


def parts(load: str, run: str, count: int) -> tuple[str, ...]:
    """The Lua programs of a suite that is divided into `count` parts."""
    return tuple(f"{load}\n{PART % (first, count)}\n{run}" for first in range(1, count + 1))


def joined(name: str, several: Sequence[Suite]) -> Suite:
    """The parts of a suite as one: whole where each of them is; the seconds of the slowest."""
    return Suite(
        name,
        tuple(test for suite in several for test in suite.passed),
        tuple(test for suite in several for test in suite.failed),
        sum(suite.asserts for suite in several),
        bool(several) and all(suite.whole for suite in several),
        max((suite.seconds for suite in several), default=0.0),
        tuple(f"{suite.name}: {line}" for suite in several for line in suite.tail),
    )
