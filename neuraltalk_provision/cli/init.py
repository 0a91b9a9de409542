"""`provision init`: the files of a new site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import access_lists, paths, whole_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, UsageError, naming
from neuraltalk_provision.output import Output


def init(
    directory: Annotated[Path, typer.Argument(help="The directory to write to; it is created if it does not exist.")],
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Write the files of a new site: example settings, an inventory, a training, and an empty mirror."""
    output = Output(as_json=as_json)
    sources = sorted(path for path in paths.example_inventory().iterdir() if path.is_file())
    contents = {directory / path.name: path.read_bytes() for path in sources}
    with naming(directory, "read"):
        existing = [file for file in contents if file.exists()]
        # Unchanged ones are of a command that was killed.
        is_new = len(existing) < len(contents) and all(file.read_bytes() == contents[file] for file in existing)
    if not is_new:
        raise UsageError(
            f"{', '.join(map(str, existing))}: already exists",
            advice="Choose an empty directory, or edit the existing files.",
        )
    files = [file for file in contents if file not in existing]
    if not plan:
        with naming(directory, "written"):
            directory.mkdir(access_lists.MODE, parents=True, exist_ok=True)
            (directory / "mirror").mkdir(access_lists.MODE, exist_ok=True)
        for file in files:
            with naming(file, "written"):
                whole_file.write(file, contents[file])
    for file in files:
        output.say(f"{'would write' if plan else 'wrote'} {file}")
    output.say(
        f"next: enter your hosts in {directory / 'hosts.yml'}. Fill the mirror there with `provision mirror pull --for "
        "PLATFORM`, for example debian-12-x86_64, where there is internet access, or `provision mirror add FILE...`"
    )
    output.result({"files": [str(file) for file in files], "written": not plan})
    return EXIT_FINE
