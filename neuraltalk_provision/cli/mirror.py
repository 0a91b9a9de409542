"""`provision mirror`: import artifacts, remove them, check them, list them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.catalogue import Catalogue, needed
from neuraltalk_provision.cli import mirror_carry, mirror_pull, options, prove, signatures
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, MirrorError, UsageError, naming
from neuraltalk_provision.mirror import cache, identify, incoming, lock, proofs, removal, store, trust
from neuraltalk_provision.output import Output

app = typer.Typer(help="Manage the artifact mirror, from which hosts get all files.", no_args_is_help=True)
app.command("pull")(mirror_pull.pull_)
app.command()(mirror_carry.bundle)
app.command()(mirror_carry.unbundle)
app.command()(mirror_carry.state)


@app.command()
def add(
    files: Annotated[
        list[Path] | None, typer.Argument(help="The files to import, such as torch.tgz.", readable=False)
    ] = None,
    given: Annotated[
        str, typer.Option("--as", help="The name of the artifact, if the file name does not show it.")
    ] = "",
    version: Annotated[str, typer.Option(help="The version to record in the lock.")] = "",
    origin: Annotated[str, typer.Option(help="The origin to record in the lock. Default: the path of the file.")] = "",
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Add every file in the mirror that its lock does not list; makes a lost lock again."
        ),
    ] = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Import artifacts into the mirror: copy and hash them, check their contents, add them to the lock."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    catalogue = catalogues.load()
    if every:
        if files or given or version or origin:
            raise UsageError("--all adds the files that are in the mirror: give no FILE, --as, --version or --origin")
        return _add_all(target, catalogue, output, plan=plan)
    files = files or []
    if not files:
        raise UsageError("no file is given", advice="Give the files to add, or --all for those in the mirror already.")
    if given and len(files) > 1:
        raise UsageError("--as gives the name of one artifact, but several files are given")
    for file in files:
        incoming.refuse_no_file(file)
    named = [(file, store.identify(file, catalogue, given)[0]) for file in files]
    added = []
    for file, name in named:
        if plan:
            output.say(f"would add {file} as {name}")
            continue
        with naming(file, "read"):
            size = file.stat().st_size
        with output.progress(f"adding {file.name}", size) as advance:
            texts: list[str] = []
            entry = store.add(
                target,
                file,
                catalogue,
                given=given,
                version=version,
                origin=origin,
                advance=advance,
                told=texts.append,
            )
        added.append(_as_json(entry, texts[0]))
        output.say(_added(entry, texts[0]))
    if added:
        signatures.show_stale(chosen, output)
    output.result({"mirror": str(target), "added": added, "planned": [name for _file, name in named]})
    return EXIT_FINE


def _add_all(target: Path, catalogue: Catalogue, output: Output, *, plan: bool) -> int:
    """Add what is in the mirror; code 1 if there is a file that cannot be added."""
    left = store.unlisted(target)
    if plan:
        for file in left:
            output.say(f"would look into {file}, and add it")
        output.result({"mirror": str(target), "added": [], "planned": left, "refused": {}})
        return EXIT_FINE
    with naming(target, "read", MirrorError):
        total = sum((target / file).stat().st_size for file in left)
    with output.progress(f"reading {target}", total) as advance:
        done = store.add_all(target, catalogue, advance)
    for entry in done.added:
        output.say(_added(entry, done.taken_for[entry.name]))
    for file, why in done.refused.items():
        output.say(f"not added: {file}: {why}")
    output.say(f"{len(done.added)} added, {len(done.refused)} not added")
    output.result(
        {
            "mirror": str(target),
            "added": [_as_json(entry, done.taken_for[entry.name]) for entry in done.added],
            "planned": [],
            "refused": dict(done.refused),
        }
    )
    return EXIT_FAILED if done.refused else EXIT_FINE


def _added(entry: lock.Entry, taken_for: str) -> str:
    return f"added {entry.file} as {entry.name}: {taken_for}; {entry.size:,} bytes, sha256 {entry.sha256}"


def _as_json(entry: lock.Entry, taken_for: str) -> dict[str, Any]:
    return {**entry.model_dump(), "taken_for": taken_for}


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="The names of artifacts, as `provision mirror list` shows them.")],
    plan: options.Plan = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Remove artifacts from the mirror: their entries in the lock, and their files. No host is changed."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    with output.progress(f"hashing {chosen.mirror}", removal.size(chosen.mirror, names)) as advance:
        removed = (removal.look if plan else removal.remove)(chosen.mirror, names, advance)
    verb = "would remove" if plan else "removed"
    for one in removed:
        if one.stays:
            why = f"it is not the file that the lock describes ({one.stays})"
            output.say(f"{verb} {one.name} from the lock; {chosen.mirror / one.file} stays, because {why}")
        else:
            output.say(f"{verb} {one.name}: {one.file}" + (f", {one.bytes:,} bytes" if one.there else " is not there"))
    if not plan:
        signatures.show_stale(chosen, output)
    output.result({"mirror": str(chosen.mirror), "removed": [asdict(one) for one in removed], "plan": plan})
    return EXIT_FINE


@app.command()
def verify(mirror: options.Mirror = None, settings: options.SettingsFile = None, as_json: options.Json = False) -> int:
    """Hash every file again, check every archive, the cache and all signatures, and report all problems."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    lock.refuse_no_directory(target)
    if lock.is_new(target):
        raise MirrorError(
            f"{target} is empty, so there is nothing to verify",
            advice="Is its disk mounted? `provision mirror pull`, `unbundle` and `add` fill a mirror.",
        )
    known, signed = trust.examine(chosen)
    total = sum(entry.size for entry in known.artifacts)
    with output.progress(f"hashing {target}", total) as advance:
        check = store.verify(target, catalogues.load(), advance, known)
    for finding in check.findings:
        output.say(f"{finding.problem:<10} {finding.file}: {finding.detail}")
    signatures.show(signed, output)
    proved = proofs.read(target, signed.sha256)
    prove.show(proved, output)
    generations = cache.every(chosen, hashed=True)
    unusable = [one for one in generations if one.entry is None]
    for one in unusable:
        output.say(f"the packed generation {one.id} cannot be used: {one.problem}")
    problems = len(check.findings) + bool(signed.refusal) + len(unusable)
    of_cache = f", {len(generations)} packed generations" if generations else ""
    output.say(f"{check.files} files, {check.bytes:,} bytes{of_cache}: {problems} problems")
    output.result(
        {
            "mirror": str(target),
            "files": check.files,
            "bytes": check.bytes,
            "findings": [finding.__dict__ for finding in check.findings],
            "trust": asdict(signed),
            "proofs": prove.as_json(proved),
            "generations": [{"id": one.id, "problem": one.problem} for one in generations],
        }
    )
    return EXIT_FAILED if problems else EXIT_FINE


@app.command("list")
def list_(
    platforms: Annotated[
        list[str] | None,
        typer.Option("--for", help="A platform of your hosts, such as debian-12-x86_64; can be repeated."),
    ] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """List the artifacts in the lock, who signed it, and the files that are missing."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    catalogue = catalogues.load()
    lock.refuse_no_directory(target)
    known, signed = trust.examine(chosen)
    listed, proved = known.artifacts, proofs.read(target, signed.sha256)
    names = {entry.name for entry in listed}
    keys = {identify.refuse_platform(key) for key in platforms or ()} | identify.platforms_in(names, catalogue)
    if listed:
        rows = [(e.name, e.file, f"{e.size:,}", e.version, e.role, e.sha256[:16]) for e in listed]
        output.table(f"{target}", ("name", "file", "bytes", "version", "role", "sha256"), rows)
        signatures.show(signed, output)
        prove.show(proved, output)
    else:
        output.say(f"{target} is empty")
    absent = needed.needed(catalogue, names, keys)
    for row in absent:
        kind = "optional" if row.optional else "required"
        output.say(f"missing ({kind}): {row.file}" + (f": {row.what}" if row.what else ""))
    if any(needed.ANY in row.name for row in absent):
        output.say(
            "PLATFORM: `provision site --plan` prints it for every host; `provision mirror list --for PLATFORM` uses it"
        )
    if absent:
        output.say(needed.HOW)
    output.result(
        {
            "mirror": str(target),
            "artifacts": [entry.model_dump() for entry in listed],
            "absent": [asdict(row) for row in absent],
            "trust": asdict(signed),
            "proofs": prove.as_json(proved),
        }
    )
    return EXIT_FINE
