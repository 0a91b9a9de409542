"""Signatures of OpenSSH: the only module that runs ssh-keygen and ssh-add."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import TEMPORARY, MirrorError, UsageError, limit_reached, naming
from neuraltalk_provision.mirror.signers import NAMESPACE, Signer

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_REFUSED = 255
"""The exit code of ssh-keygen for a signature that is not good. It ends with 1 for options that it does not know."""
_PATIENCE = 60
"""Seconds after which a check has failed. Signing has no limit, because it can wait for a person."""
_INSTALL = "Install OpenSSH 8.1 or later on this machine (the package openssh-client or openssh-clients)."


@dataclass(frozen=True)
class Armored:
    """A signature as it is in a file, with the public key and the purpose that it contains."""

    text: bytes
    key: bytes
    namespace: str


def parse(text: bytes) -> Armored:
    """The parts of a signature that say who made it and what for. Raises ValueError if it is damaged."""
    lines = [line.strip() for line in text.decode("ascii").strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("it does not begin and end as an SSH signature does")
    try:
        content = base64.b64decode("".join(lines[1:-1]), validate=True)
        if content[:6] != _MAGIC or struct.unpack_from(">I", content, 6) != (1,):
            raise ValueError("it is not an SSH signature of version 1")
        key, rest = _string(content[10:])
        namespace, rest = _string(rest)
        return Armored(text, key, namespace.decode("utf-8"))
    except (binascii.Error, struct.error):
        raise ValueError("its content is damaged") from None


def _string(content: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", content)
    if length > len(content) - 4:
        raise ValueError("it is incomplete")
    return content[4 : 4 + length], content[4 + length :]


def fingerprint(key: bytes) -> str:
    """The fingerprint of a public key, as ssh-keygen writes it: `SHA256:...`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def fits(signature: Armored, content: bytes) -> bool:
    """Whether a signature, whoever made it, is one over `content` and for our purpose."""
    with _private_files(signature=signature.text) as folder:
        return _says_good(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", f"{folder}/signature"], content)


def verifies(signature: Armored, content: bytes, signer: Signer) -> bool:
    """Whether ssh-keygen accepts the signature over `content` as one of that signer."""
    with _private_files(signature=signature.text, allowed_signers=signer.for_ssh_keygen().encode()) as folder:
        files = ["-f", f"{folder}/allowed_signers", "-s", f"{folder}/signature"]
        return _says_good(["-Y", "verify", "-I", signer.names[0], "-n", NAMESPACE, *files], content)


def sign(content: bytes, key: Path) -> Armored:
    """A signature over `content`.

    `key` is a file with a private key, or with a public key whose private key is in the agent. ssh-keygen itself asks
    for a passphrase, if there is a terminal. Raises UsageError with the words of ssh-keygen if it could not sign.
    """
    # A file, not stdin: without a terminal ssh-keygen would read a passphrase from there.
    with _private_files(content=content) as folder:
        done = _run("ssh-keygen", ["-Y", "sign", "-n", NAMESPACE, "-f", str(key), f"{folder}/content"], b"", None)
        if done.returncode == 0:
            try:
                return parse(Path(folder, "content.sig").read_bytes())
            except (OSError, ValueError) as error:
                raise MirrorError(
                    f"ssh-keygen ended well, but its signature cannot be used: {error}", advice="Nothing was changed."
                ) from None
    if done.returncode != _REFUSED:
        raise _unusable(done)
    raise UsageError(
        f"{key}: ssh-keygen could not sign with this key: {_words(done)}",
        advice="Give a private key with --key, or the .pub file of a key that is in your agent (`ssh-add -l`). "
        "Nothing was changed.",
    )


def agent_keys() -> tuple[str, ...]:
    """The public keys in the agent, each as a line `TYPE BASE64 COMMENT`; none if there is no agent."""
    done = _run("ssh-add", ["-L"], b"", _PATIENCE)
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return tuple(line for line in lines if "-cert-" not in line.split(" ")[0])


def _private_files(**contents: bytes) -> tempfile.TemporaryDirectory[str]:
    """A directory that only we can read, with these files; what was read and checked once is what ssh-keygen reads."""
    with naming(TEMPORARY, "written", MirrorError):
        folder = tempfile.TemporaryDirectory(prefix="neuraltalk-signature-")
        for name, content in contents.items():
            Path(folder.name, name).write_bytes(content)
    return folder


def _says_good(arguments: list[str], content: bytes) -> bool:
    done = _run("ssh-keygen", arguments, content, _PATIENCE)
    if done.returncode not in (0, _REFUSED):
        raise _unusable(done)
    return done.returncode == 0


def _run(
    program: str, arguments: list[str], content: bytes, patience: int | None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run([program, *arguments], input=content, capture_output=True, check=False, timeout=patience)
    except FileNotFoundError:
        raise MirrorError(f"there is no {program} on this machine", advice=_INSTALL) from None
    except subprocess.TimeoutExpired:
        raise MirrorError(f"{program} did not end within {patience} s", advice="Run the same command again.") from None
    except OSError as error:
        advice = limit_reached(error) or _INSTALL
        raise MirrorError(f"{program} cannot be started: {error.strerror or error}", advice=advice) from None


def _unusable(done: subprocess.CompletedProcess[bytes]) -> MirrorError:
    if done.returncode < 0:
        return MirrorError(f"ssh-keygen was ended by signal {-done.returncode}", advice="Run the same command again.")
    return MirrorError(
        f"the ssh-keygen of this machine cannot sign and verify files: {_words(done, 1)}",
        advice=f"It is older than OpenSSH 8.1 (`ssh -V` shows the version). {_INSTALL}",
    )


def _words(done: subprocess.CompletedProcess[bytes], most: int = 5) -> str:
    """The first lines of what ssh-keygen says, without the lines that say nothing about the cause."""
    text = done.stderr.decode("utf-8", "replace").replace("Enter passphrase: ", "")
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(("@", "Signing file "))]
    return " ".join(told[:most])[:400] or f"it ended with {done.returncode}"
