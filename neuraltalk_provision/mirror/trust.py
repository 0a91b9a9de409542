"""Whether the lock is signed as provision.yml demands. Commands that use the mirror for hosts read the lock here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Literal, Protocol

from neuraltalk_provision import access_lists
from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import bounded, lock, signature_files, signers, ssh_keygen
from neuraltalk_provision.mirror.signature_files import SignatureFiles
from neuraltalk_provision.mirror.signers import Signer

Level = Literal["unsigned", "signed", "named"]
State = Literal["valid", "not yet valid", "expired", "other purpose", "unknown key", "other content", "damaged"]
LARGEST_SIGNERS = 1 << 20


class Demand(Protocol):
    """The settings that say where the mirror is and by whom its lock must be signed."""

    @property
    def mirror(self) -> Path: ...
    @property
    def mirror_trust(self) -> Level: ...
    @property
    def mirror_signers(self) -> tuple[str, ...]: ...
    @property
    def allowed_signers(self) -> Path: ...


@dataclass(frozen=True)
class Signature:
    """One signature: its file, the key's fingerprint, the names of the signer, and what it is worth, in words."""

    file: str
    state: State
    words: str
    key: str = ""
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = f"by {', '.join(self.names)}" if self.names else "by an unknown key" if self.key else "damaged"
        key = f", {self.key}" if self.key else ""
        return f"{self.file}: {who}{key}: {self.words}"


@dataclass(frozen=True)
class Trust:
    """The SHA-256 of a lock, its signatures, and what is missing for the level that is demanded.

    `problem` is why signatures could not be judged. `refusal` is empty if the lock is signed as demanded.
    """

    sha256: str
    level: Level
    signatures: tuple[Signature, ...] = ()
    problem: str = ""
    refusal: str = ""
    advice: str = ""


def open_lock(demand: Demand) -> lock.Lock:
    """The lock of the mirror for use on hosts. Raises MirrorError if it is not signed as provision.yml demands.

    A new mirror has an empty lock.
    """
    return open_with_digest(demand)[0]


def open_with_digest(demand: Demand) -> tuple[lock.Lock, str]:
    """The same lock, and its SHA-256, which is empty for a new mirror.

    It is read once: the bytes whose signature was checked are the bytes that are parsed and hashed, and not before.
    """
    if lock.is_new(demand.mirror):
        return lock.Lock(), ""
    content = lock.load(demand.mirror)
    if demand.mirror_trust == "unsigned":
        _refuse_open(demand.mirror)
    else:
        _refuse(judge(demand, content, signature_files.read(demand.mirror / lock.SIGNATURES)))
    return lock.parse(content, demand.mirror), sha256(content).hexdigest()


def _refuse_open(mirror: Path) -> None:
    """MirrorError if every user of this machine can change the lock, and no signature would show that."""
    with naming(mirror, "read", MirrorError):
        reason = access_lists.open_to_all(mirror / lock.FILE_NAME)
    if reason:
        raise MirrorError(
            f"{mirror} is not used, because {reason}, and its lock needs no signature (mirror_trust: unsigned)",
            advice=access_lists.CLOSE,
        )


def check(demand: Demand, content: bytes, signatures: Mapping[str, bytes]) -> None:
    """MirrorError if a lock outside the mirror, with what belongs to it by path, is not signed as demanded."""
    if demand.mirror_trust != "unsigned":
        files: list[tuple[str, bytes | OSError]] = [
            (PurePath(name).name, text) for name, text in signatures.items() if not name.startswith(f"{lock.PROOFS}/")
        ]
        _refuse(judge(demand, content, (sorted(files, key=lambda file: file[0]), "", "")))


def _refuse(found: Trust) -> None:
    if found.refusal:
        raise MirrorError("\n".join([found.refusal, *map(str, found.signatures)]), advice=found.advice)


def examine(demand: Demand, now: datetime | None = None) -> tuple[lock.Lock, Trust]:
    """The lock, read once, and what its signatures are worth, whether it is refused or not. Only to show it."""
    if lock.is_new(demand.mirror):
        return lock.Lock(), Trust("", demand.mirror_trust)
    content = lock.load(demand.mirror)
    known, files = lock.parse(content, demand.mirror), signature_files.read(demand.mirror / lock.SIGNATURES)
    return known, judge(demand, content, files, now)


def judge(demand: Demand, content: bytes, beside: SignatureFiles, now: datetime | None = None) -> Trust:
    """What signatures over any content are worth. The words of a refusal are about a lock."""
    now = now or datetime.now(tz=UTC)
    files, problem, advice = beside
    allowed: tuple[Signer, ...] | None = None
    found: tuple[Signature, ...] = ()
    try:
        if files or demand.mirror_trust != "unsigned":
            allowed = read_allowed(demand)
    except MirrorError as error:
        problem, advice = error.message, error.advice
    try:
        found = tuple(_judge(file, text, content, allowed, now) for file, text in files)
    except MirrorError as error:
        problem, advice = error.message, error.advice
    refusal, todo = _refusal(demand, found, allowed, problem, advice)
    return Trust(sha256(content).hexdigest(), demand.mirror_trust, found, problem, refusal, todo)


def read_allowed(demand: Demand) -> tuple[Signer, ...]:
    """The signers in allowed_signers. Raises MirrorError if it came with the mirror or others can change it."""
    file = demand.allowed_signers
    try:
        read = bounded.read(file, LARGEST_SIGNERS)
        directory = file.resolve().parent.stat()
        inside = file.resolve().is_relative_to(demand.mirror.resolve())
    except FileNotFoundError:
        raise MirrorError(
            f"{file}: there is no such file, so the key of no signer is known",
            advice="Write one line for each signer: NAME, a space, and the content of the signer's .pub file. Ask the "
            "signer for the key; do not take it from the mirror. docs/mirror-details.md shows an example.",
        ) from None
    except OSError as error:
        raise MirrorError(f"{file} cannot be read: {error.strerror or error}") from None
    if inside:
        raise MirrorError(
            f"{file} cannot be trusted, because it is in the mirror: who exchanges the mirror exchanges it as well",
            advice="Get the keys from the signers themselves, write them to another place, and set allowed_signers in "
            "provision.yml.",
        )
    for place, status in ((file, read.status), (file.resolve().parent, directory)):
        if reason := _changeable(status):
            raise MirrorError(
                f"{file} cannot be trusted, because {place} {reason}",
                advice="Check the lines of the file. Then make sure that it belongs to you or to root, and run "
                f"`chmod go-w {place}`.",
            )
        others, cure = access_lists.nfs4_writers(place, status)
        if others:
            raise MirrorError(
                f"{file} cannot be trusted, because {place} can be written by {others}",
                advice=f"Check the lines of the file. Then look at the list of {place}: {cure}.",
            )
    try:
        return signers.parse(read.content)
    except ValueError as error:
        raise MirrorError(f"{file} does not parse: {error}", advice="Correct this line.") from None


def _changeable(status: os.stat_result) -> str:
    """How users other than root and us could change a file or a directory; empty if they cannot."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to uid {status.st_uid}, who is neither root nor the user who runs this command"
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & 0o022 and not sticky:
        return f"can be written by other users (mode {status.st_mode & 0o7777:04o})"
    return ""


def _judge(
    file: str, text: bytes | OSError, content: bytes, allowed: tuple[Signer, ...] | None, now: datetime
) -> Signature:
    """What one signature is worth. ssh-keygen decides whether it is good; whether the key counts today, we do."""
    if isinstance(text, OSError):
        return Signature(file, "damaged", f"the file cannot be read: {text.strerror or text}")
    try:
        signature = ssh_keygen.parse(text)
    except ValueError as error:
        return Signature(file, "damaged", f"{error}: copy the file again from its origin")
    key = ssh_keygen.fingerprint(signature.key)
    lines = [signer for signer in allowed or () if signer.key == signature.key]
    names = _names(lines)
    if signature.namespace != signers.NAMESPACE:
        words = f"it was made for {signature.namespace[:100]!r}, not for {signers.NAMESPACE!r}"
        return Signature(file, "other purpose", words, key, names)
    if not ssh_keygen.fits(signature, content):
        words = f"it is not a signature over this {lock.FILE_NAME}, which was changed or replaced after it was signed"
        return Signature(file, "other content", words, key, names)
    if not lines:
        words = "this key is not in allowed_signers" if allowed is not None else "it is not known whose key this is"
        return Signature(file, "unknown key", words, key)
    judged = [(signer, signers.judge(signer, now)) for signer in lines]
    good = [
        (signer, judgement)
        for signer, judgement in judged
        if judgement.state == "valid" and ssh_keygen.verifies(signature, content, signer)
    ]
    if good:
        return Signature(file, "valid", good[0][1].words, key, _names(signer for signer, _ in good))
    refused = [judgement for _, judgement in judged if judgement.state != "valid"]
    if not refused:
        return Signature(file, "damaged", "ssh-keygen does not accept it", key, names)
    return Signature(file, refused[-1].state, refused[-1].words, key, names)


def _names(lines: Iterable[Signer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for signer in lines for name in signer.names))


def _refusal(
    demand: Demand, found: tuple[Signature, ...], allowed: tuple[Signer, ...] | None, problem: str, advice: str
) -> tuple[str, str]:
    """(why the lock is refused at this level, what to do next); empty if it is not refused. Pure."""
    valid = [signature for signature in found if signature.state == "valid"]
    wanted = set(demand.mirror_signers)
    match demand.mirror_trust:
        case "unsigned":
            return "", ""
        case "signed":
            accepted, whom = valid, f"anybody in {demand.allowed_signers}"
        case "named":
            accepted = [signature for signature in valid if wanted & set(signature.names)]
            whom = " or ".join(demand.mirror_signers)
    if accepted:
        return "", ""
    file = demand.mirror / lock.FILE_NAME
    told = [
        f"{file} is not signed as provision.yml demands (mirror_trust: {demand.mirror_trust}): it needs a valid "
        f"signature by {whom}"
    ]
    absent = sorted(wanted - {name for signer in allowed or () for name in signer.names})
    if problem:
        told.append(problem)
    elif demand.mirror_trust == "named" and absent:
        told.append(f"{demand.allowed_signers} has no line for {', '.join(absent)}")
    if not found and not problem:
        told.append(f"{demand.mirror / lock.SIGNATURES} contains no signature")
    return "\n".join(told), advice or _advice({signature.state for signature in found})


_SIGN = "`provision mirror sign`, by somebody whose key is accepted here"


def _advice(states: set[State]) -> str:
    """What to do if the lock has signatures of these states, but none that is accepted. Pure."""
    if not states:
        return f"Sign the lock where the mirror is made: {_SIGN}. Then copy the directory {lock.SIGNATURES} as well."
    if "other content" in states:
        return (
            f"If you changed the mirror (`mirror add`), have it signed again: {_SIGN}. If nobody changed it, copy "
            f"{lock.FILE_NAME} and {lock.SIGNATURES} again from the origin of the mirror."
        )
    if states & {"expired", "not yet valid"}:
        return (
            f"Check the clock of this machine. If it is right, have the lock signed with a key that is valid: {_SIGN}."
        )
    if "valid" in states:
        return f"Have the lock signed: {_SIGN}; or change mirror_signers in provision.yml."
    return f"Have the lock signed: {_SIGN}. If you know whose key it is, add a line to allowed_signers."
