"""The SQLite file of a journal: how it is made, opened and checked, and what its errors mean.

It has a rollback journal and not a WAL: site directories are often on NFS, where a WAL does not work. The file
`…-journal` beside it is truncated at each commit and belongs to the database. With `synchronous=FULL` what was
committed survives a loss of power.

No error is recognised by its words, only by SQLite's codes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shlex
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.fleet import place

APPLICATION = 0x6E747076
"""The number in the file's header that says that it is a journal of ours."""
VERSION = 1
"""The version of the tables."""
WAIT = 60.0
"""Seconds that a command waits for another process that reads or writes the file."""
LONGEST = 1 << 20
"""The most bytes of one value or row."""
_NEW = ".creating-"
_SCHEMA = (
    """CREATE TABLE controller (
    one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL, what TEXT NOT NULL, since REAL NOT NULL)""",
    """CREATE TABLE pause (one INTEGER PRIMARY KEY CHECK (one = 1), by TEXT NOT NULL, since REAL NOT NULL)""",
    """CREATE TABLE rollouts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, begun REAL NOT NULL, ended REAL,
    options TEXT NOT NULL, phase TEXT NOT NULL, status TEXT NOT NULL)""",
    """CREATE TABLE hosts (
    rollout INTEGER NOT NULL REFERENCES rollouts ON DELETE CASCADE, host TEXT NOT NULL, position INTEGER NOT NULL,
    wave INTEGER NOT NULL, target TEXT NOT NULL, former TEXT NOT NULL, cuda TEXT NOT NULL, inputs TEXT NOT NULL,
    PRIMARY KEY (rollout, host)) WITHOUT ROWID""",
    """CREATE TABLE records (
    rollout INTEGER NOT NULL, host TEXT NOT NULL, step TEXT NOT NULL, inputs TEXT NOT NULL, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, code TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    PRIMARY KEY (rollout, host, step),
    FOREIGN KEY (rollout, host) REFERENCES hosts ON DELETE CASCADE) WITHOUT ROWID""",
)
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_LOCKS = frozenset({sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK})


def create(file: Path) -> None:
    """Make an empty journal. It gets its name when it is complete, and never in place of another."""
    with naming(file, "created"):
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name + _NEW)
        try:
            place.give_to_owner(handle, file.parent)
            os.close(handle)
            with explained(file), contextlib.closing(_connect(Path(name), "rw")) as connection:
                _make_tables(connection)
            _name(Path(name), file)
        except (UsageError, FileNotFoundError):
            if not os.path.lexists(file):  # otherwise another command was faster, and removed `name`
                raise
        finally:
            Path(name).unlink(missing_ok=True)
            Path(f"{name}-journal").unlink(missing_ok=True)
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def remove_remains(file: Path) -> None:
    """Remove what killed commands left that created the journal."""
    with contextlib.suppress(OSError):
        for rest in file.parent.glob(f"{file.name}{_NEW}*"):
            rest.unlink(missing_ok=True)


def _name(new: Path, file: Path) -> None:
    try:
        os.link(new, file)
    except FileExistsError:
        pass  # another command was faster
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not os.path.lexists(file):
            new.rename(file)


@contextlib.contextmanager
def opened(file: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    """A connection to an existing journal, checked to be one of this version. Raises UsageError."""
    if write and not _has_locks(file.parent):
        raise _without_locks(file)
    may_write = write or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))
    with explained(file):
        connection = _connect(file, "rw" if may_write else "ro")
    with contextlib.closing(connection):
        with explained(file):
            _check(file, connection)
            if write:
                _check_content(file, connection)
                connection.execute("PRAGMA journal_mode=TRUNCATE")
        yield connection


@contextlib.contextmanager
def empty() -> Iterator[sqlite3.Connection]:
    """A connection to an empty journal in memory, in place of one that does not exist."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _make_tables(connection)
        connection.row_factory = sqlite3.Row
        yield connection


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        for setting in ("trusted_schema=OFF", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    settings = (f"PRAGMA application_id={APPLICATION}", f"PRAGMA user_version={VERSION}")
    for statement in ("BEGIN IMMEDIATE", *_SCHEMA, *settings, "COMMIT"):
        connection.execute(statement)


def _check(file: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise UsageError(f"{file} is a database of another program, not a journal", advice=place.way_out(file))
    if version > VERSION:
        raise newer(file, f"its tables have version {version}, and this one knows {VERSION}")
    if _tables(connection) != _known_tables():
        raise damaged(file, "its tables are not those that provision makes")


def _check_content(file: Path, connection: sqlite3.Connection) -> None:
    """Look through all pages (0.3 s for 136 MB), so that a damage is found before anything is written."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(file, str(found).splitlines()[-1][:200])


def _tables(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' LIMIT 100")
    return frozenset((str(row[0]), str(row[1]), str(row[2])) for row in found)


@functools.cache
def _known_tables() -> frozenset[tuple[str, str, str]]:
    with empty() as connection:
        return _tables(connection)


def newer(file: Path, why: str) -> UsageError:
    """The error for a journal that has what only a newer version can read."""
    return UsageError(
        f"{file} was written by a newer version of provision: {why}",
        advice="Use that version, or update this one. The journal was not changed.",
    )


def damaged(file: Path, why: str) -> UsageError:
    """The error for a journal whose content is wrong."""
    return UsageError(f"{file} is damaged: {why}", advice=place.way_out(file))


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """Convert errors of SQLite in the block that come from the file or the machine to UsageError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        found = None if code is None else _explain(file, code, getattr(error, "sqlite_errorname", "") or str(code))
        if found is None:
            raise
        raise found from error


def _explain(file: Path, code: int, name: str) -> UsageError | None:
    again = "What was recorded before is kept. Then run the same command again, or continue the rollout."
    match code & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return damaged(file, "it is not an SQLite database, or its beginning was overwritten")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_FORMAT:
            return damaged(file, f"it was truncated, or parts of it were overwritten ({name})")
        case sqlite3.SQLITE_FULL:
            return UsageError(
                f"{file} cannot be written: there is no space left on its file system, or in the quota of the user",
                advice=f"Make space (df {shlex.quote(str(file.parent))}). {again}",
            )
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return UsageError(f"{file} was moved or removed while this command used it", advice=f"Put it back. {again}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return UsageError(
                f"{file} cannot be opened or written ({name}): its file system is read-only, or this user may not "
                "write in its directory. Also to read it, that right is needed if a command was killed while it wrote",
                advice=f"Look at ls -la {shlex.quote(str(file.parent))}. {again}",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return _busy(file)
        case sqlite3.SQLITE_IOERR if code in _LOCKS and not _has_locks(file.parent):
            return _without_locks(file)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOLFS | sqlite3.SQLITE_NOMEM:
            return UsageError(
                f"{file} cannot be read or written: the machine reports an error ({name})",
                advice=f"Look for errors of the disk, the network file system or the memory with dmesg. {again}",
            )
    return None


def _busy(file: Path) -> UsageError:
    """SQLite reports some file systems that have no locks as if somebody held the lock."""
    if not _has_locks(file.parent):
        return _without_locks(file)
    return UsageError(
        f"another process has used {file} for {WAIT:.0f} seconds without a break",
        advice=f"It may be a command that was stopped with Ctrl-Z. fuser -v {shlex.quote(str(file))} shows it.",
    )


def _without_locks(file: Path) -> UsageError:
    directory = shlex.quote(str(file.parent))
    return UsageError(
        f"{file} is on a file system without locks, so that two controllers could use it at once",
        advice="Mount it with locks (for NFS version 3, rpc.statd has to run). Or move the directory to a local "
        f"disk of the controller and put a link in its place: mv {directory} /var/lib/provision-journal && "
        f"ln -s /var/lib/provision-journal {directory}",
    )


def _has_locks(directory: Path) -> bool:
    """Whether files in the directory can be locked; tried on a file of its own, because closing releases locks."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    return True
