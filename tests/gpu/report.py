"""The report of `make test-gpu`: what is wrong with the results, and all of it for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tests.gpu import supervised

CLOSE = 0.02
"""How much the first validation loss on the card may differ from that on the processor, relative to the latter.

One update came before it, with another dropout on each.
"""
SAME = 0.0001
"""How much the loss of one model may differ, relative to itself: the order of sums differs, and nothing is random."""


def problems(report: Mapping[str, Any]) -> list[str]:
    """The problems of the results, as messages; empty if there are none."""
    found = [suite["words"] for suite in report["suites"] if not suite["green"]]
    card, processor = report["training"]["card"], report["training"]["processor"]
    for where, training in report["training"].items():
        if training["exit_code"] or not training["model"]:
            found.append(f"training on the {where} ended with {training['exit_code']} and left no model")
        for what, losses in (("losses", training["losses"]), ("validation losses", training["validation"])):
            if not losses:
                found.append(f"training on the {where} printed no {what}")
            elif not all(map(math.isfinite, losses)):
                found.append(f"training on the {where} has {what} that are no numbers: {losses}")
    if card["validation"] and processor["validation"]:
        one, other = card["validation"][0], processor["validation"][0]
        if not abs(one - other) <= CLOSE * abs(other):
            found.append(f"the first validation loss is {one} on the card and {other} on the processor")
    if not card["card"]["processes"] and not card["card"]["utilisation"]:
        found.append("nvidia-smi saw nothing compute on the card during the training on it")
    for where, captioned in report["captions"].items():
        if captioned["exit_code"] or not captioned["captions"]:
            found.append(f"captions on the {where} ended with {captioned['exit_code']}")
    found += supervised.problems(report["stages"])
    found += supervised.facts_problems(report["facts"], report["card"])
    losses = {where: evaluated["loss"] for where, evaluated in report["evaluation"].items()}
    if not losses or None in losses.values():
        found.append("one model could not be evaluated on both, the card and the processor")
    elif not abs(losses["card"] - losses["processor"]) <= SAME * abs(losses["processor"]):
        found.append(
            f"the loss of one model is {losses['card']} on the card and {losses['processor']} on the processor"
        )
    captions = [json.dumps(captioned["captions"], sort_keys=True) for captioned in report["captions"].values()]
    if len(set(captions[:2])) > 1:
        found.append("one model gave other captions on the card than on the processor")
    if not report["captions"]:
        found.append("there was no model to caption with")
    return found


def write(report: Mapping[str, Any]) -> None:
    """Print the report."""
    for suite in report["suites"]:
        print(suite["words"])
        for test, message in suite["failed"].items():
            print(f"  {test}: {message[:300]}")
        _write_tail(suite)
    for where, training in report["training"].items():
        print(f"training on the {where}, {training['seconds']} s: losses {training['losses']}")
        print(f"  validation {training['validation']}; model {training['bytes']:,} bytes")
        _write_tail(training)
    seen = report["training"]["card"]["card"]
    print(f"nvidia-smi during the training on the card, {seen['samples']} samples: {seen['utilisation']} % at most, ")
    print(f"  {seen['memory']} MiB at most, processes {seen['processes']}")
    for where, evaluated in report["evaluation"].items():
        print(f"loss of one model on the {where}: {evaluated['loss']}")
        _write_tail(evaluated)
    for where, captioned in report["captions"].items():
        print(f"captions on the {where}: {captioned['captions']}")
        _write_tail(captioned)
    for name, stage in report["stages"].items():
        print(
            f"stage {name}, under the supervisor: exit code {stage['exit_code']}, begins at {stage['begins']}, models"
        )
        print(
            f"  {[model['iteration'] for model in stage['models']]}; pid {stage['pids']} on {stage['card']} in", end=" "
        )
        print(f"{stage['seen']} of {stage['samples']} samples, {stage['memory']} MiB, {stage['utilisation']} % at most")
        _write_tail(stage)
    for problem in report["problems"]:
        print(f"PROBLEM {problem}")
    if not report["problems"]:
        print("nothing is wrong")


def _write_tail(result: Mapping[str, Any]) -> None:
    """Print the last lines of a program that failed."""
    for line in result["tail"]:
        print(f"  {line}")
