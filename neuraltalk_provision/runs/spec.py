"""What a run is asked to do: options of train.lua and eval.lua, checked before anything starts. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import Option
from neuraltalk_provision.errors import UsageError

# MiB on a card, at rest and for each image of a batch: the seed's K80 had 3,007 in use in base training with 16.
# Finetuning keeps VGG-16's gradients and Adam's two moments of it as well. An estimate, to be asked before the start.
MEMORY = {"train.lua": (1500, 95), "finetune": (2500, 350), "eval.lua": (1200, 60)}
PROCESSOR = "none"
"""What --gpu says for a run on the processor."""


@dataclass(frozen=True)
class RunSpec:
    """A program with its options, by the names that the program itself uses."""

    id: str
    program: str
    arguments: Mapping[str, str]
    files: tuple[str, ...]
    gpu: str = PROCESSOR
    memory: int = 0
    """MiB that have to be free on the card."""
    stage: str = ""
    until: Mapping[str, int] | None = None
    """After which iteration (`iterations`), or how many checkpoints that were no better (`plateau`), it is ended."""
    needs: str = ""
    """The run before it that has to have ended well."""
    parent: Mapping[str, str] | None = None
    """The run (`id`) whose `best` or `last` model (`choose`) it starts from."""
    sweep: str = ""
    """The sweep that it belongs to."""

    def as_asked(self) -> dict[str, Any]:
        """The run as the host is asked for it."""
        return {
            "id": self.id,
            "program": self.program,
            "arguments": dict(self.arguments),
            "files": list(self.files),
            "stage": self.stage,
            "until": dict(self.until) if self.until else None,
            "needs": self.needs,
            "sweep": self.sweep,
            "parent": dict(self.parent) if self.parent else None,
        }


def parse(
    program: str,
    run_id: str,
    words: Sequence[str],
    gpu: str = PROCESSOR,
    memory: int | None = None,
    *,
    ends: bool = False,
) -> RunSpec:
    """The run that `-option value` words describe, with what a run on the processor needs added.

    `gpu` is `none`, `auto`, or a card by index or UUID; for a card, -gpuid and where not given -backend are the
    host's to say. `memory` in MiB takes the place of the estimate. `ends` says that something else ends it than
    -max_iters.

    Raises UsageError for an unknown option (naming the nearest), one without a value, one given twice, and
    for combinations that are known to end without a result.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_id):
        raise UsageError(f"--id {run_id!r}: letters, digits and . _ - only; it names a directory on the host")
    known = catalogue.program_options(program)
    arguments: dict[str, str] = {"gpuid": "-1", "backend": "nn"} if gpu == PROCESSOR else {}
    given: set[str] = set()
    words = list(words)
    while words:
        name = words.pop(0).lstrip("-")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known
            raise UsageError(f"{program} has no option -{name}; did you mean -{', -'.join(near)}?")
        if not words:
            raise UsageError(f"-{name} has no value")
        if name in given:
            raise UsageError(f"-{name} is given twice")
        given.add(name)
        arguments[name] = words.pop(0)
        _refuse_misfit(name, arguments[name], known[name])
    if "id" in given:
        raise UsageError("-id is set to the run's own id", advice="Choose it with --id.")
    _refuse_contradictions(program, arguments, gpu, ends)
    # checkpoint_path is the one that need not be there yet.
    paths = [name for name, option in known.items() if option.type in ("file", "folder") and arguments.get(name)]
    files = tuple(name for name in paths if name != "checkpoint_path")
    needed = memory_needed(program, arguments) if memory is None else memory
    return RunSpec(run_id, program, arguments, files, gpu, 0 if gpu == PROCESSOR else needed)


def _refuse_misfit(name: str, value: str, option: Option) -> None:
    """UsageError where the value is not of the option's type, or beyond its bounds."""
    needed = ""
    if option.type in ("file", "folder") and value and not value.startswith("/"):
        needed = "an absolute path on the host is needed"
    elif option.type == "whole" and not re.fullmatch(r"-?\d+", value):
        needed = "a whole number is needed"
    elif option.type == "number" and not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
        needed = "a number is needed"
    elif option.type == "flag" and value not in ("0", "1"):
        needed = "it can be 0 or 1"
    elif option.type == "choice" and value not in option.choices:
        needed = f"it can be {' or '.join(option.choices)}"
    elif option.type in ("whole", "number"):
        if option.least is not None and float(value) < option.least:
            needed = f"{option.least:g} is the least"
        elif option.most is not None and float(value) > option.most:
            needed = f"{option.most:g} is the most"
    if needed:
        raise UsageError(f"-{name} {value}: {needed}", advice=f"It is for: {option.what}.")


def memory_needed(program: str, arguments: Mapping[str, str]) -> int:
    """MiB that a run with these options needs on a card, estimated."""
    finetunes = program == "train.lua" and whole(program, arguments, "finetune_cnn_after") >= 0
    rest, image = MEMORY["finetune" if finetunes else program]
    return rest + image * whole(program, arguments, "batch_size")


def whole(program: str, arguments: Mapping[str, str], name: str) -> int:
    """A whole number as the program will have it: what was given, else its own default."""
    return int(arguments.get(name, catalogue.program_options(program)[name].default))


def _refuse_contradictions(program: str, arguments: Mapping[str, str], gpu: str, ends: bool) -> None:
    needed = {"train.lua": ("input_h5", "input_json"), "eval.lua": ("model",)}[program]
    missing = [f"-{name}" for name in needed if not arguments.get(name)]
    if missing:
        raise UsageError(f"{program} needs {' and '.join(missing)}: paths on the host")
    if gpu == PROCESSOR and (arguments["gpuid"] != "-1" or arguments["backend"] != "nn"):
        raise UsageError(
            "a run on the processor has -gpuid -1 and -backend nn",
            advice="Leave both out, or choose a card with --gpu.",
        )
    if gpu != PROCESSOR and "gpuid" in arguments:
        raise UsageError(
            "-gpuid is set to 0: the run sees one card, and that is its first",
            advice="Choose the card with --gpu auto, an index or a UUID.",
        )
    if program == "train.lua":
        iterations = whole(program, arguments, "max_iters")
        every = whole(program, arguments, "save_checkpoint_every")
        if 0 < iterations <= every and not ends:
            raise UsageError(
                f"-max_iters {iterations} is not above -save_checkpoint_every {every}: train.lua would end "
                "without having written a model",
                advice=f"Give -save_checkpoint_every a smaller number, {max(1, iterations // 2)} for instance.",
            )
