"""Torch's own Tester: a suite in several parts at once, and what it prints, read.

A part is a process. If a test breaks the context of the card, or ends the process, a new one runs the remaining tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

TAIL = 8
SUITES = {
    "cutorch.test()": ("require 'cutorch'", "cutorch.test(nil, 123)", 6),
    "nn.testcuda()": ("require 'cunn'", "nn.testcuda(nil, false, 1, 123)", 8),
}
"""For each suite: what loads it, what runs it, and in how many parts it runs."""
KNOWN = {
    "SparseLinear": ("lack cusparse", "cuSPARSE 11 removed csrmm"),
    "PReLU": (
        "Wrong number of input planes",
        "the test calls nn on the CPU with sizes that nn of October 2017 refuses",
    ),
    "VolumetricAveragePooling": (
        "wrong number of arguments",
        "nn of October 2017 passes the padding, which cunn of July 2017 does not have",
    ),
}
"""Tests of nn's modules (forward and backward) that are known to fail: a part of their message, and the reason.

neuraltalk2 uses none of these modules.
"""
BROKEN = "the context of the card is broken"
TIME_OUT = 124
PART = """
local tester = torch.getmetatable('torch.Tester')
local run, call = tester.run, tester._pcall
local done = { %s }
function tester:run()
   local names, chosen = {}, {}
   for name in pairs(self.tests) do names[#names + 1] = name end
   table.sort(names)
   for i = %d, #names, %d do
      if not done[names[i]] then chosen[#chosen + 1] = '^' .. names[i]:gsub('%%p', '%%%%%%0') .. '$' end
   end
   return run(self, chosen)
end
function tester:_pcall(test)
   if cutorch and not pcall(cutorch.synchronize) then
      io.write('\\n%s\\n' .. table.concat(self.errors, string.rep('-', 80)))
      os.exit(3)
   end
   return call(self, test)
end
"""
"""Makes the Tester run every nth of its tests, sorted by name, but those that are done. The Tester takes patterns.

Its values: the tests that are done, the first (from 1), n, and the line that is printed if the context is broken.
"""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LINE = re.compile(r"^\s*\d+/\d+ (\S+) .*?\[\+?(PASS|FAIL|ERROR|SKIP|WAIT)\]\s*$")
_END = re.compile(r"Completed (\d+) asserts? in (\d+) tests? with (\d+) failures? and (\d+) errors?")
_RULE = "-" * 80


@dataclass(frozen=True)
class Suite:
    """The result of a suite. `whole`: every test has a result; `asserts`: those of processes that completed."""

    name: str
    passed: tuple[str, ...]
    failed: Mapping[str, str]
    """The message of each test that failed."""
    asserts: int
    whole: bool
    seconds: float
    waiting: str = ""
    """The test that ran when the process ended."""
    tail: tuple[str, ...] = ()
    """The last lines of a process that did not complete."""

    @property
    def unexpected(self) -> tuple[str, ...]:
        """The tests that failed and are not known to."""
        return tuple(test for test, message in self.failed.items() if not is_known(test, message))

    @property
    def green(self) -> bool:
        """Whether every test has a result, at least one passed, and none failed unexpectedly."""
        return self.whole and bool(self.passed) and not self.unexpected

    def words(self) -> str:
        """One line for people."""
        end = f"{self.asserts} asserts" if self.whole else "cut off before its end"
        failed = f"; failed: {', '.join(self.unexpected)}" if self.unexpected else ""
        known = [test for test in self.failed if test not in self.unexpected]
        reasons = f"; known to fail: {', '.join(known)}" if known else ""
        counts = f"{len(self.passed)} passed, {len(self.failed)} failed"
        return f"{self.name}: {counts}, {end}, {self.seconds:.0f} s{failed}{reasons}"


def is_known(test: str, message: str) -> bool:
    """Whether this test is known to fail with such a message."""
    known = KNOWN.get(re.sub(r"_(forward|backward).*$", "", test))
    return known is not None and known[0] in message


def read(name: str, text: str, seconds: float) -> Suite:
    """The result by the output of one process, complete or not."""
    passed: list[str] = []
    failed: dict[str, str] = {}
    waiting = ""
    plain = _ANSI.sub("", text).replace("\r", "\n")
    # The line with a test's result overwrites the line that says WAIT, with a carriage return between.
    for line in plain.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        waiting = found[1] if found[2] == "WAIT" else ""
        if found[2] == "PASS":
            passed.append(found[1])
        elif found[2] in ("FAIL", "ERROR"):
            failed[found[1]] = ""
    end = _END.search(plain)
    waiting = "" if BROKEN in plain else waiting
    report = plain[end.end() :] if end else plain.partition(BROKEN)[2]
    failed.update((test, message) for test, message in messages(report).items() if test in failed)
    tail = () if end else tuple(plain.splitlines()[-TAIL:])
    return Suite(name, tuple(passed), failed, int(end[1]) if end else 0, bool(end), seconds, waiting, tail)


def messages(report: str) -> dict[str, str]:
    """The message of each test that failed, from the report at the end; without the Lua stack."""
    found: dict[str, str] = {}
    for block in report.split(_RULE):
        name, _, message = block.strip().partition("\n")
        found[name.strip()] = " ".join(message.partition("stack traceback:")[0].split())
    return found


def program(load: str, run: str, first: int, count: int, done: Collection[str]) -> str:
    """The Lua program of the part that begins with the test number `first` (from 1) of every `count`."""
    listed = ", ".join(f"[{test!r}] = true" for test in sorted(done))
    return f"{load}\n{PART % (listed, first, count, BROKEN)}\n{run}"


def run_part(
    name: str, program_of: Callable[[Collection[str]], str], run: Callable[[str], tuple[int, str, float]]
) -> Suite:
    """Run a part, in as many processes as it needs; `run` returns the exit code, output and seconds of a program."""
    results: list[Suite] = []
    done: set[str] = set()
    while True:
        code, text, seconds = run(program_of(done))
        result = read(name, text, seconds)
        crashed = {result.waiting: f"it ended its process with {code}"} if result.waiting else {}
        results.append(replace(result, failed={**result.failed, **crashed}))
        ran = {*result.passed, *result.failed, *crashed}
        if result.whole or code == TIME_OUT or not ran:
            return joined(name, results, whole=result.whole, seconds=sum(result.seconds for result in results))
        done |= ran


def joined(name: str, several: Sequence[Suite], *, whole: bool, seconds: float) -> Suite:
    """Several results as one."""
    return Suite(
        name,
        tuple(test for suite in several for test in suite.passed),
        {test: message for suite in several for test, message in suite.failed.items()},
        sum(suite.asserts for suite in several),
        whole,
        seconds,
        tail=() if whole else tuple(f"{suite.name}: {line}" for suite in several for line in suite.tail),
    )


def side_by_side(name: str, parts: Sequence[Suite]) -> Suite:
    """The parts of a suite as one: whole if each of them is, with the seconds of the slowest."""
    slowest = max((part.seconds for part in parts), default=0.0)
    return joined(name, parts, whole=bool(parts) and all(part.whole for part in parts), seconds=slowest)
