"""`provision mirror sign`: which key signs, what is written, and what is left alone if that fails."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import lock, signing, ssh_keygen, trust
from neuraltalk_provision.mirror.signing import Key
from neuraltalk_provision.settings import Settings
from tests.unit import signed
from tests.unit.signed import ENTRY, allow, public, sign


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """A site that demands any valid signature."""
    return signed.site(tmp_path, mirror_trust="signed")


@pytest.fixture
def agent(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SSH agent of the test."""
    socket = tmp_path_factory.mktemp("agent") / "s"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as started:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        for _ in range(200):
            if socket.exists():
                break
            time.sleep(0.02)
        yield
        started.terminate()


@pytest.fixture(autouse=True)
def without_agent(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test uses the agent of the user."""
    if "agent" not in request.fixturenames:
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")


def hold(key: Path) -> None:
    """Give the agent a key."""
    subprocess.run(["ssh-add", "-q", str(key)], check=True, stdin=subprocess.DEVNULL)


def left(settings: Settings) -> list[str]:
    place = settings.mirror / "mirror.lock.sig.d"
    return sorted(file.name for file in place.iterdir()) if place.exists() else []


def test_key_of_the_agent_signs_without_its_private_file(site: Settings, agent: None, tmp_path: Path) -> None:
    key = signed.new_key(tmp_path / "keys", "alice")
    hold(key)
    key.unlink()
    allow(site, f"alice {public(key)}")
    signing.sign(site.mirror, signing.choose(Path(f"{key}.pub"), site))
    assert trust.open_lock(site).artifacts == (ENTRY,)


def test_only_key_of_the_agent_is_used_without_a_question(site: Settings, agent: None, tmp_path: Path) -> None:
    key = signed.new_key(tmp_path / "keys", "alice")
    hold(key)
    chosen = signing.choose(None, site)
    assert str(chosen) == "the key alice on a laptop in the agent"
    made = signing.sign(site.mirror, chosen)
    assert public(key) in made.line
    allow(site, f"alice {made.line}")
    assert trust.open_lock(site).artifacts == (ENTRY,)


def test_of_several_keys_the_allowed_one_is_used(site: Settings, agent: None, tmp_path: Path) -> None:
    keys = [signed.new_key(tmp_path / "keys", name) for name in ("alice", "bob", "carol")]
    for key in keys:
        hold(key)
    with pytest.raises(UsageError, match="3 keys are in the agent") as caught:
        signing.choose(None, site)
    assert "carol on a laptop" in caught.value.message
    assert "--key" in caught.value.advice
    allow(site, f'alice valid-before="20200101" {public(keys[0])}', f"bob {public(keys[1])}")
    assert str(signing.choose(None, site)) == "the key bob on a laptop in the agent"
    allow(site, *(f"x {public(key)}" for key in keys))
    with pytest.raises(UsageError, match="3 keys are in the agent"):
        signing.choose(None, site)


def test_without_a_key_the_user_is_told_how_to_name_one(
    site: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="there is no agent, or no key is in it") as caught:
        signing.choose(None, site)
    assert "ssh-keygen -t ed25519" in caught.value.advice
    with pytest.raises(UsageError, match="there is no such key file"):
        signing.choose(tmp_path / "none", site)


def test_key_that_cannot_sign_is_told_in_the_words_of_ssh_keygen(site: Settings, tmp_path: Path) -> None:
    locked = signed.new_key(tmp_path / "keys", "locked", passphrase="a long one")
    readable = signed.new_key(tmp_path / "keys", "readable")
    readable.chmod(0o644)
    no_key = tmp_path / "no key"
    no_key.write_text("junk")
    without_agent = Path(f"{signed.new_key(tmp_path / 'keys', 'gone')}.pub")
    without_agent.with_suffix("").unlink()
    words = ("incorrect passphrase", "are too open", "No such file", "")
    for file, cause in zip((locked, readable, no_key, without_agent), words, strict=True):
        with pytest.raises(UsageError) as caught:
            sign(site, file)
        assert str(file) in caught.value.message
        assert cause in caught.value.message
        assert "Signing file" not in caught.value.message
        assert "@@" not in caught.value.message
        assert "Nothing was changed" in caught.value.advice
    assert left(site) == []


@pytest.mark.parametrize("script", ["exit 0", 'for file; do :; done; echo junk > "$file.sig"'])
def test_signature_that_is_none_is_not_written(
    site: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    key = signed.new_key(tmp_path / "keys", "alice")
    monkeypatch.setenv("PATH", str(signed.program(tmp_path / "bin", "ssh-keygen", script)), prepend=os.pathsep)
    with pytest.raises(MirrorError, match="its signature cannot be used"):
        sign(site, key)
    assert left(site) == []


def test_lock_that_does_not_parse_is_not_signed(site: Settings, tmp_path: Path) -> None:
    (site.mirror / "mirror.lock").write_text("artifacts: [\n")
    with pytest.raises(MirrorError, match="does not parse"):
        sign(site, signed.new_key(tmp_path / "keys", "alice"))
    assert left(site) == []


def test_lock_that_changes_meanwhile_is_not_signed(
    site: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, true = signed.new_key(tmp_path / "keys", "alice"), ssh_keygen.sign

    def change_and_sign(content: bytes, file: Path) -> ssh_keygen.Armored:
        signed.change(site)
        return true(content, file)

    monkeypatch.setattr(ssh_keygen, "sign", change_and_sign)
    with pytest.raises(MirrorError, match="was changed while it was signed"):
        sign(site, key)
    assert left(site) == []


@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace"])
def test_earlier_signature_stays_whole_if_the_new_one_cannot_be_written(
    site: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    made = sign(site, signed.new_key(tmp_path / "keys", "alice"))
    before = made.file.read_bytes()
    signed.change(site)

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, full)
    with pytest.raises(MirrorError, match="cannot be written: No space left on device"):
        sign(site, tmp_path / "keys" / "alice")
    assert (left(site), made.file.read_bytes()) == ([made.file.name], before)


def test_what_a_kill_left_behind_is_replaced(site: Settings, tmp_path: Path) -> None:
    made = sign(site, signed.new_key(tmp_path / "keys", "alice"))
    (made.file.parent / f".{made.file.name}.new").symlink_to(tmp_path / "keys" / "alice")
    before = (tmp_path / "keys" / "alice").read_bytes()
    sign(site, tmp_path / "keys" / "alice")
    assert left(site) == [made.file.name]
    assert (tmp_path / "keys" / "alice").read_bytes() == before


def test_signatures_of_others_are_left_alone(site: Settings, tmp_path: Path) -> None:
    first = sign(site, signed.new_key(tmp_path / "keys", "alice"))
    second = sign(site, signed.new_key(tmp_path / "keys", "bob"))
    assert left(site) == sorted([first.file.name, second.file.name])
    assert Key(public="ssh-ed25519 AAAA") != Key(public="ssh-ed25519 AAAB")


def test_names_of_signatures_are_no_artifacts() -> None:
    assert lock.is_reserved("mirror.lock")
    assert lock.is_reserved(lock.SIGNATURES)
    assert lock.is_reserved("mirror.lock.sig")
    assert lock.is_reserved("MIRROR.LOCK")
    assert not lock.is_reserved("torch.tgz")
