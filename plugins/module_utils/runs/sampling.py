# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a run takes while it runs: processor time, its processes, its card, and how far it got.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os
import threading
import time

from ..gpu import cards
from ..rules import log
from .files import end_of
from ..host.files import read_text

RHYTHM = ((60, 2), (3600, 15), (float("inf"), 60))
"""Up to which second of a run how many seconds lie between two samples."""


def observed(look, *given):
    """What a look gives; None where it fails."""
    try:
        return look(*given)
    except Exception:
        return None


def open_to_append(path):
    """A file that is written to at once; what is there stays."""
    return io.open(path, "ab", 0)


class Look(object):
    """Looks at what a run takes. A driver in trouble can hang nvidia-smi for good: nobody waits for it."""

    def __init__(self, run, group, card, began):
        self.run, self.group, self.card, self.began = run, group, card, began
        self.samples = observed(open_to_append, run.samples)
        self.last = None  # type: float | None
        self.asking = None
        self.problem = ""

    def close(self):
        """No sample is written any more."""
        if self.samples is not None:
            self.samples.close()

    def due(self):
        """Whether it is time for the next sample; also where somebody has set the clock back."""
        now = time.time()
        pause = next(pause for until, pause in RHYTHM if now - self.began < until)
        return self.last is None or not 0 <= now - self.last < pause

    def take(self):
        """Write down a sample; where the last question to nvidia-smi is not answered yet, that."""
        self.last = time.time()
        if self.card is None:
            self.write(None)
        elif self.asking is None or not self.asking.is_alive():
            self.asking = threading.Thread(target=self.write, args=(self.card,))
            self.asking.daemon = True
            self.asking.start()
        else:
            self.problem = self.problem or "nvidia-smi does not answer"
            self.write(None)

    def write(self, card):
        """Take a sample and keep it, with what could not be seen."""
        try:
            told = sample(self.run, self.group, card, self.last)
        except Exception as error:
            told = {"time": round(self.last or time.time(), 1), "iteration": None, "pids": [], "cpu": 0.0}
            told["problem"] = "%s: %s" % (type(error).__name__, error)
        if self.problem:
            told, self.problem = dict(told, problem=self.problem), ""
        observed(keep, self.samples, told)


def keep(samples, told):
    """Write a sample down, into the file that was opened when the run began."""
    samples.write((json.dumps(told, sort_keys=True) + "\n").encode("utf-8"))


def last_iteration(run):
    """The last iteration that a run printed; None before the first."""
    reader = log.Reader(1)
    reader.feed("\n" + end_of(run.log, 4096))
    return reader.losses.last[0] if reader.losses.last else None


def sample(run, group, card, now):
    """{time, iteration, cpu, pids}, and with a card {on, used, utilization}; the last one of a run has no pids.

    `cpu` is processor time in seconds since the start, `on` is [{pid, uuid, memory}] of the run's processes as
    nvidia-smi sees them on whatever card, memory in MiB; `used` and `utilization` are the whole card's.
    """
    pids = members(group)
    told = {"time": round(now, 1), "iteration": last_iteration(run), "pids": sorted(pids)}
    told["cpu"] = round(sum(seconds for seconds in pids.values()), 2)
    if card:
        try:
            told["on"] = [
                {"pid": seen["pid"], "uuid": seen["uuid"], "memory": seen["memory"]}
                for seen in cards.processes()
                if seen["pid"] in pids
            ]
            mine = [entry for entry in cards.cards() if entry["uuid"] == card["uuid"]]
            told.update((key, mine[0][key]) for key in ("used", "utilization") if mine)
        except ValueError as error:
            told["problem"] = str(error)
    return told


def members(group):
    """{pid: seconds of processor time} of the processes of a process group or session."""
    found, tick = {}, float(os.sysconf("SC_CLK_TCK"))
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = (read_text("/proc/%s/stat" % name) or "").rpartition(")")[2].split()
        except (IOError, OSError):
            continue  # somebody else's, where a host hides these
        # State, parent, group, session; at 11 and 12 the time spent, of its ended children at 13 and 14.
        if len(fields) > 14 and group in (int(fields[2]), int(fields[3])):
            found[int(name)] = sum(int(field) for field in fields[11:15]) / tick
    return found
