"""The records of `provision mirror prove`, one for each platform beside the lock: what was proved, of which lock.

A record is evidence for people. It is not signed, and nothing is installed because of it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from neuraltalk_provision import field_words, whole_file
from neuraltalk_provision.catalogue.model import Sha256
from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import bounded, lock

SUFFIX = ".json"
LARGEST = 1 << 18
"""The maximum size of a record, in bytes; one of a closure with 1,000 packages has about 80 thousand."""
MOST = 30
"""The most records beside a lock: one for each platform."""

_Text = Annotated[str, StringConstraints(max_length=4_000)]
_Names = Annotated[tuple[_Text, ...], Field(max_length=5_000)]
_Versions = Annotated[dict[_Text, _Text], Field(max_length=5_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Attempt(_Part):
    """Something that was tried: a connection (`tcp`, `udp`, `icmp`), or the look-up of a name (`name`)."""

    kind: _Text
    to: _Text
    port: int = 0
    at: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        """Without the time."""
        return self.kind, self.to, self.port

    def __str__(self) -> str:
        if self.kind == "name":
            return f"a look-up of the name {self.to}"
        return f"{self.kind} to {self.to}" + (f" port {self.port}" if self.port else "")


class Installed(_Part):
    """What is on the host afterwards and was not there before: components, OS packages and wheels with versions."""

    components: _Names = ()
    packages: _Versions = {}
    wheels: _Versions = {}


class Surplus(_Part):
    """What the mirror has and this host did not use; `gpu` is for hosts with a card, `other` for other platforms."""

    artifacts: _Names = ()
    packages: _Names = ()
    wheels: _Names = ()
    gpu: _Names = ()
    other: _Names = ()


class Proof(_Part):
    """The result of one proof. `problems` are why it did not pass; `made` is the time of its end in UTC (ISO 8601).

    `not_needed` are artifacts that the user does not need, `left_out` the components that were not built without them,
    `absent` optional OS packages that the mirror does not have.
    """

    format: Literal["proof of a neuraltalk-provision mirror"] = "proof of a neuraltalk-provision mirror"
    schema_version: Literal[1] = 1
    platform: lock.PlainName
    lock: Sha256
    made: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    passed: bool
    problems: _Names = ()
    host: _Text = ""
    system: _Text = ""
    provision: _Text = ""
    seconds: float = 0.0
    watched: _Text = ""
    not_needed: _Names = ()
    left_out: _Names = ()
    absent: _Names = ()
    installed: Installed = Installed()
    surplus: Surplus = Surplus()
    attempted: Annotated[tuple[Attempt, ...], Field(max_length=1_000)] = ()
    planted: Annotated[tuple[Attempt, ...], Field(max_length=100)] = ()


@dataclass(frozen=True)
class Found:
    """A record beside a lock: its platform, whether it proves this lock, what it is worth in words, and the record."""

    platform: str
    valid: bool
    words: str
    proof: Proof | None = None

    def __str__(self) -> str:
        return f"proof of {self.platform}: {self.words}"


def read(mirror: Path, digest: str) -> tuple[Found, ...]:
    """All records beside the lock with this SHA-256, by platform; none if there is no lock (an empty SHA-256)."""
    if not digest:
        return ()
    try:
        names = sorted(entry.name for entry in (mirror / lock.PROOFS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        return (Found("?", False, f"{mirror / lock.PROOFS} cannot be read: {error.strerror or error}"),)
    wanted = [name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    found = [_judge(mirror / lock.PROOFS / name, digest) for name in wanted[:MOST]]
    if len(wanted) > MOST:
        found.append(Found("?", False, f"{mirror / lock.PROOFS} contains more than {MOST} records"))
    return tuple(found)


def _judge(file: Path, digest: str) -> Found:
    platform = file.name.removesuffix(SUFFIX)
    try:
        proof = Proof.model_validate_json(bounded.read(file, LARGEST).content)
    except OSError as error:
        return Found(platform, False, f"its record cannot be read: {error.strerror or error}")
    except ValidationError as error:
        return Found(platform, False, f"its record does not parse: {field_words.first_problem(error)}")
    if proof.platform != platform:
        return Found(platform, False, f"its record is for {proof.platform}: the file was renamed")
    when = f"{proof.made[:10]} {proof.made[11:16]} UTC"
    if proof.lock != digest:
        return Found(platform, False, f"void: made on {when} for another lock; prove this mirror again", proof)
    if not proof.passed:
        return Found(platform, False, f"failed on {when}: {'; '.join(proof.problems) or 'no reason'}"[:1_000], proof)
    return Found(platform, True, f"passed on {when}, {proof.host}", proof)


def refuse_unwritable(mirror: Path) -> None:
    """MirrorError if no record could be written, as on a medium or a full disk: a proof takes long."""
    folder = mirror / lock.PROOFS
    place = folder if os.path.lexists(folder) else mirror
    with naming(place, "written", MirrorError), tempfile.TemporaryFile(dir=place):
        pass


def write(mirror: Path, proof: Proof) -> Path:
    """Write the record of a proof beside the lock; an earlier one of the same platform is replaced."""
    folder = mirror / lock.PROOFS
    file = folder / f"{proof.platform}{SUFFIX}"
    with naming(folder, "written", MirrorError):
        whole_file.make_directory(folder)
        whole_file.write(file, (proof.model_dump_json(indent=1) + "\n").encode())
    return file
