"""The cache of packed generations: written last, never used damaged, signed where signatures are demanded."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import struct
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import cache, cache_needs, elf, lock, signing, ssh_keygen
from neuraltalk_provision.mirror.cache_entry import CacheEntry, mismatch
from neuraltalk_provision.rules import pack
from neuraltalk_provision.settings import Settings
from tests.unit import signed
from tests.unit.test_generation_pack import FOLDER, archive, listing, sha256, written
from tests.unit.test_runtime import entry

ID = "0a1b2c3d4e5f6071"
PYTHON = Path(sys.executable).resolve().read_bytes()
RUNTIME = b'hdf5._config.RUNTIME_SONAME = "libhdf5_serial.so.103"\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return signed.site(tmp_path)


def tar(folder: Path, files: dict[str, bytes]) -> Path:
    """A packed generation with these files."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    entries = [{**FOLDER, "path": name} for name in folders]
    entries += [{**written(Path(name), content), "path": name} for name, content in files.items()]
    list_of_all = listing(*sorted(entries, key=lambda one: str(one["path"])))
    return archive(folder / "made.tar", ("manifest", list_of_all), *files.items())


def published(settings: Settings, tmp_path: Path, **more: Any) -> CacheEntry:
    content = tar(tmp_path, {"a": b"a"}).read_bytes()
    made = entry(sha256=sha256(content), size=len(content), **more)
    incoming = cache.incoming(settings.mirror, ID)
    incoming.write_bytes(content)
    cache.publish(settings.mirror, made, incoming)
    return made


def right(settings: Settings, tmp_path: Path) -> CacheEntry:
    """An entry that demands of hosts what is in its tar."""
    needs = cache_needs.inspect(tar(tmp_path, {"a": b"a"})).needs.model_dump()
    return published(settings, tmp_path, needs=needs, left_out=[])


def place(settings: Settings) -> Path:
    return settings.mirror / "cache" / ID


def problem(settings: Settings) -> str:
    found = cache.find(settings, ID)
    assert found.entry is None
    return found.problem


def test_entry_is_found_as_it_was_published(settings: Settings, tmp_path: Path) -> None:
    assert cache.find(settings, ID) == cache.Found(ID)
    made = published(settings, tmp_path)
    assert cache.find(settings, ID) == cache.Found(ID, made)
    assert sorted(file.name for file in place(settings).iterdir()) == ["entry.json", f"generation-{ID}.tar"]
    assert lock.read(settings.mirror)  # the lock does not know the cache


def test_entry_without_its_last_file_is_incomplete(settings: Settings, tmp_path: Path) -> None:
    published(settings, tmp_path)
    (place(settings) / "entry.json").unlink()
    assert "it is incomplete" in problem(settings)


def test_tar_that_was_changed_cut_or_removed_is_not_used(settings: Settings, tmp_path: Path) -> None:
    made = published(settings, tmp_path)
    file = place(settings) / made.file
    content = file.read_bytes()
    file.write_bytes(content[:600] + b"x" + content[601:])
    assert "it was changed" in problem(settings)
    assert cache.find(settings, ID, hashed=False).entry == made
    file.write_bytes(content[:-1])
    assert "it is incomplete or was changed" in problem(settings)
    file.unlink()
    assert "is missing" in problem(settings)
    file.symlink_to("/dev/zero")
    assert "is not a regular file" in problem(settings)


DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda one: b"{",
    "unknown field": lambda one: {**one, "more": 1},
    "negative size": lambda one: {**one, "size": -1},
    "huge": lambda one: {**one, "size": 1 << 50},
    "path as library": lambda one: {**one, "needs": {**one["needs"], "libraries": {"/etc/shadow": []}}},
    "option as package": lambda one: {**one, "packages": {"libz.so.1": "--force"}},
    "later format": lambda one: {**one, "schema_version": 2},
    "too large": lambda one: b" " * (2 << 20),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_entry_is_a_problem_in_words(what: str, settings: Settings, tmp_path: Path) -> None:
    published(settings, tmp_path)
    file = place(settings) / "entry.json"
    changed = DAMAGED[what](json.loads(file.read_text()))
    file.write_bytes(changed if isinstance(changed, bytes) else json.dumps(changed).encode())
    assert "entry.json" in problem(settings)
    assert [one.problem for one in cache.every(settings, hashed=False)] == [problem(settings)]


def test_entry_of_another_generation_is_not_used(settings: Settings, tmp_path: Path) -> None:
    published(settings, tmp_path)
    other = "f" * 16
    place(settings).rename(settings.mirror / "cache" / other)
    assert f"it is the entry of generation {ID}" in cache.find(settings, other).problem


def test_entry_with_other_components_is_not_the_recipes() -> None:
    made = entry()
    right = (made.components, made.platform, made.stack_root)
    assert mismatch(made, *right) == ""
    assert mismatch(made, {"torch": "f" * 16}, *right[1:]) == "its components are not those of the recipe"
    assert "it was built for debian-12-x86_64" in mismatch(made, made.components, "debian-11-x86_64", made.stack_root)
    assert "below /opt/neuraltalk" in mismatch(made, made.components, made.platform, "/srv/stack")


def test_unsigned_entry_is_refused_where_signatures_are_demanded(settings: Settings, tmp_path: Path) -> None:
    right(settings, tmp_path)
    key = signed.new_key(tmp_path, "alice")
    demanding = settings.model_copy(update={"mirror_trust": "signed"})
    signed.allow(settings, f"alice {signed.public(key)}")
    assert "it has no signature" in problem(demanding)
    cache.sign(demanding.mirror, ID, signing.Key(file=key))
    assert cache.find(demanding, ID).entry
    stranger = signed.new_key(tmp_path, "mallory")
    right(settings, tmp_path)
    assert "it has no signature" in problem(demanding), "a new entry needs a new signature"
    cache.sign(demanding.mirror, ID, signing.Key(file=stranger))
    assert "unknown key" in problem(demanding)
    cache.sign(demanding.mirror, ID, signing.Key(file=key))
    file = place(settings) / "entry.json"
    file.write_bytes(file.read_bytes().replace(b"node1", b"node2"))
    assert "other content" in problem(demanding)


def test_entry_is_not_signed_if_its_tar_is_damaged(settings: Settings, tmp_path: Path) -> None:
    made = right(settings, tmp_path)
    key = signing.Key(file=signed.new_key(tmp_path, "alice"))
    (place(settings) / made.file).write_bytes(b"x" * made.size)
    with pytest.raises(MirrorError, match="it was changed"):
        cache.sign(settings.mirror, ID, key)
    assert not (place(settings) / "entry.json.sig.d").exists()


def test_entry_is_not_signed_if_it_demands_less_than_its_programs_need(settings: Settings, tmp_path: Path) -> None:
    made = right(settings, tmp_path)
    other = made.model_copy(update={"left_out": ("a" * 64,)})
    (place(settings) / "entry.json").write_bytes(other.as_bytes())
    with pytest.raises(MirrorError, match="does not say which files of the mirror it needs"):
        cache.sign(settings.mirror, ID, signing.Key(file=signed.new_key(tmp_path, "alice")))


def test_entry_that_changes_while_it_is_signed_is_not_signed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = right(settings, tmp_path)
    key = signing.Key(file=signed.new_key(tmp_path, "alice"))
    real = signing.signature_of

    def change(content: bytes, key: signing.Key) -> ssh_keygen.Armored:
        (place(settings) / "entry.json").write_bytes(made.model_copy(update={"builder": "mallory"}).as_bytes())
        return real(content, key)

    monkeypatch.setattr(signing, "signature_of", change)
    with pytest.raises(MirrorError, match="changed while it was signed"):
        cache.sign(settings.mirror, ID, key)
    assert not (place(settings) / "entry.json.sig.d").exists()


def test_leftovers_of_killed_commands_are_removed_and_those_of_running_ones_stay(settings: Settings) -> None:
    mine = cache.incoming(settings.mirror, ID)
    mine.write_bytes(b"running")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-999999999-"))
    dead.write_bytes(b"dead")
    other = cache.incoming(settings.mirror, ID)
    assert other != mine, "two commands in two containers can have the same pid"
    assert (mine.exists(), dead.exists()) == (True, False)


def test_leftovers_of_a_generation_that_nobody_needs_any_more_are_removed_too(settings: Settings) -> None:
    """Each is as large as a stack, and the mirror was changed after the kill."""
    left = cache.incoming(settings.mirror, "f" * 16)
    dead = left.with_name(left.name.replace(f"-{os.getpid()}-", "-999999999-"))
    dead.write_bytes(b"dead")
    cache.incoming(settings.mirror, ID)
    assert [file.name for file in (settings.mirror / "cache").iterdir()] == [ID]


def test_file_of_a_command_on_another_machine_or_in_another_container_stays_for_a_day(settings: Settings) -> None:
    mine = cache.incoming(settings.mirror, ID)
    there = re.sub(r"-[0-9a-f]{8}-", "-00000000-", mine.name, count=1)
    left = [mine.with_name(name) for name in (there, f"{there}.part", ".incoming-1.tar")]
    for file in left:
        file.write_bytes(b"fetching")
    cache.incoming(settings.mirror, ID)
    assert [file.exists() for file in left] == [True, True, True]
    for file in left:
        os.utime(file, (time.time() - 90_000,) * 2)
    cache.incoming(settings.mirror, ID)
    assert [file.exists() for file in left] == [False, False, False]


def test_others_read_and_write_the_cache_as_the_mirror_whatever_the_umask_is(
    settings: Settings, tmp_path: Path
) -> None:
    settings.mirror.chmod(0o2775)
    before = os.umask(0o077)
    try:
        published(settings, tmp_path)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in settings.mirror.glob("cache/**/*")}
    assert modes == {ID: 0o2775, "entry.json": 0o644, f"generation-{ID}.tar": 0o644}
    assert stat.S_IMODE((settings.mirror / "cache").stat().st_mode) == 0o2775


def test_cache_that_cannot_be_filled_says_why(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.unwritable(settings.mirror) == ""
    monkeypatch.setattr(cache, "SMALLEST", 1 << 60)
    assert "MB free" in cache.unwritable(settings.mirror)
    (settings.mirror / "cache").write_text("x")
    assert cache.unwritable(settings.mirror) == f"{settings.mirror}/cache is not a directory"
    (settings.mirror / "cache").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written by this user" in cache.unwritable(settings.mirror)
    assert "cannot be used" in cache.unwritable(settings.mirror / ("x" * 300))


def test_entry_is_removed_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    published(settings, tmp_path)
    assert cache.remove(settings.mirror, ID) > 10_000
    assert not place(settings).exists()
    with pytest.raises(UsageError, match="the cache has no generation"):
        cache.remove(settings.mirror, ID)
    for name in ("..", "../mirror.lock", "", "0A1B2C3D4E5F6071"):
        with pytest.raises(UsageError, match="not the id of a generation"):
            cache.remove(settings.mirror, name)


def test_needs_are_those_of_all_programs_without_what_the_tar_has_itself(tmp_path: Path) -> None:
    plain = cache_needs.inspect(tar(tmp_path, {"bin/python": PYTHON})).needs
    assert "libc.so.6" in plain.libraries
    assert plain.machine == "x86_64"
    files = {"bin/python": PYTHON, "lib/libc.so.6": b"own", "torch/share/lua/5.1/hdf5/runtime.lua": RUNTIME}
    found = cache_needs.inspect(tar(tmp_path, files)).needs
    assert "libc.so.6" not in found.libraries
    assert found.libraries["libhdf5_serial.so.103"] == ()


def test_extension_modules_bind_a_tar_to_one_python(tmp_path: Path) -> None:
    assert not cache_needs.inspect(tar(tmp_path, {"torch/lib/lua.so": PYTHON})).extends_python
    assert cache_needs.inspect(tar(tmp_path, {"python/h5py/_conv.so": PYTHON})).extends_python


def without_sections(content: bytes) -> bytes:
    """The same program without its table of sections, which it does not need to run."""
    changed = bytearray(content)
    struct.pack_into("<Q", changed, 40, 0)
    struct.pack_into("<HH", changed, 60, 0, 0)
    return bytes(changed)


@pytest.mark.parametrize("change", [lambda content: content[:5000], without_sections])
def test_program_of_which_cannot_be_told_what_it_needs_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(MirrorError, match="it is not known what bin/odd needs"):
        cache_needs.inspect(tar(tmp_path, {"bin/odd": change(PYTHON), "bin/python": PYTHON}))


def test_programs_that_need_more_than_is_possible_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = frozenset(f"X_{number}" for number in range(3000))
    monkeypatch.setattr(cache_needs.elf, "read", lambda file: elf.Elf("x86_64", "", {"libx.so.1": many}))
    with pytest.raises(MirrorError, match="more than is possible"):
        cache_needs.inspect(tar(tmp_path, {"bin/python": PYTHON}))


def test_tar_with_more_than_its_list_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar", ("manifest", listing(FOLDER)), ("more", b"1"))
    with pytest.raises(MirrorError, match="more is not in its list"):
        cache_needs.inspect(file)
    (tmp_path / "y.tar").write_bytes(b"no tar")
    with pytest.raises(MirrorError, match="not a packed generation"):
        cache_needs.inspect(tmp_path / "y.tar")


def test_files_that_the_tar_lacks_are_told_by_their_sha256(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar", ("manifest", listing(written(Path("w"), b"weights"), written(Path("a"), b"a"))))
    with tarfile.open(file, "a") as opened:
        info = tarfile.TarInfo("a")
        info.size = 1
        opened.addfile(info, io.BytesIO(b"a"))
    assert cache_needs.inspect(file).lacks == (sha256(b"weights"),)


def test_differences_are_named_by_path(tmp_path: Path) -> None:
    one = cache_needs.inspect(tar(tmp_path, {"a": b"1", "b": b"2"})).entries
    two = cache_needs.inspect(tar(tmp_path, {"a": b"1", "b": b"3", "c": b"4"})).entries
    assert [path for path, _left, _right in pack.differences(one, two)] == ["b", "c"]
    assert pack.differences(one, one) == []


def test_tar_is_read_by_any_tar_program(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar(tmp_path, {"a": b"1"}).read_bytes())) as opened:
        assert opened.getnames() == ["manifest", "a"]
