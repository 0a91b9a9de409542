"""Keys, signatures and sites for tests of the signed lock, made by the real ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from neuraltalk_provision.mirror import lock, signing
from neuraltalk_provision.mirror.lock import Entry, Lock
from neuraltalk_provision.mirror.signing import Key, Made
from neuraltalk_provision.settings import Settings

ENTRY = Entry(name="nn", file="nn.tgz", sha256="a" * 64, size=3, role="torch")
OTHER = Entry(name="torch", file="torch.tgz", sha256="b" * 64, size=3, role="torch")


def new_key(folder: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A private key in `folder`; its public key is beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", f"{name} on a laptop", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return file


def public(key: Path) -> str:
    """The public key: `TYPE BASE64`."""
    return " ".join(Path(f"{key}.pub").read_text(encoding="utf-8").split()[:2])


def allow(settings: Settings, *lines: str) -> None:
    """Write the file allowed_signers."""
    settings.allowed_signers.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    settings.allowed_signers.chmod(0o644)


def site(tmp_path: Path, **given: Any) -> Settings:
    """A site with a mirror whose lock lists one artifact, at a path with a space and a quote."""
    place = tmp_path / "the 'site'"
    (place / "mirror").mkdir(parents=True)
    lock.write(place / "mirror", Lock(artifacts=(ENTRY,)))
    return Settings(mirror=place / "mirror", allowed_signers=place / "allowed_signers", **given)


def change(settings: Settings) -> None:
    """Change the lock, as `mirror add` does."""
    lock.write(settings.mirror, lock.read(settings.mirror).with_entry(OTHER))


def sign(settings: Settings, key: Path) -> Made:
    """Sign the lock with a private key."""
    return signing.sign(settings.mirror, Key(file=key))


def program(folder: Path, name: str, script: str) -> Path:
    """Write a shell script that is found before the real program if `folder` is the first of PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder
