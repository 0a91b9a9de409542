"""The directory and the file of a journal: private, and used only if they belong to who uses them.

The directory has mode 0700, so nobody else can put a file or a link there; the file has mode 0600. Both belong to the
user who made them first. Another user is refused, with the name of the owner: two operators of one site must see one
journal, and a journal for each of them would hide the unfinished rollout of the other. Root may also use the journal
of the owner of the directory above, whose settings root follows anyway.

The file itself is never opened here: closing it would release the locks that SQLite has on it in this process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from pathlib import Path

from neuraltalk_provision import access_lists
from neuraltalk_provision.errors import UsageError, naming

MODE = 0o600
_DIRECTORY_MODE = 0o700
_IGNORE = ".gitignore"


def prepare(file: Path) -> None:
    """Create the directory of the journal, or make an existing one private. Raises UsageError."""
    directory = file.parent
    with naming(directory, "created"):
        directory.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=_DIRECTORY_MODE)
    _check_directory(directory)
    if not os.path.lexists(file):
        with naming(directory, "written"):
            _keep_out_of_git(directory / _IGNORE)


def _keep_out_of_git(ignored: Path) -> None:
    """Write .gitignore, if it is missing or a kill left it empty: sites are often in git, the journal must not be."""
    with contextlib.suppress(FileNotFoundError):
        if ignored.lstat().st_size:
            return
        ignored.unlink()
    with contextlib.suppress(FileExistsError), ignored.open("x", encoding="utf-8") as file:
        file.write("*\n")


def is_there(file: Path) -> bool:
    """Whether there is a journal. Raises UsageError if it is of another user, empty, or no regular file."""
    with naming(file, "read"):
        try:
            file.parent.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        _check_directory(file.parent)
        try:
            found = file.lstat()
        except FileNotFoundError:
            return False
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{file} cannot be the journal: it is not a regular file", advice=way_out(file))
    _check_owner(file, found, file.parent.parent)
    if not found.st_size:
        raise UsageError(f"{file} is empty: the journal that was there is lost", advice=way_out(file))
    if stat.S_IMODE(found.st_mode) & 0o077:
        with contextlib.suppress(OSError):  # on a read-only file system
            file.chmod(MODE)
    return True


def way_out(file: Path) -> str:
    """What to do with a journal that cannot be used."""
    moved = file.with_name(file.name + ".damaged")
    return (
        f"Put the file back from a backup, or move it away: mv {shlex.quote(str(file))} {shlex.quote(str(moved))}\n"
        "A new journal is then begun. What the hosts have is asked of the hosts; only the history of rollouts and the "
        "possibility to continue one are lost."
    )


def give_to_owner(handle: int, directory: Path) -> None:
    """Give a new file in the directory to the directory's owner, if root creates it."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _check_directory(directory: Path) -> None:
    with naming(directory, "used"):
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
        finally:
            os.close(handle)
        _check_owner(directory, found, directory.parent)
        if stat.S_IMODE(found.st_mode) & 0o077:
            with contextlib.suppress(OSError):  # on a read-only file system
                directory.chmod(_DIRECTORY_MODE)
        if stat.S_IMODE(directory.stat().st_mode) & 0o022:
            raise UsageError(
                f"{directory} cannot hold the journal: other users can write there",
                advice=f"Take the right away: chmod 700 {shlex.quote(str(directory))}",
            )
        others, cure = access_lists.nfs4_writers(directory, found)
        if others:
            raise UsageError(
                f"{directory} cannot hold the journal: {others} can write there",
                advice=f"Look at the list of the directory: {cure}.",
            )


def _check_owner(path: Path, found: os.stat_result, above: Path) -> None:
    me = os.geteuid()
    if found.st_uid == me or (me == 0 and found.st_uid == above.stat().st_uid):
        return
    owner, own = access_lists.user_name(found.st_uid), access_lists.user_name(me)
    directory = path if path.is_dir() else path.parent
    raise UsageError(
        f"{path} belongs to {owner}, and this command runs as {own}: the journal of a site has one user, so "
        "that nobody overlooks the rollout of another",
        advice=f"Run the command as {owner}. Or, if {owner} does not use this site any more, as root: "
        f"chown -R {own} {shlex.quote(str(directory))}",
    )
