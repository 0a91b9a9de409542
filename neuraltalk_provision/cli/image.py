"""`provision image`: the stack as an image for Docker and Podman."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE
from neuraltalk_provision.image import make
from neuraltalk_provision.image.make import Made, Plan, Request
from neuraltalk_provision.output import Output


def image(
    platform: Annotated[
        str, typer.Option("--for", help="The platform of the generation, such as debian-12-x86_64; only with apt.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Write the image to this file. A file that is there is replaced.")],
    generation: Annotated[
        str,
        typer.Option("--generation", help="The id of a packed generation. Default: the only one of the platform."),
    ] = "",
    packages: Annotated[
        list[str] | None,
        typer.Option("--package", help="Also install this OS package, if the mirror has it. Can be repeated."),
    ] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Write a packed generation with its OS packages as an image for `docker load` and `podman load`.

    It is made from the mirror alone: no host, no network and no container engine is needed. The same inputs give the
    same bytes. Run it as root, or where users have user namespaces.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    make.refuse_file(to, chosen.mirror)
    with output.working("choosing the OS packages"):
        planned = make.plan(chosen, Request(platform, generation, tuple(packages or ())))
    _show_plan(planned, output)
    if plan:
        output.result({"plan": _plan_as_json(planned, to)})
        return EXIT_FINE
    with output.working("making the image"):
        made = make.make(chosen, planned, to)
    output.say(
        f"{to}: image {planned.name}, {made.image.archive.size / 1e6:.0f} MB, sha256 {made.image.archive.sha256}"
    )
    quoted = shlex.quote(str(to))
    output.say(f"load it with `docker load --input {quoted}` or `podman load --input {quoted}` (docs/image.md)")
    output.result({"plan": _plan_as_json(planned, to), "image": _made_as_json(made)})
    return EXIT_FINE


def _show_plan(planned: Plan, output: Output) -> None:
    entry, closure = planned.entry, planned.closure
    output.say(f"generation {entry.id}: {entry.platform}, {entry.gpu or 'without a GPU'}, {entry.origin}")
    output.say(f"  {len(closure.files)} OS packages, {closure.installed / 1e6:.0f} MB installed")
    for file in planned.beside:
        output.say(f"  {file.file}, {file.size / 1e6:.0f} MB")
    output.say(f"  about {planned.size / 1e6:.0f} MB in all")
    if not any(label.endswith(".versions") for label in planned.labels):
        output.remark(
            "labels",
            "the image will not name the versions of its components: the mirror.lock was changed after it was built",
        )


def _plan_as_json(planned: Plan, to: Path) -> dict[str, Any]:
    return {
        "file": str(to),
        "name": planned.name,
        "generation": planned.entry.id,
        "packages": sorted(planned.closure.files),
        "beside": [file.file for file in planned.beside],
        "size": planned.size,
        "labels": planned.labels,
    }


def _made_as_json(made: Made) -> dict[str, Any]:
    return {
        "id": f"sha256:{made.image.id}",
        "digest": f"sha256:{made.image.digest}",
        "sha256": made.image.archive.sha256,
        "size": made.image.archive.size,
        "layers": [{"digest": f"sha256:{layer.sha256}", "size": layer.size} for layer in made.layers],
    }
