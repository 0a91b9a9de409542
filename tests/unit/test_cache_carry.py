"""Packed generations in a bundle: carried with their signatures, and taken only if they are what they must be."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import (
    bundle,
    bundle_plan,
    cache,
    cache_carry,
    cache_files,
    cache_needs,
    lock,
    parts,
    signing,
)
from neuraltalk_provision.mirror import unbundle as unbundling
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.unbundle import Outcome
from neuraltalk_provision.settings import Settings
from tests.unit import carrying, signed
from tests.unit.carrying import quiet, tree
from tests.unit.test_cache import ID, PYTHON, tar
from tests.unit.test_generation_pack import sha256
from tests.unit.test_runtime import entry

OTHER = "f" * 16
FILES = {"torch": 90_000, "nn": 10}
TAR = f"cache/{ID}/generation-{ID}.tar"


def put(settings: Settings, tmp_path: Path, generation: str = ID, **more: object) -> CacheEntry:
    """Publish a packed generation whose entry says what its only program needs."""
    file = tar(tmp_path, {"bin/python": PYTHON, "blob": bytes(300_000), generation: b"own"})
    inspected = cache_needs.inspect(file)
    content = file.read_bytes()
    given = {"sha256": sha256(content), "size": len(content), "needs": inspected.needs.model_dump()}
    made = entry(**{**given, "id": generation, **more})
    incoming = cache.incoming(settings.mirror, generation)
    incoming.write_bytes(content)
    cache.publish(settings.mirror, made, incoming)
    return made


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """A site with artifacts and one packed generation, at a path with a space and a quote."""
    settings = Settings(mirror=carrying.make(tmp_path / "the 'source'" / "mirror", FILES))
    put(settings, tmp_path)
    return settings


@pytest.fixture
def there(tmp_path: Path) -> Settings:
    """The other side, whose mirror does not exist yet."""
    (tmp_path / "other").mkdir()
    return Settings(mirror=tmp_path / "other" / "mirror")


def carry(here: Settings, there: Settings, to: Path, size: int = 25 * 10**9) -> Outcome:
    files = cache_carry.choose(here).files
    bundle.write(bundle_plan.prepare(here.mirror, size, None, files), to, quiet, catalogues.load())
    return unbundling.unbundle(there.mirror, [to], quiet, there)


def test_packed_generation_is_carried_to_the_other_side(here: Settings, there: Settings, tmp_path: Path) -> None:
    done = carry(here, there, tmp_path / "parts")
    assert (done.generations, done.refused, done.left) == ((ID,), (), ())
    assert sorted(done.installed) == ["nn.tgz", "torch.tgz"]
    assert tree(there.mirror) == tree(here.mirror)
    assert cache.find(there, ID).entry
    again = unbundling.unbundle(there.mirror, [tmp_path / "parts"], quiet, there)
    assert (again.generations, again.refused) == ((), ())


def test_packed_generation_that_is_larger_than_a_part_is_split(here: Settings, there: Settings, tmp_path: Path) -> None:
    carry(here, there, tmp_path / "parts", 130_000)
    assert len(list((tmp_path / "parts").glob("*.tar"))) > 2
    assert tree(there.mirror) == tree(here.mirror)


def test_packed_generation_that_another_operator_took_is_installed(
    here: Settings, there: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the owner of a file may change its mode."""
    files = cache_carry.choose(here).files
    bundle.write(bundle_plan.prepare(here.mirror, 130_000, None, files), tmp_path, quiet, catalogues.load())
    one, two, with_entry, four = sorted(tmp_path.glob("neuraltalk-mirror-*.tar"))
    unbundling.unbundle(there.mirror, [one, two, four], quiet, there)
    (taken,) = (there.mirror / ".unbundling" / "complete").rglob("*.tar")
    chmod, owned = os.chmod, taken.stat().st_ino

    def of_its_owner(path: int | Path, mode: int, **_more: object) -> None:
        if (os.fstat(path) if isinstance(path, int) else path.stat()).st_ino == owned:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        chmod(path, mode)

    monkeypatch.setattr(os, "chmod", of_its_owner)
    done = unbundling.unbundle(there.mirror, [with_entry], quiet, there)
    assert (done.generations, done.refused, tree(there.mirror)) == ((ID,), (), tree(here.mirror))


def test_signatures_are_carried_and_demanded(here: Settings, there: Settings, tmp_path: Path) -> None:
    key = signed.new_key(tmp_path, "alice")
    demand = {"mirror_trust": "signed", "allowed_signers": tmp_path / "allowed_signers"}
    here, there = here.model_copy(update=demand), there.model_copy(update=demand)
    signed.allow(here, f"alice {signed.public(key)}")
    signed.sign(here, key)
    cache.sign(here.mirror, ID, signing.Key(file=key))
    done = carry(here, there, tmp_path / "parts")
    assert done.generations == (ID,)
    assert tree(there.mirror) == tree(here.mirror)


def test_unsigned_packed_generation_is_refused_where_signatures_are_demanded(
    here: Settings, there: Settings, tmp_path: Path
) -> None:
    key = signed.new_key(tmp_path, "alice")
    there = there.model_copy(update={"mirror_trust": "signed", "allowed_signers": tmp_path / "allowed_signers"})
    signed.allow(there, f"alice {signed.public(key)}")
    signed.sign(here, key)
    done = carry(here, there, tmp_path / "parts")
    assert done.generations == ()
    assert "it is not signed as provision.yml demands" in done.refused[0]
    assert sorted(done.installed) == ["nn.tgz", "torch.tgz"]
    assert not (there.mirror / TAR).exists()


def other_needs(settings: Settings, tmp_path: Path) -> None:
    put(settings, tmp_path, needs={"machine": "x86_64", "glibc": "2.0", "level": 1, "libraries": {}})


def other_left_out(settings: Settings, tmp_path: Path) -> None:
    put(settings, tmp_path, left_out=["a" * 64])


def no_packed_generation(settings: Settings, tmp_path: Path) -> None:
    content = b"not a tar" * 2000
    made = entry(sha256=sha256(content), size=len(content))
    incoming = cache.incoming(settings.mirror, ID)
    incoming.write_bytes(content)
    cache.publish(settings.mirror, made, incoming)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (other_needs, "its entry does not say what its programs need"),
        (other_left_out, "its entry does not say which files of the mirror it needs"),
        (no_packed_generation, "is not a packed generation"),
    ],
)
def test_hostile_packed_generation_is_refused_and_the_rest_is_taken(
    here: Settings, there: Settings, tmp_path: Path, damage: Callable[[Settings, Path], None], words: str
) -> None:
    damage(here, tmp_path)
    done = carry(here, there, tmp_path / "parts")
    assert words in done.refused[0]
    assert done.refused[0].startswith(f"the packed generation {ID} is not taken: ")
    assert sorted(tree(there.mirror)) == ["mirror.lock", "nn.tgz", "torch.tgz"]


def test_entry_of_another_generation_is_refused(here: Settings, there: Settings, tmp_path: Path) -> None:
    """As somebody would make such a bundle: the names are those of one generation, the entry is of another one."""
    wrong = put(here, tmp_path, OTHER)
    files = []
    for one in cache_carry.choose(here).files:
        if one.file == cache_files.entry(ID):
            content = wrong.as_bytes()
            one = parts.CachedFile(file=one.file, size=len(content), sha256=sha256(content))
        files.append(one)
    (here.mirror / "cache" / ID / "entry.json").write_bytes(wrong.as_bytes())
    prepared = bundle_plan.prepare(here.mirror, 10**9, None, tuple(files))
    bundle.write(prepared, tmp_path / "parts", quiet, catalogues.load())
    done = unbundling.unbundle(there.mirror, [tmp_path / "parts"], quiet, there)
    assert done.generations == (OTHER,)
    assert f"it is the entry of generation {OTHER}" in done.refused[0]


def test_packed_generation_without_its_entry_is_no_bundle(here: Settings, tmp_path: Path) -> None:
    files = tuple(one for one in cache_carry.choose(here).files if not one.file.endswith("entry.json"))
    prepared = bundle_plan.prepare(here.mirror, 10**9, None, files)
    with pytest.raises(ValueError, match="not contain all files of a packed generation"):
        parts.check(prepared.description, prepared.known)


@pytest.mark.parametrize("name", [f"generation-{ID}.tar", f"generation-{ID}.entry.json"])
def test_lock_that_names_a_packed_generation_is_refused(here: Settings, name: str) -> None:
    known = lock.read(here.mirror).with_entry(lock.Entry(name="x", file=name, sha256="a" * 64, size=1, role="torch"))
    prepared = bundle_plan.prepare(here.mirror, 10**9)
    with pytest.raises(ValueError, match="which cannot be an artifact"):
        parts.check(prepared.description, known)


def test_packed_generation_that_the_other_side_has_stays(here: Settings, there: Settings, tmp_path: Path) -> None:
    carrying.make(there.mirror, {})
    own = put(there, tmp_path, builder="its own builder")
    done = carry(here, there, tmp_path / "parts")
    assert done.generations == ()
    assert cache.find(there, ID).entry == own


def test_damaged_one_on_the_other_side_is_replaced(here: Settings, there: Settings, tmp_path: Path) -> None:
    carrying.make(there.mirror, {})
    put(there, tmp_path)
    (there.mirror / TAR).write_bytes(b"damaged")
    assert carry(here, there, tmp_path / "parts").generations == (ID,)
    assert cache.find(there, ID).entry


def test_damaged_one_is_not_carried_and_named(here: Settings, there: Settings, tmp_path: Path) -> None:
    put(here, tmp_path, OTHER)
    (here.mirror / TAR).write_bytes(b"damaged")
    chosen = cache_carry.choose(here)
    assert {cache_files.generation_of(one.file) for one in chosen.files} == {OTHER}
    assert f"the packed generation {ID}: {here.mirror / TAR} has 7 bytes" in chosen.remarks[0]
    with pytest.raises(UsageError, match="has 7 bytes"):
        cache_carry.choose(here, [ID])
    assert carry(here, there, tmp_path / "parts").generations == (OTHER,)


def test_tar_that_is_changed_while_it_is_written_is_named(here: Settings, there: Settings, tmp_path: Path) -> None:
    file = here.mirror / TAR
    content = bytearray(file.read_bytes())
    content[-5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(Exception, match=f"generation-{ID}.tar: what is there does not have the digest"):
        carry(here, there, tmp_path / "parts")


@pytest.mark.slow
def test_kill_at_any_change_loses_nothing(here: Settings, there: Settings, tmp_path: Path) -> None:
    carry(here, there, tmp_path / "parts")
    wanted = tree(there.mirror)
    for number in range(1, 120, 5):
        side = Settings(mirror=tmp_path / f"killed {number}" / "mirror")
        side.mirror.parent.mkdir()

        def take(side: Settings = side) -> object:
            return unbundling.unbundle(side.mirror, [tmp_path / "parts"], quiet, side)

        killed = carrying.forked(take, number)
        take()
        assert tree(side.mirror) == wanted, number
        if not killed:
            break
    else:
        pytest.fail("the command makes more changes than were tried")


def provision(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", *(str(word) for word in words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out + said.err


@pytest.fixture
def at_home(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """We are in the directory of the site with the mirror."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(here.mirror.parent)
    return here.mirror.parent


def test_packed_generations_are_chosen_and_left_out(
    here: Settings, at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(here, tmp_path, OTHER)

    def planned(*words: str) -> list[str]:
        code, said = provision(capsys, "bundle", "--to", "parts", "--plan", "--json", *words)
        assert code == 0
        found: list[str] = json.loads(said)["generations"]
        return found

    assert planned() == [ID, OTHER]
    assert planned("--cached", OTHER) == [OTHER]
    assert planned("--no-cache") == []
    code, said = provision(capsys, "bundle", "--to", "parts", "--cached", "e" * 16)
    assert (code, "the cache does not have it" in said) == (2, True)
    assert provision(capsys, "bundle", "--to", "parts", "--cached", ID, "--no-cache")[0] == 2
    assert not (at_home / "parts").exists()


def test_commands_say_what_they_do_with_packed_generations(
    here: Settings, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provision(capsys, "bundle", "--to", "parts")[0] == 0
    (contents,) = (at_home / "parts").glob("*-contents.txt")
    assert f"  file     generation-{ID}.tar" in contents.read_text()
    assert f"generation-{ID}.tar" in next((at_home / "parts").glob("*.cdx.json")).read_text()
    code, said = provision(capsys, "unbundle", "parts", "-m", "other", "--plan")
    assert (code, f"would put into the cache: the packed generation {ID}" in said) == (0, True)
    code, said = provision(capsys, "unbundle", "parts", "-m", "other")
    assert (code, f"put into the cache: the packed generation {ID}" in said) == (0, True)
    code, said = provision(capsys, "state", "-m", "other", "--out", "state.json")
    assert code == 0
    code, said = provision(capsys, "bundle", "--to", "more", "--against", "state.json")
    assert (code, "nothing to carry" in said) == (0, True)


def test_refused_packed_generation_is_said_and_the_exit_code_is_one(
    here: Settings, at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_needs(here, tmp_path)
    assert provision(capsys, "bundle", "--to", "parts")[0] == 0
    code, said = provision(capsys, "unbundle", "parts", "-m", "other")
    assert code == 1
    assert f"the packed generation {ID} is not taken: its entry does not say" in said


def test_verification_of_the_mirror_looks_at_the_cache(
    here: Settings, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "1 packed generations: " in provision(capsys, "verify")[1]
    content = bytearray((here.mirror / TAR).read_bytes())
    content[-1] ^= 1
    (here.mirror / TAR).write_bytes(content)
    code, said = provision(capsys, "verify")
    assert code == 1
    assert f"the packed generation {ID} cannot be used: " in said
    assert "it was changed" in said
