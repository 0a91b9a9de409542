"""`provision cache ...`: the packed generations in the mirror, which hosts unpack in place of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE
from neuraltalk_provision.mirror import cache, signing
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.output import Output
from neuraltalk_provision.site import cache_check

app = typer.Typer(
    help="Packed generations: built on one host, unpacked on the others of the same kind.", no_args_is_help=True
)
Ids = Annotated[list[str], typer.Argument(help="The ids of generations, as `provision cache list` shows them.")]


@app.command("list")
def list_(
    hashed: Annotated[
        bool, typer.Option("--hash", help="Also hash the files, to find those that were changed.")
    ] = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Show the packed generations: for what they were built, where, and whether they can be used."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    found = cache.every(chosen, hashed=hashed)
    for one in found:
        if one.entry is None:
            output.say(f"{one.id}: cannot be used: {one.problem}")
            continue
        entry = one.entry
        gpu = f", {entry.gpu}" if entry.gpu else ""
        output.say(f"{one.id}: {entry.platform}{gpu}, {entry.size / 1e6:.0f} MB, {entry.origin}")
        output.say(f"  needs {_needs(entry)}")
    if not found:
        output.say("the mirror has no packed generations; `provision site` makes them")
    output.result({"generations": [_as_json(one) for one in found]})
    return EXIT_FINE if all(one.entry for one in found) else EXIT_FAILED


@app.command()
def verify(
    generation: Annotated[
        str, typer.Argument(metavar="[ID]", help="The id of a generation. Default: the one that the hosts need.")
    ] = "",
    on: Annotated[
        str, typer.Option("--on", help="The host that builds. Default: another host of the same kind than the builder.")
    ] = "",
    plan: options.Plan = False,
    take_over: options.TakeOver = False,
    mirror: options.Mirror = None,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Build a generation of the cache again on a second host, and compare: two builders, same inputs, same bytes?

    Every file that differs is named, with the component that installed it. The current generation of the host, and the
    cache, stay as they are. The OS packages that the build needs are installed on the host.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror, stack_root=stack_root)
    again = cache_check.prepare(chosen, generation, on, take_over=take_over)
    output.say(again.words)
    if plan:
        output.result({"generation": again.entry.id, "host": again.second.host, "builds": not again.second.own})
        return EXIT_FINE
    compared = cache_check.compare(again, chosen, output)
    for line in compared.lines():
        output.say(line)
    output.result(compared.as_json())
    return EXIT_FINE if compared.same else EXIT_FAILED


@app.command()
def remove(
    ids: Ids,
    plan: options.Plan = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Remove packed generations from the mirror. No host is changed."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    removed = {name: cache.size(chosen.mirror, name) for name in ids}  # of all, before one is removed
    for name, size in removed.items():
        if not plan:
            cache.remove(chosen.mirror, name)
        output.say(f"{'would remove' if plan else 'removed'} {name}: {size / 1e6:.0f} MB")
    output.result({"removed": removed, "plan": plan})
    return EXIT_FINE


@app.command()
def sign(
    ids: Ids,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="A private key, or the .pub file of a key in the agent. Default: the agent's key."),
    ] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Sign packed generations with an SSH key, as the lock is signed. Needed where mirror_trust demands signatures."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    signed = {}
    for name in ids:
        signed[name] = str(cache.sign(chosen.mirror, name, signing.choose(key, chosen)))
        output.say(f"{name}: signed, {signed[name]}")
    output.result({"signed": signed})
    return EXIT_FINE


def _as_json(found: cache.Found) -> dict[str, Any]:
    entry = found.entry.model_dump(mode="json") if found.entry else None
    return {"id": found.id, "usable": found.entry is not None, "problem": found.problem, "entry": entry}


def _needs(entry: CacheEntry) -> str:
    needs, packages = entry.needs, set(entry.packages.values())
    processor = f"{needs.machine or 'any machine type'}, x86-64-v{needs.level}, glibc {needs.glibc or 'of any version'}"
    return f"{processor}, {len(needs.libraries)} libraries, {len(packages)} OS packages"
