"""The directory `.pull` of a mirror: what has arrived, until the artifacts that need it are complete.

Only the process that holds its guard works there, so what an ended process left behind is found and removed. It belongs
to the operator who pulled first; each other one has a directory of his own beside it, because what git, curl and apt
leave can be changed only by its owner.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from neuraltalk_provision import whole_file
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import git, guard, pull_errors

FOLDER = ".pull"
PATIENCE = 3.0
"""Seconds to wait for another pull. One that was killed can need a moment to let go."""


@contextlib.contextmanager
def working(mirror: Path) -> Iterator[Path]:
    """This user's directory. No other process pulls meanwhile: MirrorError if another one does not end in a moment."""
    own = os.geteuid()
    first, other = mirror / FOLDER, mirror / f"{FOLDER}-{own}"
    with pull_errors.of_disk(mirror):
        guard.refuse_links(first, other)
        whole_file.make_directory(first)
        with _guard(first):
            cache = first if first.stat().st_uid == own else other
            whole_file.make_directory(cache)
            guard.refuse_links(*cache.iterdir())
            _remove_rest(cache)
            yield cache


@contextlib.contextmanager
def _guard(cache: Path) -> Iterator[None]:
    handle = guard.opened(cache / "guard")
    try:
        if holders := guard.locked_by(handle, PATIENCE):
            raise MirrorError(
                f'another command "provision mirror pull" works on {cache.parent} at this moment: {holders} has '
                f"locked {cache / 'guard'}",
                advice="Wait until it has ended; then this command moves only what is still missing.",
            )
        yield
    finally:
        os.close(handle)


def _remove_rest(cache: Path) -> None:
    """Remove what a process that was killed left incomplete. A part of a file stays, because it can be continued."""
    for rest in (cache / "git").glob(f"{git.PART}*"):
        shutil.rmtree(rest, ignore_errors=True)
    shutil.rmtree(cache / "archives", ignore_errors=True)
