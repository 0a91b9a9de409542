"""Torch's Tester, read: whole, cut off, with failures, coloured."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.gpu import led, suites
from tests.lab import paths

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


def test_parts_are_one_suite_and_one_that_was_cut_off_makes_it_red() -> None:
    first = suites.read("nn.testcuda() part 1", WHOLE, 12.3)
    second = suites.read("nn.testcuda() part 2", WHOLE[: WHOLE.index("2/3 topK")], 30)
    both = suites.joined("nn.testcuda()", [first, second])
    assert (both.passed, both.failed, both.seconds) == (("absTest", "absTest"), ("topK", "half"), 30)
    assert not both.whole
    assert any(line.startswith("nn.testcuda() part 2: 1/3 absTest") for line in both.tail)
    assert suites.joined("nn.testcuda()", [first, first]).whole
    assert not suites.joined("nn.testcuda()", []).green


def test_every_test_of_a_suite_is_in_one_part() -> None:
    firsts = [re.findall(r"for i = (\d+), #names, (\d+) do", program)[0] for program in suites.parts("a", "b", 3)]
    chosen = [number for first, step in firsts for number in range(int(first), 11, int(step))]
    assert sorted(chosen) == list(range(1, 11))


def test_machine_with_the_card_needs_only_the_standard_library() -> None:
    program = f"import sys; sys.path.insert(0, {str(paths.ROOT)!r}); import tests.gpu.__main__"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


CARD = {"uuid": "GPU-1", "name": "NVIDIA H100", "compute_cap": "9.0", "driver_version": "580.1"}
FACTS = {"answer": "card", "problem": "", "evidence": "1 by nvidia-smi"}
FACT_CARD = {"uuid": "GPU-1", "name": "NVIDIA H100", "capability": "9.0", "driver": "580.1"}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({**FACTS, "cards": [FACT_CARD]}, ""),
        ({**FACTS, "cards": [{**FACT_CARD, "uuid": "GPU-2"}]}, "a host would say 'GPU-2' for uuid"),
        ({**FACTS, "answer": "unknown", "problem": "no devices", "cards": []}, "'unknown' about its card: no devices"),
    ],
)
def test_what_a_host_would_say_is_compared_with_nvidia_smi(facts: dict[str, Any], words: str) -> None:
    found = " ".join(led.facts_problems(facts, CARD))
    assert words in found if words else not found


def stage(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A stage on card GPU-1, as the supervisor's record tells of it."""
    models = [{"file": "/m.t7", "bytes": 5, "iteration": 3, "modified": 1.0}]
    run = {"exit_code": 0, "ended": None, "begins": 0, "models": models, "card": {"uuid": "GPU-1"}, "tail": "boom\n"}
    return led.told({**run, "samples": list(samples), **more})


def on(uuid: str, use: int = 90) -> dict[str, Any]:
    return {"on": [{"pid": 7, "uuid": uuid, "memory": 3007}], "cpu": 1.5, "utilization": use}


def test_stage_on_its_card_is_told_by_pid_memory_and_use() -> None:
    seen = stage({"cpu": 0.0}, on("GPU-1", 50), on("GPU-1"))
    assert (seen["samples"], seen["seen"], seen["pids"], seen["memory"], seen["utilisation"]) == (3, 2, [7], 3007, 90)
    assert led.problems({"base": seen}) == []


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (stage(on("GPU-2")), "stage base was seen on GPU-2, and its card is GPU-1"),
        (stage({"cpu": 1.0}), "in 1 samples of stage base its process was 0 times on its card"),
        (stage(on("GPU-1", 0)), "in 1 samples of stage base"),
        (stage(on("GPU-1"), models=[]), "stage base left no model"),
        (stage(on("GPU-1"), exit_code=1), "stage base ended with 1"),
    ],
)
def test_stage_that_is_not_as_it_should_be_is_named(seen: dict[str, Any], words: str) -> None:
    assert words in " ".join(led.problems({"base": seen}))
