"""What is done with RPM files that have arrived: their signatures are checked, and their index is made."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import bounded, dnf, programs, pull_errors
from neuraltalk_provision.rules.texts import some

INDEX = "repodata"
_BATCH = 200
_LONGEST = 1 << 20
_LARGEST_INDEX = 512 << 20
_OPTIONS = (
    *("--quiet", "--no-database", "--simple-md-filenames", "--error-exit-val"),
    # gzip, because EL 7 and 8 cannot read what newer versions of createrepo_c use by default.
    *("--checksum", "sha256", "--general-compress-type", "gz", "--changelog-limit", "1"),
    *("--revision", "0", "--set-timestamp-to-revision"),
)


def need_programs() -> None:
    """UsageError if this machine lacks a program that is used here."""
    absent = [name for name in ("rpmkeys", "createrepo_c") if not shutil.which(name)]
    if absent:
        raise UsageError(
            f"this machine lacks {' and '.join(absent)}, which check packages of rpm and make their index",
            advice=dnf.PACKAGES + " Then run the same command again.",
        )


def lay_out(files: Mapping[str, Path], folder: Path) -> None:
    """Make a directory in which each file has its name. The times of the files are set, because the index has them."""
    with pull_errors.of_disk(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, file in files.items():
            os.utime(file, (0, 0))
            try:
                (folder / name).symlink_to(file.absolute())
            except OSError:  # the disk has no links, as many USB sticks
                shutil.copy2(file, folder / name)


def check_signatures(folder: Path, names: Sequence[str], keys: Sequence[Path], work: Path, stop: Event) -> None:
    """Raises MirrorError for a package that is not signed by one of the keys, or is not as it was signed."""
    with pull_errors.of_disk(work):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    rpmkeys = ["rpmkeys", "--define", f"_dbpath {work.absolute()}", "--define", "_pkgverify_level all"]
    for key in keys:
        code, said = _run([*rpmkeys, "--import", str(key)], work, stop)
        if code:
            raise MirrorError(
                f"{key}: rpm cannot read this as a public key: {_last(said)}",
                advice="The file must have the key in the form that begins with -----BEGIN PGP PUBLIC KEY BLOCK-----.",
            )
    for begin in range(0, len(names), _BATCH):
        batch = names[begin : begin + _BATCH]
        code, said = _run([*rpmkeys, "--checksig", *(str(folder / name) for name in batch)], work, stop)
        good = {line.removesuffix(": digests signatures OK") for line in said.splitlines()}
        bad = [name for name in batch if str(folder / name) not in good]
        if bad or code:
            _refuse(bad or list(batch), folder, keys, rpmkeys, work, stop)


def _refuse(
    bad: Sequence[str], folder: Path, keys: Sequence[Path], rpmkeys: Sequence[str], work: Path, stop: Event
) -> None:
    said = _run([*rpmkeys, "--checksig", "--verbose", str(folder / bad[0])], work, stop)[1]
    given = ", ".join(str(key) for key in keys)
    if unknown := re.search(r"key ID ([0-9a-fA-F]{8,40}): NOKEY", said):
        why = f"it is signed with the key {unknown[1]}, which is not in {given}"
        advice = "If this key belongs to those who make the distribution, add its file to gpgkey of the repository."
    elif "Signature" not in said and re.search(r"digest: OK", said):
        why = "it is not signed"
        advice = (
            "Use a repository with signed packages. If you made the packages yourself, write `gpgcheck: false` beside "
            "the repository's baseurl."
        )
    else:
        why = f"it is not as it was signed: {_last(said)}"
        advice = "It was changed in the repository or on the way. Use another copy of the repository."
    raise MirrorError(f"{some(bad, 1)}: {why}", advice=advice)


def make_index(folder: Path, work: Path, stop: Event) -> dict[str, bytes]:
    """{name: content} of the index of the packages in a directory; the same packages give the same bytes."""
    code, said = _run(["createrepo_c", *_OPTIONS, str(folder)], work, stop)
    if code:
        raise MirrorError(
            f"createrepo_c cannot make the index of {folder}: {_last(said)}",
            advice="Look at its message, then run the same command again.",
        )
    with naming(folder, "read", MirrorError):
        found = sorted((folder / INDEX).iterdir())
        return {f"{INDEX}/{file.name}": bounded.read(file, _LARGEST_INDEX).content for file in found}


def _run(command: Sequence[str], work: Path, stop: Event) -> tuple[int, str]:
    """(exit code, what it printed) of a program."""
    too_much = MirrorError(f"{command[0]} wrote more than {_LONGEST:,} bytes", advice="Do not use these packages.")
    ended, said = programs.captured(command, dnf.environment(work), _LONGEST, too_much=too_much, stop=stop)
    if stop.is_set():
        raise MirrorError("stopped while packages were checked", advice="Run the same command again.")
    return ended.code, said.decode("utf-8", "replace") + ended.errors


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
