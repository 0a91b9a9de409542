# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Opens each model of a run with the stack itself.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os

from ..host.commands import log_tail, run_logged, with_stack
from ..host.files import lines_since, remove
from ..host.texts import as_text
from .files import checkpoints
from ..rules import layout

PROBE = """
require 'torch' require 'nn' require 'nngraph' require 'misc.LanguageModel'
%(card)s
local checkpoint = torch.load(arg[1])
local iter, stats = checkpoint.iter, checkpoint.val_lang_stats_history
local words = 0
for _ in pairs(checkpoint.vocab) do words = words + 1 end
assert(checkpoint.protos.lm and checkpoint.protos.cnn, 'it contains no model')
print('')
print(string.format('probed %%d %%d %%s %%s', iter, words, tostring(checkpoint.val_loss_history[iter]),
  tostring(stats and stats[iter] and stats[iter].CIDEr)))
"""


def probe(run):
    """Return [{file, bytes, iteration, words, loss, cider}] of a run's models; `problem` if one cannot be opened."""
    generation = layout.generation(run.root, os.path.basename(run.read_request()["generation"]))
    card = run.read(run.process).get("card")
    program = os.path.join(run.path, "probe.lua")
    with io.open(program, "w") as file:
        file.write(as_text(PROBE.lstrip() % {"card": "require 'cutorch' require 'cunn'" if card else ""}))
    results = []
    for entry in checkpoints(run):
        if not entry["file"].endswith(".t7"):
            continue
        log = os.path.join(run.path, "probe.log")
        outcome = run_logged(
            with_stack(generation, ["luajit", program, entry["file"]]),
            log,
            chdir=run.work,
            environment={"CUDA_VISIBLE_DEVICES": card["uuid"] if card else ""},
            timeout=900,
        )
        lines = [line.split() for line in lines_since(log, 0) if line.startswith("probed ")]
        result = {"file": entry["file"], "bytes": entry["bytes"]}
        if outcome["rc"] or not lines:
            result["problem"] = (log_tail(log) or ["it printed nothing"])[-1]
        else:
            iteration, vocabulary, loss, cider = lines[-1][1:]
            result.update(iteration=int(iteration), words=int(vocabulary), loss=number(loss), cider=number(cider))
        results.append(result)
    remove(program)
    return results


def number(text):
    """Return a number that Lua printed, or None for nil."""
    try:
        return float(text)
    except ValueError:
        return None
