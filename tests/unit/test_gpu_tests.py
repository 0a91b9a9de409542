"""The tests on a card: torch's suites read and continued, stages under the supervisor, and what the machine needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import suites, supervised
from tests.lab import paths
from tests.unit.test_supervisor import train

WHOLE = (
    "seed: \t123\t\nRunning 3 tests\n"
    "1/3 absTest ....................... [WAIT]\r1/3 absTest ....................... [PASS]\n"
    "2/3 \x1b[36mtopK\x1b[0m .......................... [WAIT]\r"
    "2/3 topK .......................... [\x1b[31mFAIL\x1b[0m]\n"
    "3/3 half .......................... [WAIT]\r3/3 half .......................... [ERROR]\n"
    "Completed 1204 asserts in 3 tests with 1 failure and 1 error\n"
)


KNOWN = (
    "Running 2 tests\n1/2 PReLU_forward .... [WAIT]\r1/2 PReLU_forward .... [ERROR]\n"
    "2/2 Tanh_forward .... [WAIT]\r2/2 Tanh_forward .... [PASS]\n"
    "Completed 7 asserts in 2 tests with 0 failures and 1 error\n"
    + "-" * 80
    + "\nPReLU_forward\n Function call failed\nTHNN.lua:110: MESSAGE\nstack traceback:\n\t[C]: in function 'v'\n"
    + "-" * 80
)
BROKEN = (
    "Running 3 tests\n1/3 sign ... [WAIT]\r1/3 sign ... [PASS]\n2/3 topk ... [WAIT]\r2/3 topk ... [ERROR]\n"
    f"3/3 fill ... [WAIT]\n{suites.BROKEN}\ntopk\n Function call failed\ncuda runtime error (700)\n"
    "stack traceback:\n\t[C]: in function 'copy'\n"
)
REST = (
    "Running 1 test\n1/1 fill ... [WAIT]\r1/1 fill ... [PASS]\n"
    "Completed 5 asserts in 1 test with 0 failures and 0 errors\n"
)


def test_results_are_read_by_test() -> None:
    suite = suites.read("cutorch.test()", WHOLE, 12.3)
    assert (suite.passed, suite.asserts, suite.whole) == (("absTest",), 1204, True)
    assert suite.failed == {"topK": "", "half": ""}
    assert not suite.green
    assert suite.words() == "cutorch.test(): 1 passed, 2 failed, 1204 asserts, 12 s; failed: topK, half"


def test_suite_that_was_cut_off_is_not_green_whatever_passed() -> None:
    suite = suites.read("nn.testcuda()", WHOLE[: WHOLE.index("2/3 topK")], 540)
    assert (suite.passed, suite.failed, suite.whole, suite.green) == (("absTest",), {}, False, False)
    assert "cut off before its end" in suite.words()


def test_suite_that_ran_nothing_is_not_green() -> None:
    assert not suites.read("x", "Completed 0 asserts in 0 tests with 0 failures and 0 errors\n", 0).green
    assert not suites.read("x", "module 'cutorch' not found\n", 0).green


@pytest.mark.parametrize(("message", "green"), [("Wrong number of input planes. Expected 8", True), ("boom", False)])
def test_a_failure_that_is_known_is_named_and_only_with_its_own_message(message: str, green: bool) -> None:
    suite = suites.read("nn.testcuda()", KNOWN.replace("MESSAGE", message), 1)
    assert suite.green is green
    assert suite.failed == {"PReLU_forward": f"Function call failed THNN.lua:110: {message}"}
    assert ("known to fail: PReLU_forward" in suite.words()) is green
    assert ("; failed: PReLU_forward" in suite.words()) is not green


def test_parts_are_one_suite_and_one_that_was_cut_off_makes_it_red() -> None:
    first = suites.read("nn.testcuda() part 1", WHOLE, 12.3)
    second = suites.read("nn.testcuda() part 2", WHOLE[: WHOLE.index("2/3 topK")], 30)
    both = suites.side_by_side("nn.testcuda()", [first, second])
    assert (both.passed, list(both.failed), both.seconds) == (("absTest", "absTest"), ["topK", "half"], 30)
    assert not both.whole
    assert any(line.startswith("nn.testcuda() part 2: 1/3 absTest") for line in both.tail)
    assert suites.side_by_side("nn.testcuda()", [first, first]).whole
    assert not suites.side_by_side("nn.testcuda()", []).green


def run_part(*outputs: tuple[int, str]) -> tuple[suites.Suite, list[list[str]]]:
    """The result of a part whose processes print these, and the tests that each process was to leave out."""
    left, asked = list(outputs), []

    def program_of(done: Collection[str]) -> str:
        asked.append(sorted(done))
        return "program"

    return suites.run_part("part", program_of, lambda _program: (*left.pop(0), 1.5)), asked


def test_a_test_that_breaks_the_context_takes_no_other_along() -> None:
    suite, asked = run_part((3, BROKEN), (0, REST))
    assert (suite.passed, suite.whole, suite.seconds) == (("sign", "fill"), True, 3.0)
    assert suite.failed == {"topk": "Function call failed cuda runtime error (700)"}
    assert asked == [[], ["sign", "topk"]]
    assert not suite.green


def test_a_test_that_ends_its_process_failed_and_the_others_run() -> None:
    crash = BROKEN[: BROKEN.index("\n3/3")] + "\n3/3 hang ... [WAIT]"
    suite, asked = run_part((-11, crash), (0, REST))
    assert suite.failed == {"topk": "", "hang": "it ended its process with -11"}
    assert (asked[1], suite.whole) == (["hang", "sign", "topk"], True)


@pytest.mark.parametrize("output", [(124, BROKEN), (1, "module 'cutorch' not found\n")])
def test_a_part_without_time_or_progress_is_not_started_again(output: tuple[int, str]) -> None:
    suite, asked = run_part(output)
    assert (len(asked), suite.whole, suite.green) == (1, False, False)
    assert suite.tail


def test_every_test_of_a_suite_is_in_one_part() -> None:
    programs = [suites.program("a", "b", first, 3, ["x"]) for first in (1, 2, 3)]
    firsts = [re.findall(r"for i = (\d+), #names, (\d+) do", program)[0] for program in programs]
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
        ({**FACTS, "cards": [{**FACT_CARD, "uuid": "GPU-2"}]}, "the product finds 'GPU-2' for uuid"),
        ({**FACTS, "answer": "unknown", "problem": "no devices", "cards": []}, "'unknown' for the card: no devices"),
    ],
)
def test_what_a_host_would_say_is_compared_with_nvidia_smi(facts: dict[str, Any], words: str) -> None:
    found = " ".join(supervised.facts_problems(facts, CARD))
    assert words in found if words else not found


def stage(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A stage on card GPU-1, as the supervisor's record tells of it."""
    models = [{"file": "/m.t7", "bytes": 5, "iteration": 3, "modified": 1.0}]
    run = {"exit_code": 0, "ended": None, "begins": 0, "models": models, "card": {"uuid": "GPU-1"}, "tail": "boom\n"}
    return supervised.summary({**run, "samples": list(samples), **more})


def on(uuid: str, use: int = 90) -> dict[str, Any]:
    return {"on": [{"pid": 7, "uuid": uuid, "memory": 3007}], "cpu": 1.5, "utilization": use}


def test_stage_on_its_card_is_told_by_pid_memory_and_use() -> None:
    seen = stage({"cpu": 0.0}, on("GPU-1", 50), on("GPU-1"))
    assert (seen["samples"], seen["seen"], seen["pids"], seen["memory"], seen["utilisation"]) == (3, 2, [7], 3007, 90)
    assert supervised.problems(dict.fromkeys(supervised.STAGES, seen)) == []


@pytest.mark.slow
def test_two_stages_run_under_the_supervisor(tmp_path: Path) -> None:
    generation = tmp_path / "generation"
    (generation / "bin").mkdir(parents=True)
    (generation / "neuraltalk2" / "model").mkdir(parents=True)
    for name in ("train.lua", "model/VGG_ILSVRC_16_layers.caffemodel", "model/VGG_ILSVRC_16_layers_deploy.prototxt"):
        (generation / "neuraltalk2" / name).touch()
    train(generation, [3.0, 2.0])
    with_stack = generation / "bin" / "with-stack"
    with_stack.write_text(f'#!/bin/sh\nPATH="{generation}/bin:$PATH" exec "$@"\n')
    with_stack.chmod(0o755)
    stages = supervised.run_stages(tmp_path, generation, {"max_iters": "11"}, {}, 60, card=False)
    assert {name: (stage["exit_code"], stage["ended"]) for name, stage in stages.items()} == {
        "base": (0, None),
        "finetune": (0, None),
    }, stages
    assert all(stage["models"] for stage in stages.values())


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (stage(on("GPU-2")), "stage base was seen on GPU-2, and its card is GPU-1"),
        (stage({"cpu": 1.0}), "in 1 samples of stage base its process was never on its card"),
        (stage(on("GPU-1", 0)), "no sample of any stage shows that the card was in use"),
        (stage(on("GPU-1"), models=[]), "stage base left no model"),
        (stage(on("GPU-1"), exit_code=1), "stage base ended with 1"),
    ],
)
def test_stage_that_is_not_as_it_should_be_is_named(seen: dict[str, Any], words: str) -> None:
    assert words in " ".join(supervised.problems({"base": seen}))
