# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The processes that use the cards of a host now, with their users. What cannot be seen is never taken for nothing.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..host import process_info
from ..rules.gpu import CARD, NONE
from .cards import detect, in_container, listed_processes, signs
from ..host.texts import text_of

IDLE_MEMORY = 600
"""MiB. A card on which this much memory is used, and no process is listed, is used by a process that is not shown."""


def on_cards():
    """{processes, hidden, problem}: the processes that use cards, how many others do, and why this is not known.

    Each process is {pid, name, user, since, cards}. Hidden are processes of other containers, which nvidia-smi lists
    without a pid of this host, and cards with memory in use but without a process, if they are divided (MIG) or seen
    from a container, or if the driver does not list the processes.
    """
    found = detect()
    if found["answer"] == NONE or found["answer"] != CARD and not _has_driver():
        return {"processes": [], "hidden": 0, "problem": ""}
    if found["answer"] != CARD:
        return {"processes": [], "hidden": 0, "problem": found["problem"]}
    try:
        rows, all_listed = listed_processes()
    except ValueError as error:
        return {"processes": [], "hidden": 0, "problem": text_of(error)}
    listed, cards_of, hidden = {}, {}, 0  # type: dict[int, object], dict[int, list[str]], int
    for row in rows:
        if row["pid"] is None or not process_info.exists(row["pid"]):
            hidden += 1
        else:
            cards_of.setdefault(row["pid"], []).append(row["uuid"] or "")
            listed[row["pid"]] = dict(_described(row["pid"]), cards=cards_of[row["pid"]])
    used = set(row["uuid"] for row in rows)
    for card in found["cards"]:
        is_opaque = card["mig"] == "Enabled" or not all_listed or in_container()
        if is_opaque and card["uuid"] not in used and (card["used"] or 0) >= IDLE_MEMORY:
            hidden += 1
    return {"processes": [listed[pid] for pid in sorted(listed)], "hidden": hidden, "problem": ""}


def _has_driver():
    """Whether a process could use a card. Without the driver and its devices none can, whatever is on the bus."""
    kinds = set(kind for kind, _words in signs())
    return "device" in kinds or "driver" in kinds and not in_container()


def _described(pid):
    name, user = process_info.name_of(pid), process_info.user_of(pid)
    return {"pid": pid, "name": name, "user": user, "since": process_info.started(pid)}
