"""A journal that is damaged, of another program, of a newer version, or on a bad disk: an error with a way out.

Nothing is ever written over a file that cannot be read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import database
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Options, Outcome, Rollout, Step
from tests.unit.rollouts import WAVES, entry, names, nobody_is_dead, opened, record, rollout

HOSTS = names(300)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with a rollout on 300 hosts."""
    file = tmp_path_factory.mktemp("good") / ".provision" / "journal.sqlite"
    staged = {(host, Step.STAGE): record(host, Step.STAGE, Outcome.DONE) for host in HOSTS}
    with opened(file) as writing:
        writing.begin(
            Rollout(hosts=tuple(entry(host, 3) for host in HOSTS), records=staged, options=Options(waves=WAVES))
        )
    return file


@pytest.fixture
def file(good: Path, tmp_path: Path) -> Path:
    """A copy of the journal, which a test damages."""
    return shutil.copytree(good.parent, tmp_path / "the site" / ".provision") / good.name


def change(file: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def overwrite(file: Path, start: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(content)


def read(file: Path) -> None:
    with Journal.read(file) as found:
        found.unfinished()
        found.rollouts()


def resume(file: Path) -> None:
    with opened(file) as writing:
        writing.resume()
        writing.ended_all(Step.ACTIVATE, [])


def pause(file: Path) -> None:
    Journal.request_pause(file, "ops", nobody_is_dead)


USES = pytest.mark.parametrize("use", [read, resume])
DAMAGES: dict[str, Callable[[Path], object]] = {
    "text": lambda file: file.write_text("hosts: node1\n" * 1000),
    "empty": lambda file: file.write_bytes(b""),
    "one byte": lambda file: file.write_bytes(b"S"),
    "cut in the header": lambda file: os.truncate(file, 60),
    "cut after the header": lambda file: os.truncate(file, 4096),
    "cut at the end": lambda file: os.truncate(file, file.stat().st_size - 4096),
    "damage in the middle": lambda file: overwrite(file, file.stat().st_size // 8192 * 4096, b"\xff" * 4096),
    "cut in a page": lambda file: os.truncate(file, file.stat().st_size - 100),
    "beginning overwritten": lambda file: overwrite(file, 0, b"\0" * 100),
    "schema overwritten": lambda file: overwrite(file, 100, b"\xff" * 3996),
    "all pages but the first overwritten": lambda file: overwrite(file, 4096, b"\xff" * (file.stat().st_size - 4096)),
    "another program's database": lambda file: change(file, "PRAGMA application_id=7"),
    "no application": lambda file: change(file, "PRAGMA application_id=0"),
    "a table is missing": lambda file: change(file, "DROP TABLE records"),
    "a table has another form": lambda file: change(file, "ALTER TABLE hosts ADD COLUMN colour TEXT"),
    "a trigger": lambda file: change(file, "CREATE TRIGGER t AFTER INSERT ON pause BEGIN DELETE FROM records; END"),
}
# These are found when the rows are read, after the controller has written its name.
WRONG_ROWS: dict[str, Callable[[Path], object]] = {
    "a host that is none": lambda file: change(
        file, "UPDATE hosts SET host = 'a' || char(10) WHERE host = 'node7.example.org'"
    ),
    "a wave that is text": lambda file: change(file, "UPDATE hosts SET wave = 'first'"),
    "a wave that the rollout does not have": lambda file: change(
        file, "UPDATE hosts SET wave = 7 WHERE host = 'node7.example.org'"
    ),
    "a host of which only the records are left": lambda file: change(
        file, "DELETE FROM hosts WHERE host = 'node7.example.org'"
    ),
    "a step that is no word": lambda file: change(file, "UPDATE records SET step = 'dance' || char(10)"),
    "an outcome that nobody knows": lambda file: change(file, "UPDATE records SET outcome = x'ff00'"),
    "a reason of two megabytes": lambda file: change(
        file, "UPDATE records SET reason = hex(zeroblob(1000000)) WHERE host = 'node7.example.org'"
    ),
    "a time that is none": lambda file: change(file, "UPDATE records SET started = 9e999"),
    "a time that no calendar has": lambda file: change(file, "UPDATE rollouts SET begun = 1e300"),
    "a status that is no word": lambda file: change(file, "UPDATE rollouts SET status = 'lost!'"),
    "options that are no JSON": lambda file: change(file, "UPDATE rollouts SET options = '{'"),
    "a budget that is no number": lambda file: change(
        file, "UPDATE rollouts SET options = json_set(options, '$.max_failures', '1O%')"
    ),
    "options that are others": lambda file: change(file, "UPDATE rollouts SET options = '{\"waves\": 7}'"),
}


@USES
@pytest.mark.parametrize("damage", [*DAMAGES, *WRONG_ROWS])
def test_damaged_journal_is_refused_with_its_path_and_a_way_out_and_stays_as_it_is(
    file: Path, use: Callable[[Path], None], damage: str
) -> None:
    (DAMAGES | WRONG_ROWS)[damage](file)
    before = file.read_bytes()
    with pytest.raises(UsageError) as caught:
        use(file)
    assert str(file) in caught.value.message
    assert f"mv '{file}' '{file}.damaged'" in caught.value.advice
    if damage not in WRONG_ROWS or use is read:
        assert file.read_bytes() == before


@pytest.mark.parametrize("damage", [*DAMAGES, *WRONG_ROWS])
def test_damaged_journal_is_closed(file: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (DAMAGES | WRONG_ROWS)[damage](file)
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        made.append(connect(*given, **named))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", connected)
    with contextlib.suppress(UsageError):
        read(file)
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_advice_for_a_damaged_journal_helps(file: Path) -> None:
    file.write_bytes(b"x" * 5000)
    with pytest.raises(UsageError) as caught:
        read(file)
    subprocess.run(["/bin/sh", "-ec", caught.value.advice.splitlines()[0].partition("away: ")[2]], check=True)
    with opened(file) as writing:
        assert writing.unfinished() is None
        writing.begin(rollout())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            "DELETE FROM hosts WHERE host = 'node7.example.org'",
            "node7.example.org has records and is none of the hosts",
        ),
        ("UPDATE hosts SET wave = 7 WHERE host = 'node7.example.org'", "node7.example.org is in wave 7, which"),
    ],
)
def test_host_that_a_damage_would_leave_out_is_named(file: Path, damage: str, words: str) -> None:
    """A rollout that was continued did nothing on such a host, and said that it had finished."""
    change(file, damage)
    with pytest.raises(UsageError, match=words):
        read(file)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE records SET outcome = 'stranded'", "newer version of provision: this one does not know stranded"),
        ("UPDATE records SET outcome = x'ff00'", "is damaged: a record is not as expected: outcome"),
        ("UPDATE hosts SET target = 'a b'", "is damaged: a record is not as expected: target"),
    ],
)
def test_what_earlier_rollouts_left_is_not_read_from_damaged_rows(file: Path, damage: str, words: str) -> None:
    """Such a host counted as one on which nothing had failed."""
    change(file, "UPDATE records SET step = 'activate'", damage)
    with Journal.read(file) as found, pytest.raises(UsageError, match=words):
        found.past()


COLUMNS = {
    "controller": ("holder", "what", "since"),
    "pause": ("by", "since"),
    "rollouts": ("id", "begun", "options", "phase", "status"),
    "hosts": ("wave", "target", "former", "cuda", "inputs"),
    "records": ("inputs", "outcome", "reason", "code", "started"),
}


@pytest.mark.parametrize(("table", "column"), [(table, one) for table, columns in COLUMNS.items() for one in columns])
def test_value_that_is_missing_is_a_damage(file: Path, table: str, column: str) -> None:
    """Only a damaged page can have one; a command that only reads does not look through all pages before."""
    schema = "UPDATE sqlite_master SET sql = {} WHERE name = '" + table + "'"
    change(
        file,
        "INSERT INTO controller VALUES (1, 'ops', 'x', 1.0)",
        "INSERT INTO pause VALUES (1, 'ops', 1.0)",
        "UPDATE records SET step = 'activate' WHERE host = 'node1.example.org'",
        "UPDATE records SET step = 'drain', outcome = 'started' WHERE host = 'node2.example.org'",
    )
    change(file, "PRAGMA writable_schema=ON", schema.format("replace(sql, ' NOT NULL', '/*NOT NULL*/')"))
    change(file, f"UPDATE {table} SET {column} = NULL")
    change(file, "PRAGMA writable_schema=ON", schema.format("replace(sql, '/*NOT NULL*/', ' NOT NULL')"))
    with Journal.read(file) as found, pytest.raises(UsageError, match="is damaged: "):
        for what in (found.holder, found.pause_requested, found.drains, found.past, found.rollouts, found.unfinished):
            what()


@USES
def test_journal_of_a_newer_version_is_refused_with_both_versions(file: Path, use: Callable[[Path], None]) -> None:
    change(file, f"PRAGMA user_version={database.VERSION + 1}", "CREATE TABLE later (x)")
    before = file.read_bytes()
    with pytest.raises(
        UsageError, match=r"newer version of provision: its tables have version 2, and this one knows 1"
    ):
        use(file)
    assert file.read_bytes() == before


@USES
@pytest.mark.parametrize(
    ("change_of", "what"),
    [
        ("records SET outcome = 'stranded'", "a record"),
        ("records SET step = 'stranded'", "a record"),
        ("rollouts SET status = 'stranded'", "a rollout"),
        ("rollouts SET phase = 'stranded'", "a rollout"),
        ("rollouts SET options = json_set(options, '$.busy', 'stranded')", "the options of a rollout"),
    ],
)
def test_word_of_a_newer_version_is_not_called_a_damage(
    file: Path, use: Callable[[Path], None], change_of: str, what: str
) -> None:
    """The advice was to move the journal away, and with it the rollout that the newer version can continue."""
    change(file, f"UPDATE {change_of}")
    words = f"was written by a newer version of provision: this one does not know stranded in {what}$"
    with pytest.raises(UsageError, match=words) as caught:
        use(file)
    assert caught.value.advice.startswith("Use that version, or update this one.")


def test_garbage_as_the_name_of_the_controller_is_no_dead_one(file: Path) -> None:
    change(file, "INSERT INTO controller VALUES (1, 'who knows' || char(27), 'x', 0)")
    with pytest.raises(UsageError, match=r"another controller is working on this site: who knows\? has had it"):
        resume(file)
    with opened(file, take_over=True) as writing:
        assert writing.unfinished()


def test_full_disk_loses_nothing_and_the_rollout_continues_when_there_is_space(file: Path) -> None:
    with opened(file) as writing:
        writing.resume()
        connection = writing._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(UsageError) as caught:
            for host in HOSTS:
                writing.ended(host, Step.ACTIVATE, Outcome.FAILED, "x" * 1900)
        assert f"{file} cannot be written: there is no space left" in caught.value.message
        assert "df " in caught.value.advice
        done = (writing.rollout() or pytest.fail()).hosts_with(Step.ACTIVATE, Outcome.FAILED)
        assert len(done) < len(HOSTS)
        connection.execute("PRAGMA max_page_count=1000000")
        writing.ended(HOSTS[-1], Step.ACTIVATE, Outcome.DONE)
        found = writing.rollout() or pytest.fail()
        assert found.hosts_with(Step.ACTIVATE, Outcome.FAILED) == done
        assert found.outcome(HOSTS[-1], Step.ACTIVATE) is Outcome.DONE


def test_file_that_cannot_grow_is_an_error_in_words(file: Path) -> None:
    """The limit of the size of files, as `ulimit -f` sets it, in a process of its own."""
    words = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.unit.rollouts import *; from neuraltalk_provision.errors import UsageError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size,) * 2)\n"
        "try:\n"
        "    with opened(Path(sys.argv[1])) as writing:\n"
        "        for _ in range(9): writing.begin(rollout(hosts=names(300)))\n"
        "except UsageError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", words, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{file} cannot be ")
    read(file)


@contextlib.contextmanager
def held(file: Path) -> Iterator[None]:
    """Another connection that writes and does not end."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("use", [read, resume, pause])
def test_process_that_does_not_let_go_is_named_as_the_cause(
    file: Path, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT", 0.1)
    with held(file), pytest.raises(UsageError, match="another process has used") as caught:
        use(file)
    assert "fuser -v" in caught.value.advice
    read(file)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_named_as_the_cause(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """SQLite reports a file system without locks in the same way as a lock that somebody holds."""

    def refuse(*_given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(database, "WAIT", 0.1)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(UsageError, match="on a file system without locks") as caught:
        resume(file)
    assert "ln -s" in caught.value.advice
    with held(file), pytest.raises(UsageError, match="on a file system without locks"):
        read(file)


def test_creation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_connection: sqlite3.Connection) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as full:
            full.execute("PRAGMA max_page_count=1")
            full.execute("CREATE TABLE x (y)")

    monkeypatch.setattr(database, "_make_tables", refuse)
    file = tmp_path / ".provision" / "journal.sqlite"
    with pytest.raises(UsageError, match="there is no space left"):
        resume(file)
    assert [one.name for one in file.parent.iterdir()] == [".gitignore"]


def test_directory_of_the_journal_can_be_moved_to_another_disk_as_the_advice_says(file: Path, tmp_path: Path) -> None:
    file.parent.rename(tmp_path / "elsewhere")
    file.parent.symlink_to(tmp_path / "elsewhere")
    with opened(file) as writing:
        assert writing.resume().hosts


def test_journal_that_is_moved_while_it_is_used_is_noticed(file: Path) -> None:
    with opened(file) as writing:
        writing.resume()
        file.rename(file.with_name("moved"))
        with pytest.raises(UsageError, match="was moved or removed while this command used it"):
            writing.ended(HOSTS[0], Step.ACTIVATE, Outcome.DONE)
    assert not file.exists()


def test_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / ".provision" / "journal.sqlite"
    place.mkdir(parents=True)
    for use in (read, resume, pause):
        with pytest.raises(UsageError, match="not a regular file"):
            use(place)


READ_ONLY = """
import sys
from pathlib import Path
from typing import Any
from neuraltalk_provision.errors import UsageError
from tests.unit.test_fleet_journal_damage import read, resume
try:
    read(Path(sys.argv[1]))
    print("read")
    resume(Path(sys.argv[1]))
except UsageError as error:
    print(error.message)
"""


def on_read_only_disk(file: Path) -> list[str]:
    site = file.parent.parent
    words = f"mount --bind '{site}' '{site}' && mount -o remount,bind,ro '{site}' && exec \"$@\""
    command = ["unshare", "--mount", "/bin/sh", "-ec", words, "sh", sys.executable, "-c", READ_ONLY, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_journal_on_a_read_only_disk_is_read_and_not_written(file: Path) -> None:
    was_read, message = on_read_only_disk(file)
    assert was_read == "read"
    assert message.startswith(f"{file} cannot be opened or written")
    assert "read-only" in message


def test_journal_of_a_killed_writer_on_a_read_only_disk_is_told(file: Path) -> None:
    """What the writer left has to be undone before anybody reads, and that cannot be done there."""
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException), opened(file) as writing:
            writing.resume()
            connection = writing._connection
            connection.execute("PRAGMA cache_size=2")  # so that pages reach the file before the commit
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE records SET reason = ?", ("y" * 1000,))
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert (file.parent / f"{file.name}-journal").stat().st_size
    (message,) = on_read_only_disk(file)
    assert "if a command was killed while it wrote" in message
    with Journal.read(file) as found:
        assert {one.reason for one in (found.rollout() or pytest.fail()).records.values()} == {""}
