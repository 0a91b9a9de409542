"""`provision mirror prove`, and the records of proofs in the output of other commands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, CheckError, MirrorError, UsageError
from neuraltalk_provision.mirror import proofs
from neuraltalk_provision.mirror.proofs import Found, Proof
from neuraltalk_provision.output import Output
from neuraltalk_provision.proof import prove as proving
from neuraltalk_provision.proof.prove import Request, Result
from neuraltalk_provision.rules.texts import some

MANY = 12
"""More names than this are counted and not listed; --json and the record have them all."""


def prove(
    platform: Annotated[
        str, typer.Option("--for", help="The platform of the hosts, such as debian-12-x86_64; docs/mirror.md.")
    ],
    image: Annotated[
        str,
        typer.Option("--image", help="Use a container of this image, for example debian:12; as bare as your hosts."),
    ] = "",
    host: Annotated[
        str,
        typer.Option("--host", help="Use this bare host of the inventory. What is installed there stays."),
    ] = "",
    engine: Annotated[
        str,
        typer.Option("--engine", help="The client of the container engine: docker or podman. Default: what is there."),
    ] = "",
    without: Annotated[
        str,
        typer.Option("--without", help="Leave out this artifact, OS package or wheel, to see whether it is missed."),
    ] = "",
    not_needed: Annotated[
        list[str] | None,
        typer.Option("--not-needed", help="An optional artifact that your hosts do not need. Can be repeated."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only find out whether everything could be installed; install nothing, prove nothing."
        ),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the container at the end.")] = False,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Install from the mirror alone where there is no network, and record every attempt to reach something.

    The proof passes only if everything was installed and checked, and nothing was attempted. Its record is written
    beside the lock, and bundles carry it.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror, stack_root=stack_root)
    if bool(image) == bool(host):
        raise UsageError(
            "give either --image or --host", advice="For example --image debian:12, or --host NAME of the inventory."
        )
    if host and (engine or keep):
        raise UsageError("--engine and --keep are for containers, and do not go with --host")
    request = Request(platform, image, host, engine, without, tuple(not_needed or ()), quick, keep)
    if plan:
        complete, left = proving.names_only(chosen, request)
        for problem in complete.problems:
            output.say(problem)
        where = f"on {host}" if host else f"in a container of {image}"
        output.say(f"would install from {chosen.mirror}{f' without {left}' if left else ''} {where}")
        output.result({"problems": list(complete.problems), "without": left and asdict(left), "platform": platform})
        return EXIT_FAILED if complete.problems else EXIT_FINE
    result = proving.prove(chosen, request, output)
    proof = result.proof
    _show(result, request, output)
    document = {
        **proof.model_dump(mode="json"),
        "quick": quick,
        "without": result.left and asdict(result.left),
        "remarks": list(result.remarks),
        "record": None,
    }
    file = _recorded(chosen.mirror, proof, document) if request.is_recorded else None
    if proof.problems:
        raise CheckError(
            "\n".join([f"the mirror is not proved for {platform}:", *proof.problems]),
            advice=_advice(result, chosen.mirror, file),
            document=document,
        )
    if quick:
        output.say(f"everything that {platform} needs could be installed; to prove it, run this without --quick")
    else:
        output.say(f"passed: {platform} was installed from {chosen.mirror} alone, and nothing else was attempted")
    if file:
        output.say(f"record: {file}. `provision mirror bundle` carries it")
    output.result(document)
    return EXIT_FINE


def _recorded(mirror: Path, proof: Proof, document: dict[str, Any]) -> Path:
    """Write the record, and its path into the document. If that fails, the error tells the result of the proof too."""
    try:
        file = proofs.write(mirror, proof)
    except MirrorError as error:
        told = "\n".join([f"the mirror is not proved for {proof.platform}:", *proof.problems])
        raise MirrorError(
            f"{told if proof.problems else f'{proof.platform} passed'}\nThe record of this is missing: {error.message}",
            advice="Bundles carry no proof without its record. Make space or mend the disk, then run the same command "
            "again.",
            document=document,
        ) from None
    document["record"] = str(file)
    return file


def _advice(result: Result, mirror: Path, file: Path | None) -> str:
    if result.left:
        return "This was a test without a part of the mirror; nothing in the mirror was changed."
    record = f" The record of this proof is {file}." if file else ""
    return f"Bring what is missing into {mirror} (docs/mirror.md), then run the same command again.{record}"


def _show(result: Result, request: Request, output: Output) -> None:
    """What was installed, what was not used, and what was attempted."""
    proof = result.proof
    if result.left:
        output.say(f"left out for this test: {result.left}")
    for remark in result.remarks:
        output.say(remark)
    for name in proof.not_needed:
        output.say(f"not needed, as you said: {name}")
    if not request.quick and proof.host:
        _installed(proof, output)
    if proof.planted:
        output.say(f"attempts that were planted, before and after, and that the recorder saw: {len(proof.planted)}")
        output.say(f"attempted: {'; '.join(map(str, proof.attempted)) or 'nothing'}")


def _installed(proof: Proof, output: Output) -> None:
    installed, surplus = proof.installed, proof.surplus
    output.say(f"installed components: {', '.join(installed.components) or 'none'}")
    output.say(f"installed OS packages: {len(installed.packages)}; wheels: {len(installed.wheels)}")
    for what, names in (
        ("components that were left out", proof.left_out),
        ("optional OS packages that the mirror does not have", proof.absent),
        ("in the mirror, but not used: artifacts", surplus.artifacts),
        ("in the mirror, but not installed: OS packages", surplus.packages),
        ("in the mirror, but not installed: wheels", surplus.wheels),
        ("not proved, because a container has no card", surplus.gpu),
        ("for other platforms", surplus.other),
    ):
        if names:
            output.say(f"{what}: {some(names, MANY)}")


def show(found: tuple[Found, ...], output: Output) -> None:
    """Print what the records beside a lock are worth."""
    for one in found:
        output.say(str(one))
    if not found:
        output.say("proofs: none; `provision mirror prove` makes one for each platform")


def as_json(found: tuple[Found, ...]) -> list[dict[str, Any]]:
    """The records beside a lock, without what was installed."""
    return [{"platform": one.platform, "valid": one.valid, "words": one.words} for one in found]
