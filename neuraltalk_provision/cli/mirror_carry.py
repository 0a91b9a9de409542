"""`provision mirror bundle`, `unbundle` and `state`: carry a mirror to another one, in parts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision import whole_file
from neuraltalk_provision.cli import options, prove
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, UsageError, naming
from neuraltalk_provision.mirror import bundle as bundles
from neuraltalk_provision.mirror import bundle_plan, cache_carry, cache_files, lock, parts, proofs
from neuraltalk_provision.mirror import state as states
from neuraltalk_provision.mirror import unbundle as unbundling
from neuraltalk_provision.output import Output


def bundle(
    to: Annotated[Path, typer.Option("--to", help="The directory for the parts; it is created if it does not exist.")],
    size: Annotated[
        str, typer.Option(help="The maximum size of a part, such as 200M, 4.7G or 25G (powers of 1,000).")
    ] = "25G",
    against: Annotated[
        Path | None,
        typer.Option(help="What `provision mirror state` wrote on the other side; what it has is left out."),
    ] = None,
    cached: Annotated[
        list[str] | None,
        typer.Option("--cached", help="Carry only this packed generation, by its id; can be repeated. Default: all."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Carry no packed generations.")] = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Pack the mirror into parts that are carried to another mirror, with a list of what they contain."""
    output = Output(as_json=as_json)
    if cached and no_cache:
        raise UsageError("--cached and --no-cache exclude each other", advice="Give one of them.")
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    other = states.read(against) if against else None
    generations = cache_carry.Chosen() if no_cache else cache_carry.choose(chosen, cached or ())
    for remark in generations.remarks:
        output.remark("cache", remark)
    prepared = bundle_plan.prepare(target, parts.bytes_of(size), other, generations.files)
    left_out = prepared.description.left_out
    document = {
        "bundle": prepared.name,
        "parts": [
            {
                "name": name,
                "bytes": layout.size,
                "pieces": [piece.model_dump() for piece in _pieces(layout)],
            }
            for name, layout in prepared.layouts.items()
        ],
        "left_out": sorted(left_out),
        "generations": sorted({cache_files.generation_of(one.file) for one in prepared.description.cache}),
        "not_carried": list(generations.remarks),
    }
    if other and not prepared.carried and not prepared.signatures and other.lock == prepared.description.lock.sha256:
        output.say("nothing to carry: the other side has this lock and every file that it names")
        output.result({**document, "parts": [], "written": False})
        return EXIT_FINE
    if plan:
        for name, layout in prepared.layouts.items():
            output.say(f"would write {name}: {layout.size:,} bytes")
            for piece in _pieces(layout):
                split = f", bytes {piece.offset:,} to {piece.offset + piece.size:,}"
                output.say(f"    {piece.file}{split if piece.file in prepared.description.split else ''}")
    for file in left_out:
        output.say(f"left out, because the other side has it: {file}")
    if plan:
        output.result({**document, "written": False})
        return EXIT_FINE
    written = bundles.write(prepared, to, output.progress, catalogues.load())
    for name, digest in written.parts.items():
        output.say(f"{'kept ' if name in written.kept else 'wrote'} {name}: sha256 {digest}")
    for name in written.documents:
        output.say(f"wrote {name}")
    prove.show(proofs.read(target, prepared.description.lock.sha256), output)
    output.say(
        f'next: carry the parts from {to} to the other side; there, run "provision mirror unbundle DIR..." '
        "with the directories of the parts, in any order"
    )
    output.result(
        {**document, "written": True, "to": str(to), "sha256": written.parts, "documents": list(written.documents)}
    )
    return EXIT_FINE


def unbundle(
    places: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="The directories of the parts, or the parts themselves.")
    ],
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Forget what was taken from the parts of a bundle so far.")
    ] = False,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Take the parts of a bundle into the mirror, in any order; the mirror changes only when all parts were taken."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    if plan:
        planned = unbundling.plan(target, places, chosen)
        for name in planned.taken:
            output.say(f"would take {name}")
        for name in planned.missing:
            output.say(f"missing: {name}")
        for file in planned.installed:
            output.say(f"would put into {target}: {file}")
        for name in planned.generations:
            output.say(f"would put into the cache: the packed generation {name}")
        output.result({"mirror": str(target), "complete": False, **asdict(planned)})
        return EXIT_FINE
    done = unbundling.unbundle(target, places, output.progress, chosen, start_over=start_over)
    for name in done.taken:
        output.say(f"took {name}")
    for name in done.missing:
        output.say(f"missing: {name}")
    for name in done.generations:
        output.say(f"put into the cache: the packed generation {name}")
    for reason in done.refused:
        output.say(reason)
    for name in done.left:
        output.say(f"left in the mirror, although its new lock does not name it: {name}")
    if done.missing:
        output.say(
            f"{target} was not changed yet. next: insert the medium with a missing part, and run this command again "
            "with its directory"
        )
    else:
        output.say(
            f"{target} has the lock of {done.bundle} and every file that it names; {len(done.installed)} are new"
        )
    output.result({"mirror": str(target), "complete": not done.missing, **asdict(done)})
    return EXIT_FAILED if done.missing or done.refused else EXIT_FINE


def state(
    out: Annotated[Path | None, typer.Option(help="Write the state to this file. Default: print it.")] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Write which files this mirror has, all of them hashed, for `mirror bundle --against` on the other side."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    target = chosen.mirror
    if out and out.is_dir():
        raise UsageError(f"{out} is a directory", advice=f"Give a file, for example --out {out / 'mirror-state.json'}.")
    total = sum(entry.size for entry in lock.read(target).artifacts)
    with output.progress(f"hashing {target}", total) as advance:
        made = states.make(target, advance, cache_carry.choose(chosen, hashed=True).files)
    for finding in made.findings:
        output.remark(finding.problem, f"{finding.file}: {finding.detail}. It is not in the state.")
    content = parts.dump(made.state)
    if out:
        with naming(out, "written"):
            whole_file.write_named(out, content)
        output.say(f"wrote {out}: {len(made.state.files)} files")
    else:
        output.pass_on(content.decode())
    output.result(made.state.model_dump(mode="json"))
    return EXIT_FAILED if made.findings else EXIT_FINE


def _pieces(layout: parts.Layout) -> list[parts.Piece]:
    return [member.piece for member in layout.pieces]
