"""Mirrors with random files, for the tests of bundles; and a program that kills bundle and unbundle.

`python -m tests.unit.carrying DIRECTORY` kills both at some of their changes of the file system, with `--all` at each
of them, and at random moments. After each kill the same command runs again, and the result is compared with that of a
command that nobody killed. The program forks, so it has no threads of its own.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.mirror import bundle, bundle_plan, lock, unbundle
from neuraltalk_provision.settings import Settings

PART = 200_000
FILES = {"torch": 90_000, "nn": 0, "weights": 450_000, "wheels": 150_000, "scorer": 512, "packages": 120_001}
CHANGES = ("replace", "rename", "unlink", "fsync", "fdatasync", "mkdir", "rmdir", "truncate")


@contextmanager
def quiet(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    """Progress that nobody sees."""
    yield lambda count: None


def make(mirror: Path, files: Mapping[str, int], seed: int = 0) -> Path:
    """Write a mirror with files of these sizes; the seed determines their content."""
    mirror.mkdir(parents=True, exist_ok=True)
    known = lock.Lock()
    for name, size in files.items():
        content = random.Random(f"{name} {seed}").randbytes(size)
        (mirror / f"{name}.tgz").write_bytes(content)
        known = known.with_entry(entry(name, content))
    lock.write(mirror, known)
    return mirror


def entry(name: str, content: bytes) -> lock.Entry:
    """The entry of a file in the lock."""
    return lock.Entry(
        name=name,
        file=f"{name}.tgz",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version="1.0",
        origin="a disk",
        role="torch",
    )


def pack(mirror: Path, folder: Path, size: int = PART) -> bundle.Written:
    """Write a bundle."""
    return bundle.write(bundle_plan.prepare(mirror, size), folder, quiet, catalogues.load())


def tree(folder: Path) -> dict[str, bytes]:
    """{path: content} of all files below a directory but the guard."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".mirror.lock-guard")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def forked(act: Callable[[], object], kill_at: int = 0, after: float = 0.0) -> bool:
    """Run `act` in a child process that is killed at its change number `kill_at` or after a time; whether it was."""
    child = os.fork()
    if child == 0:
        _kill_at(kill_at)
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    if after:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _kill_at(number: int) -> None:
    left = [number]

    def killing(real: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return wrapper

    for name in CHANGES:
        setattr(os, name, killing(getattr(os, name)))


def _try(
    act: Callable[[Path], object], start: Callable[[Path], object], work: Path, seed: int, *, step: int
) -> tuple[int, int]:
    """Kill `act` at its changes, and at random moments; the numbers of kills. `step` is the largest step of changes."""
    right, place = work / "right", work / "place"
    start(right)
    began = time.monotonic()
    assert not forked(lambda: act(right))
    duration = time.monotonic() - began
    wanted, number, killed = tree(right), 0, 0
    moments, kills = random.Random(seed), 0
    while True:
        number += moments.randint(1, step)
        start(place)
        if not forked(lambda: act(place), kill_at=number):
            break
        killed += 1
        _refuse_half(tree(place), wanted)
        assert not forked(lambda: act(place))
        assert tree(place) == wanted, f"after a kill at change {number}"
        shutil.rmtree(place)
    shutil.rmtree(place)
    for _ in range(3):
        start(place)
        for _ in range(3):
            kills += forked(lambda: act(place), after=moments.uniform(0.001, duration))
        assert not forked(lambda: act(place))
        assert tree(place) == wanted, f"after kills at moments of seed {seed}"
        shutil.rmtree(place)
    shutil.rmtree(right)
    return killed, kills


def _refuse_half(found: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    """Where the new lock is in place, everything must be there."""
    if found.get("mirror.lock") == wanted.get("mirror.lock", b"none"):
        assert {file: found.get(file) for file in wanted} == wanted, "a new lock with old files"


def main(work: Path, step: int) -> int:
    """Kill bundle, and unbundle into a new mirror and into an old one."""
    source = make(work / "source", FILES)
    (source / "mirror.lock.sig").write_bytes(b"a signature")
    parts = work / "parts"
    assert not forked(lambda: pack(source, parts))
    print("bundle", *_try(lambda to: pack(source, to), Path.mkdir, work, 1, step=step))

    def take(mirror: Path) -> None:
        assert not unbundle.unbundle(mirror, [parts], quiet, Settings(mirror=mirror)).missing

    def old(mirror: Path) -> None:
        make(mirror, {"torch": 80_000, "wheels": 150_000, "gone": 70}, seed=1)
        shutil.copy(source / "packages.tgz", mirror)

    print("unbundle, new", *_try(take, Path.mkdir, work, 2, step=step))
    print("unbundle, old", *_try(take, old, work, 3, step=step))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), 1 if "--all" in sys.argv else 24))
