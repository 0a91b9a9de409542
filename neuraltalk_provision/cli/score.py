"""`provision runs score`: score a run's captions on its host, again or for the first time."""

from __future__ import annotations

from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.cli.runs import Host, Id
from neuraltalk_provision.errors import EXIT_FINE, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.runs import hosts

Annotations = Annotated[
    str,
    typer.Option(
        "--annotations",
        help="A file on the host with the reference captions, in the format of COCO's captions_val2014.json. Default: "
        "the file beside the run's -input_json, otherwise the stack's.",
    ),
]


def score(
    run_id: Id,
    host: Host = "",
    annotations: Annotations = "",
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Compute BLEU, METEOR, ROUGE_L and CIDEr of a run's captions.

    For a training these are the captions of its last validation. The scores are saved in scores.json in the run's
    directory. The exit code is 1 if there are no scores.
    """
    output = Output(as_json=as_json)
    if annotations and not annotations.startswith("/"):
        raise UsageError(f"--annotations {annotations}: must be an absolute path on the host")
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run = hosts.find(run_id, chosen, host)
    if run.active:
        raise UsageError(
            f"{run.id} on {run.host} is {run.health}: only a run that has ended can be scored",
            advice=f"Wait until it has ended, or stop it with `provision runs stop {run.id}`.",
        )
    if plan:
        output.say(f"{run.id} on {run.host} would be scored")
        output.result({"id": run.id, "host": run.host})
        return EXIT_FINE
    found = hosts.score(run.id, run.host, chosen, annotations)
    for remark in found.remarks:
        output.say(remark)
    used = found.of if found.used is None else found.used
    output.say(f"{run.id} on {run.host}: {used} of {found.of} captions were compared with {found.annotations}")
    output.say(", ".join(f"{name} {value:.3f}" for name, value in found.scores.items()))
    output.say(f"saved in {found.file}")
    output.result({**plain(found), "id": run.id, "host": run.host})
    return EXIT_FINE
