"""Signatures over the lock, made and checked by the real ssh-keygen: what is accepted, and what is refused with why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import bounded, lock, signature_files, signers, ssh_keygen, trust, unbundle
from neuraltalk_provision.settings import Settings
from tests.unit import carrying, signed
from tests.unit.signed import ENTRY, allow, public, sign

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


def day(days: int) -> str:
    """A date for allowed_signers, so many days from today."""
    return f"{datetime.now(tz=UTC) + timedelta(days=days):%Y%m%d}Z"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The private key of a person, made at the first call."""
    folder, made = tmp_path_factory.mktemp("the 'keys'"), dict[str, Path]()

    def key(name: str, kind: str = "ed25519") -> Path:
        if name not in made:
            made[name] = signed.new_key(folder, name, kind)
        return made[name]

    return key


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """A site that demands any valid signature."""
    return signed.site(tmp_path, mirror_trust="signed")


def refusal(settings: Settings) -> MirrorError:
    with pytest.raises(MirrorError) as caught:
        trust.open_lock(settings)
    assert caught.value.advice
    return caught.value


def only(settings: Settings) -> trust.Signature:
    """The only signature of the site's lock."""
    (found,) = trust.examine(settings)[1].signatures
    return found


Keys = Callable[..., Path]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_lock_is_accepted_with_a_valid_signature(site: Settings, keys: Keys, kind: str) -> None:
    allow(site, f"alice@site {public(keys(kind, kind))} comment")
    made = sign(site, keys(kind))
    assert trust.open_lock(site).artifacts == (ENTRY,)
    found = only(site)
    assert (found.state, found.names, found.key, found.file) == ("valid", ("alice@site",), made.key, made.file.name)
    assert str(found) == f"{made.file.name}: by alice@site, {made.key}: valid without an end"
    assert made.file.parent == site.mirror / "mirror.lock.sig.d"
    assert made.file.stat().st_mode & 0o777 == 0o644
    assert list(made.file.parent.iterdir()) == [made.file]


def test_unsigned_demands_nothing_and_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = signed.site(tmp_path)
    (site.mirror / "mirror.lock.sig.d").mkdir()
    (site.mirror / "mirror.lock.sig.d" / "a.sig").write_text("junk")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trust.open_lock(site).artifacts == (ENTRY,)


def test_lock_without_a_signature_is_refused(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    error = refusal(site)
    assert str(site.mirror / "mirror.lock") in error.message
    assert "mirror_trust: signed" in error.message
    assert f"{site.mirror / 'mirror.lock.sig.d'} contains no signature" in error.message
    assert "provision mirror sign" in error.advice


def test_lock_that_was_changed_after_it_was_signed_is_refused(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    signed.change(site)
    error = refusal(site)
    assert "by alice" in error.message
    assert "changed or replaced after it was signed" in error.message
    assert "If you changed the mirror (`mirror add`), have it signed again" in error.advice
    sign(site, keys("alice"))
    assert len(trust.open_lock(site).artifacts) == 2
    assert len(list((site.mirror / "mirror.lock.sig.d").iterdir())) == 1


@pytest.mark.parametrize("alteration", [b"\n", b"# \n", b" "])
def test_every_byte_of_the_lock_counts(site: Settings, keys: Keys, alteration: bytes) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    file = site.mirror / "mirror.lock"
    file.write_bytes(file.read_bytes() + alteration)
    assert only(site).state == "other content"


def test_altered_lock_is_refused_before_it_is_parsed(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    (site.mirror / "mirror.lock").write_bytes(b"\xff artifacts: [")
    assert "changed or replaced" in refusal(site).message


def test_signature_over_an_older_lock_is_refused(site: Settings, keys: Keys) -> None:
    """Both the lock and the signature are genuine, but they do not belong together."""
    allow(site, f"alice {public(keys('alice'))}")
    old = sign(site, keys("alice")).file.read_bytes()
    signed.change(site)
    sign(site, keys("alice")).file.write_bytes(old)
    assert only(site).state == "other content"
    refusal(site)


def test_foreign_key_is_refused_with_its_fingerprint(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    made = sign(site, keys("mallory"))
    error = refusal(site)
    assert f"by an unknown key, {made.key}: this key is not in allowed_signers" in error.message
    assert "whose key it is" in error.advice


@pytest.mark.parametrize(
    ("option", "state", "words"),
    [
        (f'valid-before="{day(-2)}"', "expired", "expired on "),
        (f'valid-after="{day(3)}"', "not yet valid", "not valid before "),
        ('namespaces="git"', "other purpose", "line 1 allows the key only for namespaces=git"),
    ],
)
def test_key_that_does_not_count_today_is_refused(
    site: Settings, keys: Keys, option: str, state: str, words: str
) -> None:
    allow(site, f"alice {option} {public(keys('alice'))}")
    sign(site, keys("alice"))
    found = only(site)
    assert (found.state, found.names) == (state, ("alice",))
    assert words in refusal(site).message
    if state != "other purpose":
        assert "the clock of this machine says 20" in found.words
        assert "clock" in refusal(site).advice


def test_period_of_a_valid_key_is_told(site: Settings, keys: Keys) -> None:
    allow(site, f'alice valid-after="{day(-10)}",valid-before="{day(10)}" {public(keys("alice"))}')
    sign(site, keys("alice"))
    trust.open_lock(site)
    assert "valid since " in only(site).words
    assert "expires soon" in only(site).words
    later = datetime.now(tz=UTC) + timedelta(days=12)
    (found,) = trust.examine(site, later)[1].signatures
    assert found.state == "expired"


def test_rotation_of_a_key(site: Settings, keys: Keys) -> None:
    """Two keys sign during the change. Machines that know the old or the new key or both accept the lock."""
    old = f'alice valid-before="{day(5)}" {public(keys("old"))}'
    new = f'alice valid-after="{day(-1)}" {public(keys("new"))}'
    sign(site, keys("old"))
    sign(site, keys("new"))
    for lines in ([old], [new], [old, new]):
        allow(site, *lines)
        trust.open_lock(site)
    allow(site, old.replace(day(5), day(-1)), new)
    assert {found.state for found in trust.examine(site)[1].signatures} == {"valid", "expired"}
    trust.open_lock(site)
    signed.change(site)
    sign(site, keys("new"))  # the old key does not sign the next lock any more
    assert {found.state for found in trust.examine(site)[1].signatures} == {"valid", "other content"}
    trust.open_lock(site)


def test_key_with_two_lines_counts_if_one_of_them_does(site: Settings, keys: Keys) -> None:
    key = public(keys("alice"))
    allow(site, f'alice valid-before="{day(-5)}" {key}', f'alice valid-after="{day(-4)}" {key}')
    sign(site, keys("alice"))
    assert only(site).state == "valid"
    trust.open_lock(site)


def test_named_accepts_only_the_signers_of_the_settings(tmp_path: Path, keys: Keys) -> None:
    site = signed.site(tmp_path, mirror_trust="named", mirror_signers=("carol", "alice"))
    allow(site, f"bob {public(keys('bob'))}", f"security,alice {public(keys('alice'))}")
    sign(site, keys("bob"))
    error = refusal(site)
    assert "a valid signature by carol or alice" in error.message
    assert "has no line for carol" in error.message
    assert "by bob" in error.message
    assert "mirror_signers" in error.advice
    sign(site, keys("alice"))
    assert trust.open_lock(site).artifacts == (ENTRY,)


def test_key_with_several_lines_counts_for_the_names_of_all_valid_lines(tmp_path: Path, keys: Keys) -> None:
    site = signed.site(tmp_path, mirror_trust="named", mirror_signers=("bob",))
    key = public(keys("alice"))
    allow(site, f"alice {key}", f"bob {key}")
    sign(site, keys("alice"))
    assert only(site).names == ("alice", "bob")
    trust.open_lock(site)
    allow(site, f"alice {key}", f'bob valid-before="{day(-3)}" {key}')
    assert only(site).names == ("alice",)
    refusal(site)


def test_expired_signature_of_a_named_signer_is_not_made_good_by_another_signer(tmp_path: Path, keys: Keys) -> None:
    site = signed.site(tmp_path, mirror_trust="named", mirror_signers=("alice",))
    allow(site, f"bob {public(keys('bob'))}", f'alice valid-before="{day(-1)}" {public(keys("alice"))}')
    sign(site, keys("bob"))
    sign(site, keys("alice"))
    assert "expired" in refusal(site).message


def test_signature_for_another_purpose_is_refused(site: Settings, keys: Keys) -> None:
    """The same key signs commits and mail; nobody may use such a signature for a lock."""
    allow(site, f"alice {public(keys('alice'))}")
    made = sign(site, keys("alice"))
    command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(keys("alice"))]
    content = (site.mirror / "mirror.lock").read_bytes()
    made.file.write_bytes(subprocess.run(command, input=content, capture_output=True, check=True).stdout)
    assert only(site).state == "other purpose"
    assert "it was made for 'git'" in refusal(site).message


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda text: b"", "damaged"),
        (lambda text: b"junk\n", "damaged"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace(b"SIGNATURE", b"MESSAGE"), "damaged"),
        (lambda text: text.replace(b"\nU1NIU0lH", b"\nV1NIU0lH"), "damaged"),
        (lambda text: text.replace(b"\nU1NIU0lH", b"\n\xff1NIU0lH"), "damaged"),
        (lambda text: text[:-60] + b"AAAA" + text[-56:], "other content"),
        (lambda text: b"x" * 100_000, "damaged"),
    ],
)
def test_damaged_signature_is_told(site: Settings, keys: Keys, damage: Callable[[bytes], bytes], state: str) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    made = sign(site, keys("alice"))
    made.file.write_bytes(damage(made.file.read_bytes()))
    assert only(site).state == state
    assert made.file.name in refusal(site).message


def test_damage_anywhere_is_no_bug(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    made = sign(site, keys("alice"))
    text = made.file.read_bytes()
    for place in range(0, len(text), 7):
        made.file.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        assert only(site).state in ("damaged", "other content", "unknown key", "other purpose")
        refusal(site)


def test_what_is_not_a_file_is_no_signature(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    place = sign(site, keys("alice")).file.parent
    os.mkfifo(place / "pipe.sig")
    (place / "directory.sig").mkdir()
    (place / "link.sig").symlink_to("/dev/zero")
    (place / "README").write_text("notes")
    found = trust.examine(site)[1].signatures
    assert sorted(signature.state for signature in found) == ["damaged", "damaged", "damaged", "valid"]
    trust.open_lock(site)


def test_number_of_signatures_is_limited(site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    place = sign(site, keys("alice")).file.parent
    for number in range(signature_files.MOST_SIGNATURES):
        (place / f"{number}.sig").write_text("")
    assert f"{place} contains more than 50 signatures" in refusal(site).message


def test_signatures_that_are_not_in_a_directory_are_told(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    (site.mirror / "mirror.lock.sig.d").write_text("")
    assert "mirror.lock.sig.d cannot be read: Not a directory" in refusal(site).message


def test_missing_allowed_signers_is_told(site: Settings, keys: Keys) -> None:
    sign(site, keys("alice"))
    error = refusal(site)
    assert f"{site.allowed_signers}: there is no such file" in error.message
    assert "do not take it from the mirror" in error.advice


@pytest.mark.parametrize("which", ["file", "directory"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_allowed_signers_that_others_can_write_is_refused(site: Settings, keys: Keys, which: str, mode: int) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    place = site.allowed_signers if which == "file" else site.allowed_signers.parent
    place.chmod(place.stat().st_mode | mode)
    error = refusal(site)
    assert f"{place} can be written by other users" in error.message
    assert "it is not known whose key this is" in error.message
    assert f"chmod go-w {place}" in error.advice
    place.chmod(place.stat().st_mode & ~mode)
    trust.open_lock(site)


@as_root
@pytest.mark.parametrize("which", ["file", "directory"])
def test_allowed_signers_of_another_user_is_refused(site: Settings, keys: Keys, which: str) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    os.chown(site.allowed_signers if which == "file" else site.allowed_signers.parent, 12345, 12345)
    assert "belongs to uid 12345" in refusal(site).message


def test_link_to_allowed_signers_is_judged_by_its_target(site: Settings, keys: Keys, tmp_path: Path) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    other = tmp_path / "shared"
    other.mkdir()
    site.allowed_signers.rename(other / "signers")
    site.allowed_signers.symlink_to(other / "signers")
    trust.open_lock(site)
    other.chmod(0o777)
    assert f"{other} can be written by other users" in refusal(site).message
    other.chmod(0o1777)  # in a sticky directory nobody else can replace the file
    trust.open_lock(site)


def test_allowed_signers_that_came_with_the_mirror_is_refused(site: Settings, keys: Keys, tmp_path: Path) -> None:
    inside = site.model_copy(update={"allowed_signers": site.mirror / "allowed_signers"})
    allow(inside, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    assert "because it is in the mirror" in refusal(inside).message
    site.allowed_signers.symlink_to(inside.allowed_signers)
    assert "because it is in the mirror" in refusal(site).message


def test_allowed_signers_that_does_not_parse_is_told_with_its_line(site: Settings, keys: Keys) -> None:
    allow(site, f"alice {public(keys('alice'))}", "*@site ssh-ed25519 AAAA")
    sign(site, keys("alice"))
    assert f"{site.allowed_signers} does not parse: line 2: the name '*@site' is a pattern" in refusal(site).message


OLD = "echo 'unknown option -- Y' >&2; echo 'usage: ssh-keygen [-q]' >&2; exit 1"


def test_missing_ssh_keygen_is_told(
    site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    error = refusal(site)
    assert "there is no ssh-keygen on this machine" in error.message
    assert "OpenSSH 8.1" in error.advice


def test_ssh_keygen_that_is_too_old_is_told(
    site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    monkeypatch.setenv("PATH", str(signed.program(tmp_path / "bin", "ssh-keygen", OLD)), prepend=os.pathsep)
    error = refusal(site)
    assert "cannot sign and verify files: unknown option -- Y" in error.message.splitlines()[1]
    assert "older than OpenSSH 8.1" in error.advice
    with pytest.raises(MirrorError, match="cannot sign and verify files"):
        sign(site, keys("alice"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "words"),
    [("kill -9 $$", "was ended by signal 9"), ("exec sleep 60", "did not end within 1 s")],
)
def test_ssh_keygen_that_breaks_off_accepts_nothing(
    site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    allow(site, f"alice {public(keys('alice'))}")
    sign(site, keys("alice"))
    monkeypatch.setattr(ssh_keygen, "_PATIENCE", 1)
    monkeypatch.setenv("PATH", str(signed.program(tmp_path / "bin", "ssh-keygen", script)), prepend=os.pathsep)
    assert words in refusal(site).message


def test_ssh_keygen_has_the_last_word(site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """If our reading of allowed_signers accepts a key and that of ssh-keygen does not, the signature is not valid."""
    allow(site, f'alice namespaces="git" {public(keys("alice"))}')
    sign(site, keys("alice"))
    monkeypatch.setattr(signers, "judge", lambda *given: signers.Judgement("valid", "valid"))
    assert (only(site).state, only(site).words) == ("damaged", "ssh-keygen does not accept it")
    refusal(site)


def test_what_was_verified_is_what_is_parsed_and_every_file_is_read_once(
    site: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody exchanges the lock, the signature and allowed_signers right after each of them was read."""
    allow(site, f"alice {public(keys('alice'))}")
    made = sign(site, keys("alice"))
    true, reads = bounded.read, list[str]()

    def read_then_exchange(file: Path, limit: int) -> bounded.SmallFile:
        found = true(file, limit)
        reads.append(file.name)
        file.write_text("schema_version: 1\nartifacts: []\n")
        return found

    monkeypatch.setattr(bounded, "read", read_then_exchange)
    assert trust.open_lock(site).artifacts == (ENTRY,)
    assert sorted(reads) == sorted(["mirror.lock", made.file.name, "allowed_signers"])


def test_pipe_or_device_on_a_medium_is_not_even_opened(
    waiting_writer: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Opening can have an effect: a process that waits for a reader of a pipe goes on."""
    pipe, writer = waiting_writer
    link = tmp_path / "mirror.lock"
    link.symlink_to(pipe)
    for _attempt in range(50):
        with pytest.raises(OSError, match="not a regular file"):
            bounded.read(link, 100)
    assert writer.poll() is None


def test_lock_that_is_a_pipe_or_too_large_is_an_error(site: Settings) -> None:
    file = site.mirror / "mirror.lock"
    with file.open("ab") as opened:
        opened.truncate(1 << 30)
    with pytest.raises(MirrorError, match="it is larger than"):
        lock.read(site.mirror)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(MirrorError, match="it is not a regular file"):
        lock.read(site.mirror)


def test_parts_of_a_bundle_are_taken_only_if_their_lock_is_signed_as_demanded(tmp_path: Path, keys: Keys) -> None:
    source = carrying.make(tmp_path / "source", {"torch": 5_000})
    parts = tmp_path / "parts"
    carrying.pack(source, parts)
    there = signed.site(tmp_path / "there", mirror_trust="signed")
    other = there.model_copy(update={"mirror": tmp_path / "other"})
    allow(there, f"alice {public(keys('alice'))}")
    with pytest.raises(MirrorError, match="is not signed"):
        unbundle.plan(other.mirror, [parts], other)
    with pytest.raises(MirrorError, match="is not signed"):
        unbundle.unbundle(other.mirror, [parts], carrying.quiet, other)
    assert not other.mirror.exists()
    sign(Settings(mirror=source), keys("alice"))
    carrying.pack(source, tmp_path / "signed")
    assert not unbundle.unbundle(other.mirror, [tmp_path / "signed"], carrying.quiet, other).missing
    assert trust.open_lock(other) == lock.read(source)
