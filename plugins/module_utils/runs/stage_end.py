# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""When a stage of a training ends: at an iteration, or when its models no longer improve.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .files import report_of
from .sampling import last_iteration
from ..rules.run import VALIDATION_LOSS


def end_of_stage(run, until):
    """Return why a stage ends now, as {by, iteration, evidence}, or None.

    `until` is {iterations, plateau}. `iterations`: the stage ends after the checkpoint at or after this iteration.
    `plateau`: it ends when this number of successive checkpoints was not better than an earlier one. The result is
    None until the program has printed a later iteration, so that the checkpoint is written completely.
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
        name, history = quality_history(report)
        return plateau(name, history, until["plateau"])
    return None


def quality_history(report):
    """Return (name, [(iteration, value)]) of the metric for comparing models. Larger is better; no iteration 0."""
    scores = report.get("val_lang_stats_history") or {}
    if scores:
        history = [(int(key), entry["CIDEr"]) for key, entry in pairs(scores) if "CIDEr" in entry]
        return "CIDEr", sorted(entry for entry in history if entry[0] > 0)
    history = [(int(key), -value) for key, value in pairs(report.get("val_loss_history") or {})]
    return VALIDATION_LOSS, sorted(entry for entry in history if entry[0] > 0)


def pairs(table):
    """Return the pairs of a Lua table in JSON: an object, or a list if the keys were 1, 2 and so on."""
    return enumerate(table, 1) if isinstance(table, list) else table.items()


def plateau(name, history, patience):
    """Return {by, iteration, evidence} if the last `patience` checkpoints were not better than an earlier one."""
    if len(history) <= patience:
        return None
    best = max(range(len(history)), key=lambda place: (history[place][1], -place))
    since = len(history) - 1 - best
    if since < patience:
        return None
    iteration, value = history[best]
    evidence = "%s was best (%.4g) after iteration %d, and did not improve in the %d checkpoints since"
    return {
        "by": "plateau",
        "iteration": history[-1][0],
        "evidence": evidence % (name, abs(value), iteration, since),
    }
