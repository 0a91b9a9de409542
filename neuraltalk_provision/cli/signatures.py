"""`provision mirror sign`, and the signatures of the lock in the output of other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, MirrorError
from neuraltalk_provision.mirror import signing, trust
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings


def sign(
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="The key to sign with: a private key, or the .pub file of a key in the SSH agent. Default: the only "
            "key in the agent, or its only key that is in allowed_signers.",
        ),
    ] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Sign the lock with an SSH key, so that other machines can check who made this mirror.

    Sign only a mirror that you have checked with `provision mirror verify`: the signature covers all files in the lock.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, mirror=mirror)
    listed, signed = trust.examine(chosen)
    what = f"the lock of {len(listed.artifacts)} artifacts in {chosen.mirror}, sha256 {signed.sha256}"
    picked = signing.choose(key, chosen)
    if plan:
        output.say(f"would sign {what}, with {picked}")
        output.result({"mirror": str(chosen.mirror), "sha256": signed.sha256, "key": str(picked), "signed": False})
        return EXIT_FINE
    output.remark("signing", f"{what}, with {picked}. If this key is in a hardware token, touch the token")
    made = signing.sign(chosen.mirror, picked)
    output.say(f"signed with the key {made.key}: {made.file}")
    _, signed = trust.examine(chosen)
    show(signed, output)
    if any(signature.key == made.key and not signature.names for signature in signed.signatures):
        output.say(
            "a machine accepts this signature if its allowed_signers has this line, with the name of the signer for "
            f"NAME:\nNAME {made.line}"
        )
    output.result(
        {
            "mirror": str(chosen.mirror),
            "sha256": made.sha256,
            "key": made.key,
            "file": str(made.file),
            "line": made.line,
            "signed": True,
        }
    )
    return EXIT_FINE


def show(signed: trust.Trust, output: Output) -> None:
    """Print the signatures of a lock, and whether the lock is signed as provision.yml demands."""
    for signature in signed.signatures:
        output.say(f"signature {signature}")
    if not signed.signatures:
        output.say("signatures: none")
    if signed.problem and not signed.refusal:
        output.say(f"signatures: {signed.problem}")
    if signed.refusal:
        output.say(f"refused: {signed.refusal}")
        output.say(f"next: {signed.advice}")
    elif signed.level != "unsigned":
        output.say(f"the lock is signed as provision.yml demands (mirror_trust: {signed.level})")


def show_stale(chosen: Settings, output: Output) -> None:
    """Say so if there are signatures that no longer fit the lock, because it was just changed."""
    try:
        _, signed = trust.examine(chosen)
    except MirrorError:
        return
    stale = [signature for signature in signed.signatures if signature.state == "other content"]
    if stale or (chosen.mirror_trust != "unsigned" and signed.refusal):
        gone = ", ".join(", ".join(signature.names) or signature.key for signature in stale)
        who = f"the signatures by {gone} are for the lock as it was before" if stale else "nobody has signed the lock"
        output.say(
            f"{who}: when the mirror is complete, sign it with `provision mirror sign`, and copy the signature "
            "together with the lock"
        )
