"""The mirror's lock: every file with its digest, size, version, origin and the role that uses it."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from neuraltalk_provision import yaml_file
from neuraltalk_provision.catalogue.model import Sha256
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.field_words import Strict
from neuraltalk_provision.mirror import bounded, guard, remains
from neuraltalk_provision.rules.texts import some

FILE_NAME = "mirror.lock"
SIGNATURES = f"{FILE_NAME}.sig.d"
"""The directory beside the lock with its signatures, one file for each key."""
PROOFS = f"{FILE_NAME}.proof.d"
"""The directory beside the lock with the records of its proofs, one file for each platform."""
LARGEST = 1 << 19
"""The maximum size of a lock, in bytes; one with every artifact for ten platforms has about 30 thousand."""

PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}"
PlainName = Annotated[str, StringConstraints(pattern=f"^{PLAIN_NAME}$")]


def is_reserved(name: str) -> bool:
    """Whether a file name belongs to the lock (`mirror.lock`, its signatures, its proofs), on any file system."""
    return name.casefold().startswith(FILE_NAME)


def _not_reserved(name: str) -> str:
    if is_reserved(name):
        raise ValueError(f"{name} is the name of the lock or of its signature, not of an artifact's file")
    return name


def _readable(text: str) -> str:
    """The text with NUL, and bytes of a path or argument that are not UTF-8, in ASCII: YAML cannot contain them."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


Words = Annotated[str, AfterValidator(_readable)]


class Entry(Strict):
    """One file of the mirror; `size` in bytes."""

    name: PlainName
    file: Annotated[PlainName, AfterValidator(_not_reserved)]
    sha256: Sha256
    size: int = Field(ge=0)
    version: Words = ""
    origin: Words = ""
    role: str


class Lock(Strict):
    """The whole lock."""

    schema_version: Literal[1] = 1
    artifacts: tuple[Entry, ...] = ()

    def by_name(self) -> dict[str, Entry]:
        """The entries by artifact name."""
        return {entry.name: entry for entry in self.artifacts}

    def digests(self) -> dict[str, str]:
        """{file: its SHA-256}."""
        return {entry.file: entry.sha256 for entry in self.artifacts}

    def without(self, entries: Collection[Entry]) -> Lock:
        """This lock without these entries."""
        return self.model_copy(update={"artifacts": tuple(one for one in self.artifacts if one not in entries)})

    def with_entry(self, entry: Entry) -> Lock:
        """This lock with `entry` instead of the entry of the same name; sorted by name."""
        others = [other for other in self.artifacts if other.name != entry.name]
        return self.model_copy(update={"artifacts": tuple(sorted([*others, entry], key=lambda entry: entry.name))})


def read(mirror: Path) -> Lock:
    """The lock of a mirror, whoever signed it. Raises MirrorError if it does not exist or cannot be parsed.

    Commands that use the mirror for hosts call `trust.open_lock` instead.
    """
    return parse(load(mirror), mirror)


def load(mirror: Path) -> bytes:
    """The bytes of the lock. Raises MirrorError if there is no lock, or if it cannot be read.

    Nothing is read from a pipe or a device, and no more than `LARGEST` bytes.
    """
    file = mirror / FILE_NAME
    refuse_no_directory(mirror)
    if not _exists(file):
        raise MirrorError(f"{mirror} has no {FILE_NAME}", advice=_advice_without(mirror))
    try:
        return bounded.read(file, LARGEST).content
    except OSError as error:
        advice = _PERMISSION if isinstance(error, PermissionError) else _RESTORE
        raise MirrorError(f"{file} cannot be read: {error.strerror or error}", advice=advice) from None


def parse(data: bytes, mirror: Path) -> Lock:
    """The lock that these bytes are; `mirror` is where they came from. Raises MirrorError if they cannot be parsed."""
    file = mirror / FILE_NAME
    content: Any = None
    try:
        content = yaml_file.parse(data.decode("utf-8"), str(file))
        lock = Lock.model_validate(content)
    except UnicodeDecodeError as error:
        raise MirrorError(f"{file} cannot be read: it is not text in UTF-8 ({error.reason})", advice=_RESTORE) from None
    except UsageError as error:
        raise MirrorError(error.message, advice=_RESTORE) from None
    except ValidationError as error:
        first = error.errors()[0]
        place, why = _place(content, first["loc"]), first["msg"]
        if first["type"] == "string_pattern_mismatch":
            field = (
                "sha256 in 64 digits 0-9 a-f" if first["loc"][-1] == "sha256" else "plain file name (. _ + - a-z 0-9)"
            )
            why = f"{str(first['input'])[:200]!r} is not a {field}"
        raise MirrorError(f"{file} does not parse: {place}: {why}", advice=_RESTORE) from None
    counts = (
        Counter(entry.name.casefold() for entry in lock.artifacts),
        Counter(entry.file.casefold() for entry in lock.artifacts),
    )
    doubles = {name for count in counts for name, times in count.items() if times > 1}
    if doubles:
        raise MirrorError(f"{file} contains duplicates: {', '.join(sorted(doubles))}", advice=_RESTORE)
    return lock


def refuse_no_directory(mirror: Path) -> None:
    """MirrorError if the directory of the mirror does not exist."""
    with naming(mirror, "read", MirrorError):
        there = mirror.is_dir()
    if not there:
        raise MirrorError(
            f"{mirror}: there is no such mirror directory",
            advice="Give it with --mirror or in provision.yml. `provision mirror add FILE` creates one.",
        )


def is_new(mirror: Path) -> bool:
    """Whether the directory does not exist or contains no files yet.

    Raises MirrorError for a mirror that has files and no lock: the lock was lost, and a new one would not list them.
    """
    with naming(mirror, "read", MirrorError):
        if _exists(mirror / FILE_NAME):
            return False
        left = unlisted(mirror, Lock())
    if left:
        raise MirrorError(f"{mirror} has no {FILE_NAME}, but it has files: {some(left, 5)}", advice=_REBUILD)
    return True


def unlisted(mirror: Path, lock: Lock) -> list[str]:
    """The names of the files in a mirror that the lock does not list; hidden ones and the lock's own are left out."""
    listed = {entry.file for entry in lock.artifacts}
    there = mirror.iterdir() if mirror.is_dir() else ()
    plain = (path.name for path in there if not path.name.startswith(".") and path.is_file())
    return sorted(name for name in plain if name not in listed and not is_reserved(name))


def _exists(file: Path) -> bool:
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise MirrorError(f"{file} cannot be read: {error.strerror}", advice=_PERMISSION) from None
    return True


def _place(content: Any, location: tuple[int | str, ...]) -> str:
    """Where the lock is wrong: the entry by its name, then the field."""
    words = [str(part) for part in location]
    if len(location) > 1 and isinstance(location[1], int):  # only artifacts have fields below them
        entry = content["artifacts"][location[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        words[:2] = [str(name)[:200] if name else f"the artifact at position {location[1] + 1}"]
    return ": ".join(words) or "the whole file"


def _advice_without(mirror: Path) -> str:
    with naming(mirror, "read", MirrorError):
        return _REBUILD if unlisted(mirror, Lock()) else "`provision mirror add FILE...` creates it."


_PERMISSION = "Run the command as a user who may read the mirror, or repair its file system."
_REBUILD = (
    f"If the mirror was copied, copy its {FILE_NAME} too. If the lock is lost, make it again from the files that are "
    "there: `provision mirror add --all`."
)
_RESTORE = "Restore the lock from the origin of the mirror. Nothing is installed with a damaged lock."


def write(mirror: Path, lock: Lock) -> None:
    """Write the lock atomically: to a temporary file, which is then renamed."""
    with staged(mirror, lock) as beside:
        beside.replace(mirror / FILE_NAME)


@contextmanager
def staged(mirror: Path, lock: Lock) -> Iterator[Path]:
    """The lock, written and synced to a temporary file in the mirror; the caller renames it."""
    text = yaml.safe_dump(lock.model_dump(mode="json"), sort_keys=False)
    if len(text) > LARGEST:
        raise MirrorError(
            f"{mirror / FILE_NAME} was not changed: the lock would have {len(text):,} bytes, and it may have at most "
            f"{LARGEST:,}",
            advice="Give shorter texts for --origin and --version, or use a second mirror for some of the platforms.",
        )
    handle, name = tempfile.mkstemp(dir=mirror, prefix=f".{FILE_NAME}-")
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        yield beside
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def changing(mirror: Path, *, rebuild: bool = False) -> Iterator[Lock]:
    """The lock, while no other process can change it; an empty lock for a new mirror.

    What killed commands left is removed. With `rebuild` a mirror that has files and no lock has an empty lock as well.
    """
    with guard.held(mirror):
        missing = not _exists(mirror / FILE_NAME)
        lock = Lock() if (rebuild and missing) or is_new(mirror) else read(mirror)
        with guard.writing(mirror):
            remains.sweep(mirror, lock.digests())
        yield lock
