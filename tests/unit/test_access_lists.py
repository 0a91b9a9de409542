"""Who but the owner may write: every user by the mode, or others by an NFSv4 list, of which the mode shows nothing."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from neuraltalk_provision import settings
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.fleet import place as journal_place
from neuraltalk_provision.mirror import guard, lock, trust
from neuraltalk_provision.rules import access_list
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import ansible_environment, variable_files

ALLOW, DENY, AUDIT = 0, 1, 2
GROUP, INHERIT_ONLY = 0x40, 0x08
READ, WRITE, EXECUTE, WRITE_ACL, WRITE_OWNER = 0x1, 0x2, 0x20, 0x40000, 0x80000
ALL = 0x1601FF
MINE = (ALLOW, 0, ALL, "OWNER@")
TRIVIAL = [MINE, (ALLOW, GROUP, READ, "GROUP@"), (ALLOW, 0, READ, "EVERYONE@")]
"""What a server makes of the mode 0755 or 0644."""


def packed(*entries: tuple[int, int, int, str]) -> bytes:
    """The attribute system.nfs4_acl, as the kernel gives it: XDR."""
    content = struct.pack(">I", len(entries))
    for kind, flags, mask, who in entries:
        name = who.encode()
        content += struct.pack(">IIII", kind, flags, mask, len(name)) + name + b"\0" * (-len(name) % 4)
    return content


@pytest.mark.parametrize(
    ("entries", "others"),
    [
        (TRIVIAL, []),
        ([], []),
        ([MINE, (ALLOW, 0, WRITE, "mallory@example.org")], ["mallory@example.org"]),
        ([MINE, (ALLOW, 0, WRITE, "1004")], ["1004"]),
        ([MINE, (ALLOW, GROUP, WRITE, "staff@example.org")], ["group staff@example.org"]),
        ([MINE, (ALLOW, 0, WRITE, "EVERYONE@")], ["everybody"]),
        ([MINE, (ALLOW, GROUP, WRITE, "GROUP@")], ["its group"]),
        ([MINE, (ALLOW, 0, WRITE_ACL, "mallory")], ["mallory"]),
        ([MINE, (ALLOW, 0, WRITE_OWNER, "mallory")], ["mallory"]),
        ([MINE, (ALLOW, 0, READ | EXECUTE, "mallory")], []),
        ([MINE, (ALLOW, INHERIT_ONLY, WRITE, "mallory")], ["mallory"]),
        ([(ALLOW, 0, ALL, "root@example.org"), (ALLOW, 0, ALL, "builder"), (ALLOW, 0, ALL, "0")], []),
        ([(ALLOW, GROUP, WRITE, "builder@example.org")], ["group builder@example.org"]),
        ([(DENY, 0, WRITE, "bob"), (ALLOW, 0, READ, "mallory")], []),
        # A refusal before it may concern only the directory, and the permission only what is created in it.
        ([(DENY, 0, WRITE, "mallory"), (ALLOW, INHERIT_ONLY, WRITE, "mallory")], ["mallory"]),
        ([(AUDIT, 0, WRITE, "mallory")], []),
    ],
)
def test_everybody_who_may_write_beside_the_owner_is_found(
    entries: list[tuple[int, int, int, str]], others: list[str]
) -> None:
    assert access_list.writers(packed(*entries), ("OWNER@", "root", "0", "builder", "1000")) == others


def test_root_and_the_owner_may_write_and_everybody_else_is_named_once() -> None:
    names = ("root@example.org", "0", "1000", "builder@example.org", "mallory", "mallory")
    content = packed(MINE, *((ALLOW, 0, WRITE, name) for name in names))
    said = access_list.others(lambda: content, 1000, "builder", group_is_judged=False)
    assert said[0] == "those whom its NFSv4 access list names (mallory)"


def test_group_is_judged_by_the_mode_if_the_mode_shows_its_right(
    places: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example a user's own group, of which nobody else is a member."""
    answering(monkeypatch, {str(tmp_path): packed(MINE, (ALLOW, GROUP, WRITE | READ, "GROUP@"))})
    tmp_path.chmod(0o775)
    os.chown(tmp_path, -1, os.getegid())
    assert (places.unsafe(str(tmp_path)) == []) == (os.getegid() == 0)
    tmp_path.chmod(0o755)
    assert "names (its group)" in places.unsafe(str(tmp_path))[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        packed(MINE)[:-4],
        packed(MINE) + b"\0" * 4,
        struct.pack(">I", 2**31) + packed(MINE)[4:],
        struct.pack(">IIIII", 1, ALLOW, 0, WRITE, 2**32 - 1) + b"abcd",
        packed((9, 0, WRITE, "mallory")),
    ],
)
def test_list_that_is_not_as_expected_is_an_error_and_not_an_empty_one(content: bytes) -> None:
    with pytest.raises(ValueError, match="is not as expected"):
        access_list.writers(content, ())


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes | int]) -> None:
    """Let paths have these NFSv4 lists, or fail with these errors; the file system knows no other attribute."""

    def getxattr(path: object, name: bytes | str, **_more: object) -> bytes:
        asked = os.fsdecode(name) == access_list.ATTRIBUTE
        found = answers.get(str(path), errno.EOPNOTSUPP) if asked else errno.EOPNOTSUPP
        if isinstance(found, int):
            raise OSError(found, os.strerror(found))
        return found

    monkeypatch.setattr(os, "getxattr", getxattr)


@pytest.fixture
def places(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.places")


def test_stack_root_that_a_list_opens_to_others_is_refused(
    places: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode is 0755, and shows nothing."""
    tmp_path.chmod(0o755)
    answering(monkeypatch, {str(tmp_path): packed(*TRIVIAL)})
    assert places.unsafe(str(tmp_path)) == []
    opened = packed(*TRIVIAL, (ALLOW, 0, WRITE, "mallory@example.org"))
    answering(monkeypatch, {str(tmp_path): opened})
    (words,) = places.unsafe(str(tmp_path))
    assert "mode 0755) can be written by those whom its NFSv4 access list names (mallory@example.org): " in words
    assert "remove these entries (nfs4_setfacl -e), or choose another stack_root" in words
    assert places.unsafe_path(str(tmp_path), "do something else") != []
    assert "mallory" in places.writers(str(tmp_path))
    assert "nfs4_setfacl" in places.cure(str(tmp_path))
    file = tmp_path / "nvcc"
    file.touch(mode=0o755)
    answering(monkeypatch, {str(file): opened})
    assert "mallory" in places.unsafe_path(str(file), "do something else")[0]


@pytest.mark.parametrize("answer", [errno.EIO, errno.EACCES, b"\0\0"])
def test_list_that_cannot_be_read_is_not_safe(
    places: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | int
) -> None:
    tmp_path.chmod(0o755)
    answering(monkeypatch, {str(tmp_path): answer})
    (words,) = places.unsafe(str(tmp_path))
    assert "others, as far as can be told: its NFSv4 access list cannot be read" in words
    assert "make it readable for this user (nfs4_getfacl must show it), or choose another stack_root" in words


def test_lists_are_read_without_a_function_of_python_for_them(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Python 2.7."""
    module = load("host.access_lists")
    try:
        os.setxattr(tmp_path, "user.list", packed(*TRIVIAL))
    except OSError:
        pytest.skip("the file system has no attributes")
    monkeypatch.delattr(os, "getxattr")
    assert module.attribute(str(tmp_path), "user.list") == packed(*TRIVIAL)
    assert module.attribute(str(tmp_path), "user.other") is None
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        module.attribute(str(tmp_path / "gone"), "user.list")


def test_file_that_a_list_opens_to_others_is_not_our_own(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, file = load("host.files"), tmp_path / "artifact"
    file.touch(mode=0o644)
    assert module.is_own_file(str(file), file.stat())
    answering(monkeypatch, {str(file): packed(*TRIVIAL, (ALLOW, 0, WRITE, "mallory"))})
    assert not module.is_own_file(str(file), file.stat())
    answering(monkeypatch, {str(file): errno.EIO})
    assert not module.is_own_file(str(file), file.stat())


def test_journal_and_the_file_of_signers_are_not_used_if_a_list_opens_them_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "allowed_signers"
    file.touch(mode=0o600)
    given = Settings(allowed_signers=file, mirror=tmp_path / "mirror")
    assert trust.read_allowed(given) == ()
    opened = packed(*TRIVIAL, (ALLOW, 0, WRITE, "mallory"))
    for path in (file, tmp_path):
        answering(monkeypatch, {str(path): opened})
        with pytest.raises(MirrorError, match=f"cannot be trusted, because {path} can be written by those whom"):
            trust.read_allowed(given)
    with pytest.raises(UsageError, match="cannot hold the journal: those whom its NFSv4 access list names"):
        journal_place.prepare(tmp_path / "journal.sqlite")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The directory of a site."""
    place = tmp_path / "site"
    (place / "mirror").mkdir(parents=True, mode=0o755)
    (place / "group_vars").mkdir(mode=0o755)
    (place / "provision.yml").write_text("inventory: hosts.yml\n")
    (place / "hosts.yml").write_text("all: {hosts: {node1: {}}}\n")
    (place / "group_vars" / "all.yml").write_text("ansible_user: ops\n")
    lock.write(place / "mirror", lock.Lock())
    return place


def use(site: Path) -> None:
    """What commands do before they ask a host."""
    found = settings.load(site / "provision.yml")
    variable_files.refuse_open.cache_clear()
    variable_files.refuse_open(found.inventory)
    trust.open_lock(found)


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "provision.yml",
        "hosts.yml",
        "group_vars",
        "group_vars/all.yml",
        "mirror",
        "mirror/mirror.lock",
    ],
)
def test_site_that_every_user_can_write_is_refused(site: Path, name: str) -> None:
    """Who can write there decides what runs as root on all hosts."""
    use(site)
    place, mode = site / name, (site / name).stat().st_mode & 0o777
    place.chmod(mode | 0o020)  # a group that works together
    use(site)
    place.chmod(mode | 0o002)
    with pytest.raises(ProvisionError, match=rf"because every user can write {place} \(mode 0[67]") as caught:
        use(site)
    assert "chmod o-w" in caught.value.advice


def test_site_that_was_made_without_a_umask_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the containers of some build servers."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    try:
        assert main.boundary(["init", "site"]) == 0
        with guard.held(tmp_path / "mirror"):
            pass
    finally:
        os.umask(before)
    use(tmp_path / "site")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("site", "site/mirror", "mirror")]
    assert modes == [0o775] * 3


def test_links_to_nothing_beside_the_inventory_are_passed_over(site: Path) -> None:
    """As an editor makes them for a file that is open."""
    for folder in (site, site / "group_vars", site / "mirror"):
        for name in (".#all.yml", "all"):
            (folder / name).symlink_to("ops@node1.4711")
    (site / "provision.yml").write_text("inventory: .\n")
    use(site)


def test_list_of_hosts_has_no_files_beside_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "group_vars" / "all.yml").chmod(0o666)
    monkeypatch.chdir(site)
    variable_files.refuse_open(Path("node1,node2"))
    with pytest.raises(UsageError, match="every user can write"):
        variable_files.refuse_open(Path("hosts.yml"))


def test_inventory_that_cannot_be_read_is_an_error_in_words(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def iterdir(place: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))

    monkeypatch.setattr(Path, "iterdir", iterdir)
    variable_files.refuse_open.cache_clear()
    with pytest.raises(UsageError, match=f"{site} cannot be read: Permission denied"):
        variable_files.refuse_open(site)


def test_signed_mirror_may_be_writable_for_every_user(site: Path) -> None:
    (site / "mirror").chmod(0o777)
    with (site / "provision.yml").open("a") as file:
        file.write("mirror_trust: signed\n")
    with pytest.raises(MirrorError, match="allowed_signers"):
        use(site)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_that_another_user_put_into_a_directory_for_all_is_not_read(site: Path) -> None:
    """`cd /tmp; provision site` read the settings that anybody had put there."""
    site.chmod(0o1777)
    use(site)
    os.chown(site / "provision.yml", 12345, 12345)
    with pytest.raises(UsageError, match="is not read, because it belongs to uid 12345, and is in "):
        use(site)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o600, ""),
        (0o640, ""),
        (0o644, "every user can read"),
        (0o606, "every user can write"),
        (0o755, ""),
        (0o757, "every user can write"),
    ],
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANSIBLE_VAULT_PASSWORD_FILE", "{}"),
        ("ANSIBLE_VAULT_IDENTITY_LIST", "a@{0},b@{0}"),
        ("ANSIBLE_BECOME_PASSWORD_FILE", "{}"),
    ],
)
def test_file_of_passwords_that_every_user_can_read_or_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, reason: str, name: str, value: str
) -> None:
    """A program that prints the password may be read by everybody."""
    monkeypatch.setattr(ansible_environment, "_is_reached", lambda file: True)
    file = tmp_path / "a password"
    file.write_text("secret")
    file.chmod(mode)
    monkeypatch.setenv(name, value.format(file))
    if not reason:
        assert ansible_environment.variables()[name] == value.format(file)
        return
    with pytest.raises(UsageError, match=f"a password \\({name}\\) is not used, because {reason}") as caught:
        ansible_environment.variables()
    assert f"`chmod 600 '{file}'`" in caught.value.advice


def test_file_of_passwords_in_a_directory_of_its_owner_alone_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    file = tmp_path / "home" / "password"
    file.write_text("secret")
    file.chmod(0o644)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(file))
    assert ansible_environment.variables()["ANSIBLE_VAULT_PASSWORD_FILE"] == str(file)
