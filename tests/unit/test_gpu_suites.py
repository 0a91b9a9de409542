"""Torch's Tester, read: whole, cut off, with failures, coloured."""

from __future__ import annotations

from tests.gpu import suites

WHOLE = (
    "seed: \t123\t\nRunning 3 tests\n"
    "1/3 absTest ....................... [WAIT]\r1/3 absTest ....................... [PASS]\n"
    "2/3 \x1b[36mtopK\x1b[0m .......................... [WAIT]\r"
    "2/3 topK .......................... [\x1b[31mFAIL\x1b[0m]\n"
    "3/3 half .......................... [WAIT]\r3/3 half .......................... [ERROR]\n"
    "Completed 1204 asserts in 3 tests with 1 failure and 1 error\n"
)


def test_tests_are_told_apart_and_named() -> None:
    suite = suites.read("cutorch.test()", WHOLE, 12.3)
    assert (suite.passed, suite.failed, suite.asserts, suite.whole) == (("absTest",), ("topK", "half"), 1204, True)
    assert not suite.green
    assert suite.words() == "cutorch.test(): 1 passed, 2 failed, 1204 asserts, 12 s; failed: topK, half"


def test_suite_that_was_cut_off_is_not_green_whatever_passed() -> None:
    suite = suites.read("nn.testcuda()", WHOLE[: WHOLE.index("2/3 topK")], 540)
    assert (suite.passed, suite.failed, suite.whole, suite.green) == (("absTest",), (), False, False)
    assert "cut off before its end" in suite.words()


def test_suite_that_ran_nothing_is_not_green() -> None:
    assert not suites.read("x", "Completed 0 asserts in 0 tests with 0 failures and 0 errors\n", 0).green
    assert not suites.read("x", "module 'cutorch' not found\n", 0).green
