"""Where the journal of a site lies, and who may use it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision import paths, settings
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import place

NOBODY = 65534


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a space and a quote in its name, in which a site lies."""
    directory = tmp_path / 'the site\'s "own"'
    directory.mkdir()
    (directory / "provision.yml").write_text("{}\n")
    return directory


def as_nobody(act: Callable[[], None]) -> None:
    """Run it as a user who is not root, in a process of its own, which must end well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def test_journal_lies_beside_the_settings(site: Path) -> None:
    expected = site / ".provision" / "journal.sqlite"
    assert paths.journal_file(site / "provision.yml") == expected
    assert paths.journal_file(site) == expected
    assert not expected.parent.exists()


def test_name_of_the_settings_is_the_same_here_and_there() -> None:
    assert settings.FILE_NAME == paths.SETTINGS_FILE


def test_journal_that_cannot_be_looked_for_is_not_a_missing_one(site: Path) -> None:
    """A disk that reports errors, or a stale NFS, would otherwise show a site on which nothing was ever done."""
    unreadable = site / ("n" * 300) / "journal.sqlite"
    with pytest.raises(UsageError, match=r"n cannot be read: File name too long"):
        place.is_there(unreadable)


def test_settings_with_other_names_in_one_directory_are_other_sites(site: Path) -> None:
    names = ["provision.yml", "test.yml", "test.yaml", "x" * 250]
    for name in names:
        (site / name).touch()
    found = {paths.journal_file(site / name) for name in names}
    assert len(found) == len(names)
    assert site / ".provision" / "journal-test.yml.sqlite" in found
    assert all(len(file.name) < 100 for file in found)
    assert {file.parent for file in found} == {site / ".provision"}


def test_site_reached_by_a_link_or_by_a_relative_path_has_one_journal(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(site)
    (tmp_path / "mine.yml").symlink_to(site / "provision.yml")
    monkeypatch.chdir(site)
    places = [
        site,
        tmp_path / "link",
        tmp_path / "link" / "provision.yml",
        tmp_path / "mine.yml",
        Path("provision.yml"),
    ]
    assert {paths.journal_file(one) for one in (*places, Path())} == {paths.journal_file(site)}


def test_directory_without_settings_has_its_journal_in_the_state_directory_and_no_two_share_one(tmp_path: Path) -> None:
    (tmp_path / "a" / "site").mkdir(parents=True)
    (tmp_path / "b" / "site").mkdir(parents=True)
    found = {paths.journal_file(tmp_path / name / "site") for name in "ab"}
    assert len(found) == 2
    assert {file.parent for file in found} == {paths.state_dir() / "journals"}
    assert all(file.name.startswith("site-") and file.suffix == ".sqlite" for file in found)


def test_user_without_a_home_directory_has_the_journal_in_the_directory_of_the_site(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(paths, "state_dir", refuse)
    assert paths.journal_file(site) == site / ".provision" / "journal.sqlite"
    assert paths.journal_file(tmp_path) == tmp_path / ".provision" / "journal.sqlite"


@needs_root
def test_site_that_cannot_be_written_has_its_journal_in_the_state_directory(site: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)

    def look() -> None:
        assert paths.journal_file(site).parent == paths.state_dir() / "journals"

    as_nobody(look)


def test_journal_that_exists_stays_where_it_is_when_the_site_becomes_writable(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_given, **_more: False)
        first = paths.journal_file(site)
        assert first.parent == paths.state_dir() / "journals"
        first.parent.mkdir(parents=True, exist_ok=True)
        first.touch()
    assert paths.journal_file(site) == first
    first.unlink()
    assert paths.journal_file(site) != first


def test_directory_of_the_journal_is_private_and_not_for_git(site: Path) -> None:
    file = paths.journal_file(site)
    before = os.umask(0)
    try:
        place.prepare(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (file.parent / ".gitignore").read_text() == "*\n"
    file.parent.chmod(0o755)
    place.prepare(file)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("left", ["no file", "an empty file"])
def test_directory_that_a_killed_command_made_is_completed(site: Path, left: str) -> None:
    """Otherwise the journal comes into git. Who removes the file later wants that."""
    file = paths.journal_file(site)
    ignored = file.parent / ".gitignore"
    file.parent.mkdir(mode=0o700)
    if left == "an empty file":
        ignored.touch()
    place.prepare(file)
    assert ignored.read_text() == "*\n"
    ignored.unlink()
    file.touch()
    place.prepare(file)
    assert not ignored.exists()


def test_file_is_made_private_again(site: Path) -> None:
    file = paths.journal_file(site)
    place.prepare(file)
    file.write_text("x")
    file.chmod(0o666)
    assert place.is_there(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_journal_that_is_not_there_is_none(site: Path) -> None:
    assert not place.is_there(paths.journal_file(site))
    place.prepare(paths.journal_file(site))
    assert not place.is_there(paths.journal_file(site))


@pytest.mark.parametrize("kind", ["directory", "fifo", "link", "dangling"])
def test_journal_that_is_no_regular_file_is_refused_with_its_kind(site: Path, kind: str) -> None:
    file = paths.journal_file(site)
    place.prepare(file)
    if kind == "directory":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to(site / ("provision.yml" if kind == "link" else "none"))
    with pytest.raises(UsageError) as caught:
        place.is_there(file)
    assert str(file) in caught.value.message
    assert "is not a regular file" in caught.value.message
    assert f"mv '{site}".replace("'s", "'\"'\"'s") in caught.value.advice


def test_empty_journal_is_a_damaged_one(site: Path) -> None:
    file = paths.journal_file(site)
    place.prepare(file)
    file.touch()
    with pytest.raises(UsageError, match="is empty"):
        place.is_there(file)


def test_file_in_place_of_the_directory_is_refused(site: Path) -> None:
    (site / ".provision").touch()
    for act in (place.prepare, place.is_there):
        with pytest.raises(UsageError, match="Not a directory"):
            act(paths.journal_file(site))


@needs_root
def test_journal_of_another_user_is_refused_with_its_owner_and_the_way_out(site: Path, tmp_path: Path) -> None:
    place.prepare(paths.journal_file(site))
    paths.journal_file(site).write_text("x")
    # Beside other workers of pytest the directory lies one level deeper.
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o055 != 0o055:
            directory.chmod(0o755)

    def look() -> None:
        for act in (place.prepare, place.is_there):
            with pytest.raises(UsageError) as caught:
                act(paths.journal_file(site))
            assert "belongs to root" in caught.value.message
            assert "nobody" in caught.value.message
            assert "chown -R nobody" in caught.value.advice

    as_nobody(look)


@needs_root
def test_root_uses_the_journal_of_the_owner_of_the_site_and_of_nobody_else(site: Path) -> None:
    file = paths.journal_file(site)
    place.prepare(file)
    file.write_text("x")
    os.chown(file.parent, NOBODY, -1)
    os.chown(file, NOBODY, -1)
    for act in (place.prepare, place.is_there):
        with pytest.raises(UsageError, match="belongs to nobody"):
            act(file)
    os.chown(site, NOBODY, -1)
    place.prepare(file)
    assert place.is_there(file)


@needs_root
def test_directory_in_which_others_can_write_is_made_private_before_it_is_used(site: Path) -> None:
    file = paths.journal_file(site)
    file.parent.mkdir()
    file.parent.chmod(0o1777)
    place.prepare(file)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_directory_that_cannot_be_made_is_told_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/proc/none.* cannot be "):
        place.prepare(Path("/proc/none/journals/x.sqlite"))
