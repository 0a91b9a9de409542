"""The mirror's lock: every file with its digest, size, version, origin and the role that uses it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from neuraltalk_provision import yaml_file
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import bounded

FILE_NAME = "mirror.lock"
SIGNATURES = f"{FILE_NAME}.sig.d"
"""The directory beside the lock with its signatures, one file for each key."""

PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
PlainName = Annotated[str, StringConstraints(pattern=f"^{PLAIN_NAME}$")]


class Entry(BaseModel):
    """One file of the mirror; `size` in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: PlainName
    file: PlainName
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: int = Field(ge=0)
    version: str = ""
    origin: str = ""
    role: str


class Lock(BaseModel):
    """The whole lock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    artifacts: tuple[Entry, ...] = ()

    def by_name(self) -> dict[str, Entry]:
        """The entries by artifact name."""
        return {entry.name: entry for entry in self.artifacts}

    def with_entry(self, entry: Entry) -> Lock:
        """This lock with `entry` instead of the entry of the same name; sorted by name."""
        others = [other for other in self.artifacts if other.name != entry.name]
        return self.model_copy(update={"artifacts": tuple(sorted([*others, entry], key=lambda entry: entry.name))})


def reserved(name: str) -> bool:
    """Whether an artifact's file cannot have this name, because the lock and its signatures use it."""
    return name == FILE_NAME or name.startswith(f"{FILE_NAME}.")


def read(mirror: Path) -> Lock:
    """The lock of a mirror, whoever signed it. Raises MirrorError if it does not exist or cannot be parsed.

    Commands that use the mirror for hosts call `trust.open_lock` instead.
    """
    return parse(load(mirror), mirror)


def load(mirror: Path) -> bytes:
    """The bytes of the lock. Raises MirrorError if there is no lock, or if it cannot be read."""
    file = mirror / FILE_NAME
    with naming(mirror, "read", MirrorError):
        there = mirror.is_dir()
    if not there:
        raise MirrorError(
            f"{mirror}: there is no such mirror directory",
            advice="Give it with --mirror or in provision.yml. `provision mirror add FILE` creates one.",
        )
    try:
        return bounded.read(file, yaml_file.LARGEST).content
    except FileNotFoundError:
        raise MirrorError(f"{mirror} has no {FILE_NAME}", advice="`provision mirror add FILE...` creates it.") from None
    except OSError as error:
        raise MirrorError(f"{file} cannot be read: {error.strerror or error}") from None


def parse(content: bytes, mirror: Path) -> Lock:
    """The lock that these bytes are; `mirror` is where they came from. Raises MirrorError if they cannot be parsed."""
    file = mirror / FILE_NAME
    try:
        lock = Lock.model_validate(yaml_file.parse(content.decode("utf-8"), str(file)))
    except UnicodeDecodeError as error:
        raise MirrorError(f"{file} cannot be read: {error}", advice=_RESTORE) from None
    except UsageError as error:
        raise MirrorError(error.message, advice=_RESTORE) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise MirrorError(f"{file} does not parse: {place}: {first['msg']}", advice=_RESTORE) from None
    counts = Counter(entry.name for entry in lock.artifacts), Counter(entry.file for entry in lock.artifacts)
    doubles = {name for count in counts for name, times in count.items() if times > 1}
    if doubles:
        raise MirrorError(f"{file} contains duplicates: {', '.join(sorted(doubles))}", advice=_RESTORE)
    return lock


_RESTORE = "Restore the lock from the origin of the mirror. Nothing is installed with a damaged lock."


def write(mirror: Path, lock: Lock) -> None:
    """Write the lock atomically: to a temporary file, which is then renamed."""
    with staged(mirror, lock) as beside:
        beside.replace(mirror / FILE_NAME)


@contextmanager
def staged(mirror: Path, lock: Lock) -> Iterator[Path]:
    """The lock, written and synced to a temporary file in the mirror; the caller renames it."""
    handle, name = tempfile.mkstemp(dir=mirror, prefix=f".{FILE_NAME}-")
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(lock.model_dump(mode="json"), file, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        yield beside
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def changing(mirror: Path) -> Iterator[Lock]:
    """The lock, while no other process can change it; an empty lock for a new mirror."""
    mirror.mkdir(parents=True, exist_ok=True)
    with (mirror / f".{FILE_NAME}-guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield read(mirror) if (mirror / FILE_NAME).exists() else Lock()
