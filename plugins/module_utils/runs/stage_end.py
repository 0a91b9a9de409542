# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""When a stage of a training is over: at an iteration, or when its models get no better.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .files import report_of
from .sampling import last_iteration
from ..rules.run import VALIDATION_LOSS


def reached(run, until):
    """Why a stage is over: {by, iteration, evidence}; None while it is not.

    `until` is {iterations, plateau}: after the checkpoint at or past that iteration, or when so many checkpoints
    in a row were no better than one before. The program has gone on past the checkpoint then: it is written.
    """
    if not until:
        return None
    report = report_of(run)
    last = last_iteration(run)
    if not report or last is None or last <= report["iter"]:
        return None
    if until.get("iterations") and report["iter"] >= until["iterations"]:
        return {"by": "iterations", "iteration": report["iter"], "evidence": "iteration %d" % report["iter"]}
    if until.get("plateau"):
        name, history = judged_by(report)
        return plateau(name, history, until["plateau"])
    return None


def judged_by(report):
    """(what the program judges its models by, [(iteration, value)], more is better), without the untrained first."""
    scores = report.get("val_lang_stats_history") or {}
    if scores:
        history = [(int(key), entry["CIDEr"]) for key, entry in pairs(scores) if "CIDEr" in entry]
        return "CIDEr", sorted(entry for entry in history if entry[0] > 0)
    history = [(int(key), -value) for key, value in pairs(report.get("val_loss_history") or {})]
    return VALIDATION_LOSS, sorted(entry for entry in history if entry[0] > 0)


def pairs(table):
    """The pairs of a Lua table as JSON has it: an object, or a list where its keys were 1, 2 and so on."""
    return enumerate(table, 1) if isinstance(table, list) else table.items()


def plateau(name, history, patience):
    """{by, iteration, evidence} where the last `patience` checkpoints were no better than one before; else None."""
    if len(history) <= patience:
        return None
    best = max(range(len(history)), key=lambda place: (history[place][1], -place))
    since = len(history) - 1 - best
    if since < patience:
        return None
    iteration, value = history[best]
    evidence = "%s was best (%.4g) after iteration %d, and not better in the %d checkpoints since"
    return {
        "by": "plateau",
        "iteration": history[-1][0],
        "evidence": evidence % (name, abs(value), iteration, since),
    }
