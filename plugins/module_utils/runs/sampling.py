# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Samples of a running run: its CPU time, processes, card and last iteration.

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
from ..rules import clock, log
from ..host import process_info
from ..host.files import end_of
from ..host.texts import text_of

INTERVALS = ((60, 2), (3600, 15), (float("inf"), 60))
"""(age of the run, time between two samples), both in seconds. The first entry with a greater age applies."""


def attempt(call, *args):
    """Return `call(*args)`, or None if it fails."""
    try:
        return call(*args)
    except Exception:
        return None


class Sampler(object):
    """Takes samples of one run. nvidia-smi is called in a thread, because it can hang forever if the driver fails."""

    def __init__(self, run, group, card):
        self.run, self.group, self.card, self.began = run, group, card, clock.seconds()
        self.samples = attempt(io.open, run.samples, "ab", 0)
        self.last = None  # type: float | None
        self.time = time.time()
        self.query = None
        self.problem = ""

    def close(self):
        """Close the file of samples."""
        if self.samples is not None:
            self.samples.close()

    def due(self):
        """Return whether it is time for the next sample."""
        now = clock.seconds()
        pause = next(pause for until, pause in INTERVALS if now - self.began < until)
        return self.last is None or now - self.last >= pause

    def take(self):
        """Write a sample. If the previous call of nvidia-smi has not returned yet, the sample says so."""
        self.last, self.time = clock.seconds(), time.time()
        if self.card is None:
            self.write(None)
        elif self.query is None or not self.query.is_alive():
            self.query = threading.Thread(target=self.write, args=(self.card,))
            self.query.daemon = True
            self.query.start()
        else:
            self.problem = self.problem or "nvidia-smi does not answer"
            self.write(None)

    def write(self, card):
        """Take a sample and append it to the file. What could not be determined is its `problem`."""
        try:
            result = sample(self.run, self.group, card, self.time)
        except Exception as error:
            result = {"time": round(self.time, 1), "iteration": None, "pids": [], "cpu": 0.0}
            result["problem"] = "%s: %s" % (type(error).__name__, text_of(error))
        if self.problem:
            result, self.problem = dict(result, problem=self.problem), ""
        attempt(append_sample, self.samples, result)


def append_sample(samples, entry):
    """Append a sample to the file, which was opened when the run started."""
    samples.write((json.dumps(entry, sort_keys=True) + "\n").encode("utf-8"))


def last_iteration(run):
    """Return the last iteration that a run printed, or None before the first."""
    reader = log.Reader(1)
    reader.feed("\n" + end_of(run.log, 4096))
    return reader.losses.last[0] if reader.losses.last else None


def sample(run, group, card, now):
    """Return a sample: {time, iteration, cpu, pids}, and with a card also {on, used, utilization}.

    `cpu` is the CPU time in seconds since the start. `on` is [{pid, uuid, memory}] of the run's processes that
    nvidia-smi lists on any card, memory in MiB. `used` and `utilization` are those of the whole card. The last sample
    of a run has no pids.
    """
    pids = members(group)
    result = {"time": round(now, 1), "iteration": last_iteration(run), "pids": sorted(pids)}
    result["cpu"] = round(sum(pids.values()), 2)
    if card:
        try:
            result["on"] = [
                {"pid": process["pid"], "uuid": process["uuid"], "memory": process["memory"]}
                for process in cards.processes()
                if process["pid"] in pids
            ]
            mine = [entry for entry in cards.cards() if entry["uuid"] == card["uuid"]]
            if not mine:
                raise ValueError("nvidia-smi does not list %s any more" % card["uuid"])
            result.update((key, mine[0][key]) for key in ("used", "utilization"))
        except ValueError as error:
            result["problem"] = text_of(error)
    return result


def members(group):
    """Return {pid: CPU time in seconds} of the processes of a process group or session."""
    found, tick = {}, float(os.sysconf("SC_CLK_TCK"))
    for pid in process_info.pids():
        fields = process_info.fields_of(pid)
        # Fields: 0 state, 1 parent, 2 group, 3 session; 11 and 12: CPU time; 13 and 14: CPU time of ended children.
        if len(fields) > 14 and group in (int(fields[2]), int(fields[3])):
            found[pid] = sum(int(field) for field in fields[11:15]) / tick
    return found
