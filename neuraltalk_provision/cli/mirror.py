"""`provision mirror`: import artifacts, check them, list them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import mirror_carry, options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, MirrorError, UsageError, naming
from neuraltalk_provision.mirror import lock, store
from neuraltalk_provision.output import Output

app = typer.Typer(help="Manage the artifact mirror, from which hosts get all files.", no_args_is_help=True)
app.command()(mirror_carry.bundle)
app.command()(mirror_carry.unbundle)
app.command()(mirror_carry.state)


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="The files to import, such as torch.tgz.")],
    given: Annotated[
        str, typer.Option("--as", help="The name of the artifact, if the file name does not show it.")
    ] = "",
    version: Annotated[str, typer.Option(help="The version to record in the lock.")] = "",
    origin: Annotated[str, typer.Option(help="The origin to record in the lock. Default: the path of the file.")] = "",
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Import artifacts into the mirror: copy and hash them, check their contents, add them to the lock."""
    output = Output(as_json=as_json)
    target = settings_file.load(settings, mirror=mirror).mirror
    if given and len(files) > 1:
        raise UsageError("--as gives the name of one artifact, but several files are given")
    catalogue = catalogues.load()
    for file in files:
        with naming(file, "read"):
            there = file.is_file()
        if not there:
            raise UsageError(f"{file}: there is no such file", advice="No file was added.")
    named = [(file, store.identify(file, catalogue, given)[0]) for file in files]
    added = []
    for file, name in named:
        if plan:
            output.say(f"would add {file} as {name}")
            continue
        with naming(file, "read"):
            size = file.stat().st_size
        with naming(target, "written", MirrorError), output.progress(f"adding {file.name}", size) as advance:
            entry = store.add(target, file, catalogue, given=given, version=version, origin=origin, advance=advance)
        added.append(entry.model_dump())
        output.say(f"added {entry.name}: {entry.size:,} bytes, sha256 {entry.sha256}")
    output.result({"mirror": str(target), "added": added, "planned": [name for _file, name in named]})
    return EXIT_FINE


@app.command()
def verify(mirror: options.Mirror = None, settings: options.SettingsFile = None, as_json: options.Json = False) -> int:
    """Hash every file again, check every archive, and report all problems."""
    output = Output(as_json=as_json)
    target = settings_file.load(settings, mirror=mirror).mirror
    total = sum(entry.size for entry in lock.read(target).artifacts)
    with output.progress(f"hashing {target}", total) as advance:
        check = store.verify(target, catalogues.load(), advance)
    for finding in check.findings:
        output.say(f"{finding.problem:<10} {finding.file}: {finding.detail}")
    output.say(f"{check.files} files, {check.bytes:,} bytes: {len(check.findings)} problems")
    output.result(
        {
            "mirror": str(target),
            "files": check.files,
            "bytes": check.bytes,
            "findings": [finding.__dict__ for finding in check.findings],
        }
    )
    return EXIT_FAILED if check.findings else EXIT_FINE


@app.command("list")
def list_(mirror: options.Mirror = None, settings: options.SettingsFile = None, as_json: options.Json = False) -> int:
    """List the artifacts in the lock, and the known artifacts that are missing."""
    output = Output(as_json=as_json)
    target = settings_file.load(settings, mirror=mirror).mirror
    listed = lock.read(target).artifacts
    rows = [(e.name, e.file, f"{e.size:,}", e.version, e.role, e.sha256[:16]) for e in listed]
    output.table(f"{target}", ("name", "file", "bytes", "version", "role", "sha256"), rows)
    names = {entry.name for entry in listed}
    absent = [a for a in catalogues.load().artifacts if not a.per_platform and a.name not in names]
    for artifact in absent:
        kind = "optional" if artifact.optional else "required"
        output.say(f"missing ({kind}): {artifact.name}, for example {artifact.matches[0]}")
    output.result(
        {
            "mirror": str(target),
            "artifacts": [entry.model_dump() for entry in listed],
            "absent": [{"name": a.name, "optional": a.optional} for a in absent],
        }
    )
    return EXIT_FINE
