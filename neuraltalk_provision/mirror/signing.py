"""Signs the lock: chooses the key, has ssh-keygen sign, and writes the signature beside the lock."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from neuraltalk_provision import whole_file
from neuraltalk_provision.errors import TEMPORARY, MirrorError, UsageError, naming
from neuraltalk_provision.mirror import lock, signature_files, signers, ssh_keygen, trust


@dataclass(frozen=True)
class Key:
    """The key to sign with: a file of the user, or a public key (`TYPE BASE64 COMMENT`) that the agent holds."""

    file: Path | None = None
    public: str = ""

    def __str__(self) -> str:
        return str(self.file) if self.file else f"the key {self.public.split(' ', 2)[-1]} in the agent"


@dataclass(frozen=True)
class Made:
    """A signature that was made: its file, the key's fingerprint, and the SHA-256 of the lock that it signs."""

    file: Path
    key: str
    sha256: str
    line: str
    """A line for allowed_signers, without the name."""


def choose(given: Path | None, demand: trust.Demand) -> Key:
    """The key file that was given, or the only key of the agent, or its only key that is in allowed_signers and valid.

    Raises UsageError if the file does not exist, or if it is not clear which key is meant.
    """
    if given:
        with naming(given, "read"):
            if not given.is_file():
                raise UsageError(f"{given}: there is no such key file", advice="Nothing was changed.")
        return Key(file=given)
    held = ssh_keygen.agent_keys()
    chosen = held if len(held) == 1 else tuple(line for line in held if line.split(" ")[1] in _usable(demand))
    if len(chosen) == 1:
        return Key(public=chosen[0])
    what = f"{len(held)} keys are in the agent" if held else "there is no agent, or no key is in it"
    raise UsageError(
        f"it is not clear with which key to sign: {what}" + "".join(f"\n{line}" for line in held),
        advice="Name it with --key FILE: a private key, or the .pub file of a key in the agent. "
        "`ssh-keygen -t ed25519` makes a new key.",
    )


def _usable(demand: trust.Demand) -> set[str]:
    now = datetime.now(tz=UTC)
    try:
        allowed = trust.read_allowed(demand)
    except MirrorError:
        return set()
    return {signer.encoded for signer in allowed if signers.judge(signer, now).state == "valid"}


def sign(mirror: Path, key: Key) -> Made:
    """Sign the lock, and write the signature to the mirror. An earlier signature of the same key is replaced.

    Raises MirrorError for a lock that does not parse, or that changed meanwhile: then the signature is not written.
    """
    content = lock.load(mirror)
    lock.parse(content, mirror)
    signature = signature_of(content, key)
    if lock.load(mirror) != content:
        raise MirrorError(
            f"{mirror / lock.FILE_NAME} was changed while it was signed", advice="Nothing was signed. Sign it again."
        )
    file = write_to(mirror / lock.SIGNATURES, signature)
    return Made(
        file, ssh_keygen.fingerprint(signature.key), sha256(content).hexdigest(), signers.public_line(signature.key)
    )


def signature_of(content: bytes, key: Key) -> ssh_keygen.Armored:
    """A new signature over the content, which ssh-keygen accepts."""
    signature = _sign(content, key)
    if not ssh_keygen.fits(signature, content):
        raise MirrorError("ssh-keygen made a signature that it does not accept", advice="Nothing was changed.")
    return signature


def write_to(place: Path, signature: ssh_keygen.Armored) -> Path:
    """Write a signature to a directory; the file."""
    file = place / name_of(signature)
    with naming(place, "written", MirrorError):
        whole_file.make_directory(place)
        whole_file.write(file, signature.text)
    return file


def name_of(signature: ssh_keygen.Armored) -> str:
    """The name of the file of a signature, which belongs to its key."""
    return f"{sha256(signature.key).hexdigest()[:16]}{signature_files.SUFFIX}"


def _sign(content: bytes, key: Key) -> ssh_keygen.Armored:
    if key.file:
        return ssh_keygen.sign(content, key.file)
    with naming(TEMPORARY, "written"), tempfile.TemporaryDirectory() as folder:
        public = Path(folder, "key.pub")
        public.write_text(key.public + "\n", encoding="utf-8")
        return ssh_keygen.sign(content, public)
