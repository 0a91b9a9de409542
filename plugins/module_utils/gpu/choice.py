# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which card a run gets, decided from what nvidia-smi said of the cards. Pure.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


def choose_card(asked, memory, cards, processes, leased):
    """The card for a run: `auto` for the one with the most free memory, or one by its index or UUID.

    `memory` is what has to be free, in MiB; `leased` says {uuid: run} of those that a run of ours has. ValueError
    with a reason for every card that was considered.
    """
    if not cards:
        raise ValueError("this host has no card that nvidia-smi knows")
    considered = [c for c in cards if asked == "auto" or asked in (str(c["index"]), c["uuid"])]
    if not considered:
        there = ", ".join("%(index)s (%(uuid)s)" % card for card in cards)
        raise ValueError("no card is called %s; there are %s" % (asked, there))
    reasons, fitting = [], []
    for card in considered:
        reason = _hindrance(card, memory, processes, leased, asked == "auto")
        if reason:
            reasons.append("card %s (%s): %s" % (card["index"], card["name"], reason))
        else:
            fitting.append(card)
    if not fitting:
        raise ValueError("; ".join(reasons))
    return max(fitting, key=free_memory)


def free_cards(memory, cards, processes, leased):
    """The cards that `choose_card` would give for `auto`, the one with the most free memory first."""
    free = [card for card in cards if not _hindrance(card, memory, processes, leased, True)]
    return sorted(free, key=free_memory, reverse=True)


def free_memory(card):
    """MiB of a card that nobody uses; 0 where it does not tell."""
    return (card["memory"] or 0) - (card["used"] or 0)


def _hindrance(card, memory, processes, leased, shy):
    """Why a run cannot have a card; empty where it can. `shy` leaves a card alone that somebody else computes on."""
    if card["uuid"] in leased:
        return "run %s has it" % leased[card["uuid"]]
    if card["mode"] == "Prohibited":
        return "its compute mode is Prohibited"
    others = [str(process["pid"]) for process in processes if process["uuid"] == card["uuid"]]
    if others and (shy or (card["mode"] or "").startswith("Exclusive")):
        return "pid %s computes on it" % ", ".join(others)
    if card["memory"] is not None and free_memory(card) < memory:
        return "%d MiB are free, and the run needs about %d" % (free_memory(card), memory)
    return ""
