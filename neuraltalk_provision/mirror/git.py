"""git: fetches one commit into a bare repository of its own, and reads what a commit contains.

No work tree is ever made and nothing of a repository is executed: no hooks, no filters, no configuration of the source.
Only the object names decide what is read, so git's attributes and its version make no difference.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import addresses, git_progress, programs, pull_errors

ATTEMPTS = 3
PAUSE = 2.0
"""Seconds before the second attempt; twice as many before the third."""
SILENCE = 600.0
"""Seconds after which a git that writes nothing is ended."""
LARGEST = 8
"""The maximum size of a fetch, in GiB."""
LARGEST_LISTING = 64 << 20
PART = ".part-"
"""The beginning of the names of repositories that are not complete."""

# Variables that would make git work in another repository than the given one, or change what it reads there.
_FOREIGN = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|PREFIX|"
    r"SHALLOW_FILE|GRAFT_FILE|REPLACE_REF_BASE|TEMPLATE_DIR|TRACE\w*|EXTERNAL_DIFF)"
)
_OPTIONS = (
    *(
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ),
    *("-c", "fetch.recurseSubmodules=false", "-c", "submodule.recurse=false", "-c", "fetch.writeCommitGraph=false"),
    *("-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=120"),
)


def environment(protocols: str = "none") -> dict[str, str]:
    """The environment of git: it asks nobody for anything and uses only these protocols (separated by colons)."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    ssh = {} if "GIT_SSH_COMMAND" in kept or "GIT_SSH" in kept else {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    return {
        **kept,
        **ssh,
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_DEFAULT_HASH": "sha1",
    }


def name_of(address: str, commit: str) -> str:
    """The name of a commit's repository in the cache. The commit alone says what is in it; the rest is for people."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(address.rstrip("/").split("/")[-2:])).strip("-")[:60]
    return f"{words}-{commit}.git"


def fetch(
    cache: Path,
    address: str,
    commit: str,
    *,
    origin: str = "",
    watch: programs.Watch = lambda line: None,
    stop: Event | None = None,
) -> Path:
    """The bare repository in `cache` that has this commit with all its files; it is fetched if it is not there yet.

    `origin` is the address in the catalogue, if `address` replaces it. Raises MirrorError with the reason in words. A
    repository that is not complete never has its final name.
    """
    final = cache / name_of(origin or address, commit)
    if final.is_dir():
        return final
    with pull_errors.of_disk(cache):
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=cache, prefix=PART))
    try:
        _fetch_into(part, address, commit, watch, stop or Event())
        with pull_errors.of_disk(final):
            part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _fetch_into(part: Path, address: str, commit: str, watch: programs.Watch, stop: Event) -> None:
    git = ("git", *_OPTIONS, f"--git-dir={part}")
    made = programs.run(["git", *_OPTIONS, "init", "--quiet", "--bare", "--template=", str(part)], environment())
    if made.code:
        raise pull_errors.of_git(address, address, made.errors)
    actual = _resolved(git, address)
    addresses.refuse_unsafe(actual, address)
    one = [f"{commit}:refs/pull/{commit}"]
    everything = ["+refs/heads/*:refs/pull/heads/*", "+refs/tags/*:refs/pull/tags/*"]
    start = [*git, "fetch", "--progress", "--no-tags", "--no-recurse-submodules"]
    scheme = addresses.scheme(actual)
    settings = environment("https:http" if scheme in ("https", "http") else scheme)

    def bounded(line: str) -> None:
        if git_progress.gibibytes(line) > LARGEST:
            raise MirrorError(
                f"{address}: more than {LARGEST} GiB arrived, and no source is so large",
                advice="Check the address in the catalogue or in the file of --addresses.",
            )
        watch(line)

    def attempts(command: list[str]) -> programs.Ended:
        for attempt in range(1, ATTEMPTS + 1):
            ended = programs.run(command, settings, watch=bounded, stop=stop, silence=SILENCE)
            if not ended.code or stop.is_set() or attempt == ATTEMPTS or pull_errors.is_final(ended.errors):
                break
            watch(f"attempt {attempt} failed: {(ended.errors.splitlines() or ['no message'])[-1]}")
            stop.wait(PAUSE * 2 ** (attempt - 1))
        return ended

    ended = attempts([*start, "--depth=1", "--", address, *one])
    if ended.code and pull_errors.wants_all(ended.errors):
        ended = attempts([*start, "--", address, *everything])
    if ended.code:
        raise pull_errors.of_git(address, actual, ended.errors, commit)
    _refuse_incomplete(git, address, actual, commit)


def _resolved(git: tuple[str, ...], address: str) -> str:
    """The address that git will really use, after the `insteadOf` of its configuration."""
    code, found = programs.output([*git, "ls-remote", "--get-url", address], environment(), 1 << 16)
    return found.decode("utf-8", "replace").strip() if not code else address


def _refuse_incomplete(git: tuple[str, ...], address: str, actual: str, commit: str) -> None:
    """MirrorError if the commit, or a file of it, did not arrive."""
    if not programs.output([*git, "ls-tree", "-r", "-l", "-z", commit], environment(), LARGEST_LISTING)[0]:
        return
    if not programs.output([*git, "cat-file", "-e", commit], environment(), 1 << 16)[0]:
        raise MirrorError(
            f"{address}: a file of the commit {commit} did not arrive",
            advice="This copy of the repository is not complete. Use another one with --addresses FILE.",
        )
    _, branches = programs.output([*git, "for-each-ref", "--count=1"], environment(), 1 << 16)
    # git takes a web page for a repository without branches.
    reason = "fatal: not our ref" if branches else "fatal: no branch: not valid: is this a git repository"
    raise pull_errors.of_git(address, actual, reason, commit)


@dataclass(frozen=True)
class Member:
    """A file, a link or a submodule of a commit; `size` in bytes, 0 for a submodule."""

    path: bytes
    mode: str
    object: str
    size: int


def members(repository: Path, commit: str) -> tuple[Member, ...]:
    """What a commit contains. Raises MirrorError if the repository is damaged."""
    command = ["git", *_OPTIONS, f"--git-dir={repository}", "ls-tree", "-r", "-l", "-z", "--full-tree", commit]
    code, listing = programs.output(command, environment(), LARGEST_LISTING)
    if code:
        raise damaged(repository, f"the commit {commit} cannot be listed")
    return tuple(_member(line, repository) for line in listing.split(b"\0") if line)


def _member(line: bytes, repository: Path) -> Member:
    words, _, path = line.partition(b"\t")
    fields = words.decode("ascii", "replace").split()
    if len(fields) != 4 or not path:
        raise damaged(repository, f"git lists it in an unknown form: {line[:80]!r}")
    mode, _kind, name, size = fields
    if not (size.isdigit() or mode == "160000"):
        raise damaged(repository, f"it lacks the content of {path.decode('utf-8', 'replace')}")
    return Member(path, mode, name, int(size) if size.isdigit() else 0)


Read = Callable[[str], tuple[str, int, IO[bytes]]]


@contextmanager
def objects(repository: Path) -> Iterator[Read]:
    """A function that returns (type, size, stream) of an object; `size` bytes and one more have to be read from it."""
    command = ["git", *_OPTIONS, f"--git-dir={repository}", "cat-file", "--batch"]
    with programs.conversation(command, environment()) as (questions, answers):

        def read(name: str) -> tuple[str, int, IO[bytes]]:
            header: list[bytes] = []
            with suppress(BrokenPipeError):
                questions.write(name.encode("ascii") + b"\n")
                questions.flush()
                header = answers.readline(200).split()
            if len(header) != 3 or not header[2].isdigit():
                raise damaged(repository, f"the object {name} cannot be read")
            return header[1].decode("ascii", "replace"), int(header[2]), answers

        yield read


def damaged(repository: Path, what: str) -> MirrorError:
    """The error for a repository whose content cannot be used."""
    return MirrorError(
        f"{repository}: {what}",
        advice="Remove this directory, which can be fetched again, then run the same command again.",
    )
