"""`provision data inspect`: find pictures, captions and labels that a training cannot load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import data, options
from neuraltalk_provision.dataset.request import Inspect
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE
from neuraltalk_provision.output import Output


def inspect(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A directory of pictures, a captions file, or the .h5 or .json file of a data set."
        ),
    ],
    images_root: data.ImagesRoot = "",
    input_json: Annotated[
        str,
        typer.Option(
            "--input_json", "--input-json", help="The JSON file of an HDF5 file. Default: the same name with .json."
        ),
    ] = "",
    quarantine: Annotated[
        str, typer.Option("--quarantine", help="Move bad pictures to this directory, with a list for --undo.")
    ] = "",
    undo: Annotated[
        str, typer.Option("--undo", help="The list of a quarantine: move its pictures back, and check nothing.")
    ] = "",
    findings: Annotated[
        Path | None,
        typer.Option(
            "--findings",
            help="Without --host: the file for all findings, JSON Lines; it must not exist yet. "
            "Default: a new one, whose path is printed.",
        ),
    ] = None,
    jobs: data.Jobs = 0,
    host: data.Host = "",
    run_id: data.Id = "",
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Report every picture, caption and label that will not load, and why.

    The exit code is 1 if there is one, or if --undo could not move a file back. PATH can also be a finished data set.
    """
    absolute = data.absolute_for(host)
    request = Inspect(
        path=absolute(path),
        images_root=absolute(images_root),
        input_json=absolute(input_json),
        quarantine=absolute(quarantine),
        undo=absolute(undo),
        jobs=jobs,
    )
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    result = data.run_program("inspect", request, host, run_id, chosen, output, plan=plan, findings=findings)
    if result is None:
        return EXIT_FINE
    output.result(result)
    return EXIT_FAILED if result.get("faults") or result.get("left") else EXIT_FINE
