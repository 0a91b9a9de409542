# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Chooses the card for a run, from the output of nvidia-smi. Pure.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..rules.gpu import AUTO, number, reason_against


def choose_card(requested, memory, cards, processes, leased, archs):
    """(the card for a run, the reasons against those of the considered cards that cannot be used as they are).

    `requested` is an index, a UUID, `auto` for the free card with the most free memory, or `auto:UUID` for that card,
    if nothing computes on it. `memory` is the memory that must be free, in MiB. `leased` is {uuid: run} of the cards
    that runs use. `archs` is what the stack was built for, a TORCH_CUDA_ARCH_LIST; empty if that is not recorded.
    ValueError, with a reason for every card that was considered, if there is none.
    """
    if not cards:
        raise ValueError("nvidia-smi lists no card on this host")
    kind, _colon, uuid = requested.partition(":")
    name = uuid or requested
    considered = [card for card in cards if name in (AUTO, str(card["index"]), card["uuid"])]
    if not considered:
        there = ", ".join("%s (%s)" % (card["index"], card["uuid"] or card["fault"]) for card in cards)
        raise ValueError("there is no card called %s; the cards of this host are: %s" % (name, there))
    found = sort_cards(memory, considered, processes, leased, archs, kind == AUTO)
    if not found["free"]:
        raise ValueError("; ".join(found["unusable"] + found["busy"]))
    return found["free"][0], found["unusable"]


def sort_cards(memory, cards, processes, leased, archs, only_idle=True):
    """{free, unusable, busy}: the cards that a run can use now, the one with the most free memory first, and the reason
    against each other card: it cannot be used as it is, or it is in use. The parameters are those of `choose_card`.
    """
    free, unusable, busy = [], [], []  # type: list[dict[str, object]], list[str], list[str]
    for card in cards:
        defect = _defect(card, archs) or _gap(card)
        reason = defect or _use(card, memory, processes, leased, only_idle)
        if reason:
            (unusable if defect else busy).append(_said(card, reason))
        else:
            free.append(card)
    return {"free": sorted(free, key=free_memory, reverse=True), "unusable": unusable, "busy": busy}


def _said(card, reason):
    return "card %s%s: %s" % (card["index"], " (%s)" % card["name"] if card["name"] else "", reason)


def reasons_against_all(cards, archs):
    """The reasons why no program of a stack can compute on any of these cards; empty if one can on some of them."""
    reasons = [(card, _defect(card, archs)) for card in cards]
    return [_said(*one) for one in reasons] if all(reason for _card, reason in reasons) else []


def reserved(cards, leased):
    """Those of {uuid: run} whose card accepts only one process: a short test there would keep the run out."""
    alone = set(card["uuid"] for card in cards if _is_exclusive(card))
    return dict((uuid, run) for uuid, run in leased.items() if uuid in alone)


def card_to_try(memory, cards, processes, leased, archs):
    """The card for a short test of a stack that was built for `archs`; None if none has room for it.

    That is the one with the highest compute capability, as CUDA itself would choose. Of several, an idle one.
    """
    usable = sort_cards(memory, cards, processes, leased, archs, only_idle=False)["free"]
    busy = set(process["uuid"] for process in processes)
    return (
        max(usable, key=lambda card: (number(card["capability"] or ""), card["uuid"] not in busy, free_memory(card)))
        if usable
        else None
    )


def free_memory(card):
    """The free memory of a card in MiB; 0 if it is unknown."""
    return (card["memory"] or 0) - (card["used"] or 0)


def _defect(card, archs):
    """The reason why no program of the stack can compute on a card; empty if there is none."""
    if card["fault"]:
        return (
            'nvidia-smi reports "%s": reset the card (nvidia-smi --gpu-reset), or boot the host again' % card["fault"]
        )
    return reason_against(card["index"], card["mode"], card["capability"], archs)


def _gap(card):
    """The reason why a run cannot be given this one card; empty if it can."""
    if not card["uuid"]:
        return "nvidia-smi does not report its UUID"
    if card["mig"] == "Enabled":
        return (
            "it is divided into instances (MIG), and a run uses only a whole card. To end that: nvidia-smi -i %s -mig 0"
            % card["index"]
        )
    if card["memory"] is not None and card["used"] is None:
        return "nvidia-smi does not report how much of its memory is in use"
    return ""


def _use(card, memory, processes, leased, only_idle):
    """The reason why a card is not free now; empty if it is. `only_idle` excludes cards with other processes."""
    # If nvidia-smi does not say on which card a process computes, it can be any.
    others = [process["pid"] for process in processes if process["uuid"] in (card["uuid"], None)]
    alone = ", and its compute mode is %s" % card["mode"] if _is_exclusive(card) else ""
    if card["uuid"] in leased:
        return "run %s uses it%s" % (leased[card["uuid"]], alone)
    if others and (only_idle or alone):
        pids = ", ".join(str(pid) for pid in others if pid is not None)
        return "%s computes on it%s" % ("pid %s" % pids if pids else "a process", alone)
    if card["memory"] is not None and free_memory(card) < memory:
        return "%d MiB are free, and about %d are needed" % (free_memory(card), memory)
    return ""


def _is_exclusive(card):
    """Whether a card accepts only one process at a time."""
    return (card["mode"] or "").startswith("Exclusive")
