# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The models that a run has left, each opened by the stack itself.

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
assert(checkpoint.protos.lm and checkpoint.protos.cnn, 'it has no model in it')
print('')
print(string.format('probed %%d %%d %%s %%s', iter, words, tostring(checkpoint.val_loss_history[iter]),
  tostring(stats and stats[iter] and stats[iter].CIDEr)))
"""


def probe(run):
    """[{file, bytes, iteration, words, loss, cider}] of a run's models, each opened; `problem` where one does not."""
    generation = layout.generation(run.root, os.path.basename(run.asked()["generation"]))
    card = run.told(run.process).get("card")
    program = os.path.join(run.path, "probe.lua")
    with io.open(program, "w") as file:
        file.write(as_text(PROBE.lstrip() % {"card": "require 'cutorch' require 'cunn'" if card else ""}))
    opened = []
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
        words = [line.split() for line in lines_since(log, 0) if line.startswith("probed ")]
        seen = {"file": entry["file"], "bytes": entry["bytes"]}
        if outcome["rc"] or not words:
            seen["problem"] = (log_tail(log) or ["nothing was said"])[-1]
        else:
            iteration, vocabulary, loss, cider = words[-1][1:]
            seen.update(iteration=int(iteration), words=int(vocabulary), loss=number(loss), cider=number(cider))
        opened.append(seen)
    remove(program)
    return opened


def number(word):
    """A number as Lua prints it; None for nil."""
    try:
        return float(word)
    except ValueError:
        return None
