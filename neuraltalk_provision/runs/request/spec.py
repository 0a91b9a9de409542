"""The request for a run: options of train.lua and eval.lua, checked before anything starts. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import catalogue, field_words
from neuraltalk_provision.catalogue import Option
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results import numbers
from neuraltalk_provision.rules import run as rules

# MiB on a card: a fixed part, and a part for each image of a batch. Base training with batches of 16 used 3,007 MiB on
# a K80. Finetuning also keeps the gradients of VGG-16 and two moments for Adam. This estimate is for the check before
# the start.
MEMORY = {"train.lua": (1500, 95), "finetune": (2500, 350), "eval.lua": (1200, 60)}
_WHOLE = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,9})?")
_WHOLE_MOST = 1 << 53
_CARD = re.compile(r"none|auto|[0-9]{1,3}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,120}")
PROCESSOR = "none"
"""The value of --gpu for a run on the CPU."""


@dataclass(frozen=True)
class RunSpec:
    """A program with its options, under the names that the program itself uses."""

    id: str
    program: str
    arguments: Mapping[str, Any]
    files: tuple[str, ...]
    gpu: str = PROCESSOR
    memory: int = 0
    """MiB that must be free on the card."""
    stage: str = ""
    until: Mapping[str, int] | None = None
    """When it is ended: after an iteration (`iterations`), or after so many checkpoints that were no better
    (`plateau`)."""
    needs: str = ""
    """The run before it that must have ended well."""
    parent: Mapping[str, str] | None = None
    """The run (`id`) whose `best` or `last` model (`choose`) it starts from."""
    sweep: str = ""
    """The sweep that it belongs to."""

    def as_request(self) -> dict[str, Any]:
        """The run as an option of the module stack_run."""
        return {
            "id": self.id,
            "program": self.program,
            "requested": dict(self.arguments),
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
    given: Sequence[str],
    gpu: str = PROCESSOR,
    memory: int | None = None,
) -> RunSpec:
    """The run that the arguments `-option value` describe, with the options that a run on the CPU needs.

    `gpu` is `none`, `auto`, or a card by index or UUID. For a card the host sets -gpuid, and -backend if it is not
    given. `memory` in MiB replaces the estimate.

    Raises UsageError for an unknown option (with the nearest ones), for one without a value or given twice, and for
    combinations that are known to end without a result.
    """
    if not rules.is_id(run_id):
        raise UsageError(
            f"--id {run_id[:140]!r}: use at most {rules.LONGEST_ID} letters, digits and . _ - only, and not "
            f"{' or '.join(rules.RESERVED)} at the end; it names a directory on the host"
        )
    if not _CARD.fullmatch(gpu):
        raise UsageError(
            f"--gpu {gpu[:140]!r} is not a GPU",
            advice="Give `auto` for a free one, an index such as 0, a UUID such as GPU-..., or `none` for the CPU.",
        )
    known = catalogue.program_options(program)
    arguments: dict[str, str] = {"gpuid": "-1", "backend": "nn"} if gpu == PROCESSOR else {}
    seen: set[str] = set()
    left = [str(word) for word in given]  # the values of a recorded run are what its host returned
    while left:
        name = left.pop(0).lstrip("-")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known
            raise UsageError(f"{program} has no option -{name}; did you mean -{', -'.join(near)}?")
        if not left:
            raise UsageError(f"-{name} has no value")
        if name in seen:
            raise UsageError(f"-{name} is given twice")
        seen.add(name)
        arguments[name] = left.pop(0)
        _refuse_invalid(name, arguments[name], known[name])
    if "id" in seen:
        raise UsageError("-id is set to the run's own id", advice="Choose it with --id.")
    _refuse_contradictions(program, run_id, arguments, gpu)
    # checkpoint_path is the only one that does not have to exist yet.
    paths = [name for name, option in known.items() if option.type in ("file", "folder") and arguments.get(name)]
    files = tuple(name for name in paths if name != "checkpoint_path")
    needed = memory_needed(program, arguments) if memory is None else memory
    return RunSpec(run_id, program, arguments, files, gpu, 0 if gpu == PROCESSOR else needed)


def words(options: Mapping[str, str]) -> list[str]:
    """The options as words of the program's command line."""
    return [word for name, value in options.items() for word in (f"-{name}", value)]


def _refuse_invalid(name: str, value: str, option: Option) -> None:
    """UsageError if the value is not of the option's type, or outside its bounds."""
    match option.type:
        case "file" | "folder":
            needed = field_words.not_a_path(value)
        case "whole" | "number":
            needed = _not_a_number(value, option)
        case "flag":
            needed = "" if value in ("0", "1") else "the value must be 0 or 1"
        case "choice":
            needed = "" if value in option.choices else f"the value must be {' or '.join(option.choices)}"
        case "text":
            needed = ""
    if needed:
        shown = value if len(value) <= 100 else f"{value[:100]}..."
        raise UsageError(f"-{name} {shown}: {needed}", advice=f"Meaning of the option: {option.what}.")


def _not_a_number(value: str, option: Option) -> str:
    """Why a text is not a valid number for an option; empty if it is one."""
    if option.type == "whole" and not _WHOLE.fullmatch(value):
        return "a whole number is needed"
    if not _NUMBER.fullmatch(value):
        return "a number is needed"
    if option.type == "whole" and (len(value) > 20 or abs(int(value)) > _WHOLE_MOST):
        return f"the largest whole number in Lua is {_WHOLE_MOST} (2^53)"
    number = float(value)
    if not math.isfinite(number):
        return "the number is too large: the largest that Lua can store is 1.8e308"
    if number == 0 and re.search("[1-9]", re.split("[eE]", value)[0]):
        return "the number is so small that Lua would store 0; give 0 if that is meant"
    return option.problem(number)


def memory_needed(program: str, arguments: Mapping[str, str]) -> int:
    """An estimate of the MiB that a run with these options needs on a card."""
    finetunes = program == "train.lua" and whole(program, arguments, "finetune_cnn_after") >= 0
    rest, image = MEMORY["finetune" if finetunes else program]
    return rest + image * whole(program, arguments, "batch_size")


def whole(program: str, arguments: Mapping[str, str], name: str) -> int:
    """The value of an option that is a whole number: as given, else the program's default. UsageError if it is none."""
    given = arguments.get(name, catalogue.default(program, name))
    number = numbers.whole(given)
    if number is None:
        raise UsageError(f"-{name} {str(given)[:100]}: a whole number is needed")
    return number


def _refuse_contradictions(program: str, run_id: str, arguments: Mapping[str, str], gpu: str) -> None:
    needed = {"train.lua": ("input_h5", "input_json"), "eval.lua": ("model",)}[program]
    missing = [f"-{name}" for name in needed if not arguments.get(name)]
    if missing:
        these = "which are paths" if len(missing) > 1 else "which is a path"
        raise UsageError(f"{program} needs {' and '.join(missing)}, {these} on the host")
    if gpu == PROCESSOR and (arguments["gpuid"] != "-1" or arguments["backend"] != "nn"):
        raise UsageError(
            "a run on the CPU has -gpuid -1 and -backend nn",
            advice="Leave both out, or choose a GPU with --gpu.",
        )
    if gpu != PROCESSOR and "gpuid" in arguments:
        raise UsageError(
            "-gpuid is set to 0, because the run sees only one GPU",
            advice="Choose the GPU with --gpu: auto, an index or a UUID.",
        )
    compares = program == "eval.lua" and arguments.get("language_eval") == "1"
    if compares and arguments.get("image_folder") and not arguments.get("coco_json"):
        raise UsageError(
            "-language_eval 1 with -image_folder: there are no captions to compare with, because eval.lua numbers "
            "the images of a folder itself",
            advice="Give the annotations of these images with -coco_json, or leave out -language_eval.",
        )
    if program == "train.lua":
        iterations = whole(program, arguments, "max_iters")
        every = whole(program, arguments, "save_checkpoint_every")
        if 0 < iterations <= every:
            raise UsageError(
                f"-max_iters {iterations} is not greater than -save_checkpoint_every {every}: run {run_id} "
                "would end before it writes a model",
                advice=f"Set -save_checkpoint_every to a smaller number, for example {max(1, iterations // 2)}.",
            )
