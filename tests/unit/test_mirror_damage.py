"""Hundreds of damaged archives and locks from a seed: no traceback, no code 3, no lost file, and bounds."""

from __future__ import annotations

import functools
import gzip
import io
import random
import re
import resource
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import MirrorError, ProvisionError
from neuraltalk_provision.mirror import archive, guard, lock, store
from tests.unit import archives
from tests.unit.archives import member, pack
from tests.unit.catalogue import NN, SMALL
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
Change = Callable[[random.Random, bytearray], bytearray]
SECONDS = 2
"""How long one damaged file may take, on a busy machine."""
MEMORY = 512 << 20


def flip(chance: random.Random, content: bytearray) -> bytearray:
    for _ in range(chance.choice((1, 1, 3, 30))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def flip_in_header(chance: random.Random, content: bytearray) -> bytearray:
    """A damaged field of a header, with a checksum that is right for it."""
    headers = [start for start in range(0, len(content) - 511, 512) if content[start + 257 : start + 262] == b"ustar"]
    if not headers:
        return content
    start = chance.choice(headers)
    content[start + chance.randrange(345)] = chance.choice(b"\0 /.7129\xff\x80xgLKS")
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 155] = b"%06o\0" % sum(content[start : start + 512])
    return content


def truncate(chance: random.Random, content: bytearray) -> bytearray:
    return content[: chance.randrange(len(content))]


def swap(chance: random.Random, content: bytearray) -> bytearray:
    one, other = (512 * chance.randrange(max(1, len(content) // 512)) for _ in range(2))
    content[one : one + 512], content[other : other + 512] = content[other : other + 512], content[one : one + 512]
    return content


def repeat(chance: random.Random, content: bytearray) -> bytearray:
    start = 512 * chance.randrange(max(1, len(content) // 512))
    return content[:start] + content[start : start + 1024] * chance.choice((1, 2, 50)) + content[start:]


def lose(chance: random.Random, content: bytearray) -> bytearray:
    start = 512 * chance.randrange(max(1, len(content) // 512))
    return content[:start] + content[start + 512 * chance.choice((1, 2)) :]


def fill(chance: random.Random, content: bytearray) -> bytearray:
    start = chance.randrange(len(content))
    content[start : start + 600] = chance.choice((b"\0", b"\xff", b"9")) * 600
    return content


CHANGES: tuple[Change, ...] = (flip, flip_in_header, flip_in_header, truncate, swap, repeat, lose, fill)


@functools.cache
def tars() -> tuple[bytes, ...]:
    """Good archives of nn, in every format of tar, with every kind of member."""
    made = []
    for format_ in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
            tar.addfile(member("nn", tarfile.DIRTYPE))
            for name, text in {**archives.NN, "nn/a": "a" * 1500, "nn/" + "d" * 60 + "/" + "e" * 70: "e"}.items():
                info = member(name)
                info.size, info.mtime = len(text), 1.5 if format_ == tarfile.PAX_FORMAT else 1
                tar.addfile(info, io.BytesIO(text.encode()))
            tar.addfile(member("nn/l", tarfile.SYMTYPE, "a"))
            tar.addfile(member("nn/h", tarfile.LNKTYPE, "nn/a"))
        made.append(buffer.getvalue())
    return tuple(made)


def damaged(seed: int) -> bytes:
    """One damaged archive: before it is compressed, after it, or without compression."""
    chance = random.Random(seed)
    content = bytearray(chance.choice(tars()))
    when = chance.choice(("before", "before", "after", "plain"))
    if when == "after":
        content = bytearray(gzip.compress(bytes(content), mtime=0))
    changes = [change for change in CHANGES if when != "after" or change is not flip_in_header]
    for _ in range(chance.choice((1, 1, 2))):
        content = chance.choice(changes)(chance, content) or content
        if not content or content[257:262] != b"ustar":
            break
    return gzip.compress(bytes(content), mtime=0) if when == "before" else bytes(content)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more memory than the process has now, and `MEMORY`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    found = re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    resource.setrlimit(resource.RLIMIT_AS, (int(found[1]) * 1024 + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mirror of a site, where we are; holds torch and weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    pack(tmp_path / "torch.tgz", archives.TORCH)
    (tmp_path / "w.bin").write_bytes(b"weights")
    for name in ("torch.tgz", "w.bin"):
        store.add(tmp_path / "mirror", tmp_path / name, SMALL)
    return tmp_path / "mirror"


def add(capsys: pytest.CaptureFixture[str], mirror: Path, file: Path, *, by_command: bool) -> str:
    """Add the file; returns the refusal, empty if there is none. Any exception but our own fails the test."""
    started = time.monotonic()
    said = ""
    if by_command:
        capsys.readouterr()
        code = main.boundary(["mirror", "add", "--mirror", str(mirror), str(file)])
        err = capsys.readouterr().err
        assert code in (0, 2), err
        said = err if code else ""
        assert not code or "next: " in err
    else:
        try:
            store.add(mirror, file, SMALL)
        except ProvisionError as error:
            said = error.message
            assert error.advice
    assert time.monotonic() - started < SECONDS
    return said


def contents(mirror: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in mirror.iterdir() if path.name != guard.FILE_NAME}


def tree_of(place: Path) -> dict[str, bytes]:
    return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.mark.slow
def test_damaged_archives_are_refused_or_unpacked_as_they_were_inspected(
    capsys: pytest.CaptureFixture[str], mirror: Path, tmp_path: Path, run_module: Run, little_memory: None
) -> None:
    before = contents(mirror)
    accepted = 0
    for seed in range(180):
        file = tmp_path / "nn.tgz"
        file.write_bytes(damaged(seed))
        place = tmp_path / "tree"
        if add(capsys, mirror, file, by_command=seed % 10 == 0):
            assert contents(mirror) == before, seed
            continue
        accepted += 1
        read = archive.read(file, NN, texts=("*",))
        run_module("artifact_unpack", src=file, dest=place)
        links = {name for name, kind in read.members.items() if kind == "link"}
        assert {n: t.decode("utf-8", "replace") for n, t in tree_of(place).items()} == {
            n: t for n, t in read.texts.items() if n not in links
        }, seed
        before = contents(mirror)
    assert {"torch.tgz", "w.bin", lock.FILE_NAME} <= set(before)
    assert 10 < accepted < 200


def test_hosts_refuse_what_the_mirror_refuses(tmp_path: Path, run_module: Run) -> None:
    for seed in range(180, 260):
        (tmp_path / "nn.tgz").write_bytes(damaged(seed))
        try:
            read = archive.read(tmp_path / "nn.tgz", NN)
        except MirrorError:
            read = None
        try:
            run_module("artifact_unpack", src=tmp_path / "nn.tgz", dest=tmp_path / "tree")
        except ModuleError:
            assert read is None, seed
        # A host sets modes itself, so it unpacks what the mirror refuses for its modes.


def wrong_lock(seed: int, text: str) -> bytes:
    """One damaged lock: its bytes, its lines, its words."""
    chance = random.Random(seed)
    kind = chance.randrange(5)
    if kind == 0:
        return bytes(flip(chance, bytearray(text.encode())))
    if kind == 1:
        return text.encode()[: chance.randrange(len(text))]
    lines = text.splitlines()
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    if kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 3:
        lines.insert(one, lines[other])
    else:
        words = (
            "mirror.lock",
            "..",
            "/etc/passwd",
            "-1",
            "[" * 50,
            "&a [*a]",
            "!!python/object:os.system x",
            "w.bin",
            "torch.tgz",
            "NN.TGZ",
            "1e999",
            "\u202e",
            "9" * 5000,
            "'",
            "? {}",
            "{<<: 1}",
            "~",
        )
        key = lines[one].partition(":")[0]
        lines[one] = f"{key}: {chance.choice(words)}"
    return "\n".join(lines).encode() + b"\n"


def test_damaged_locks_are_refused_and_cost_no_file(
    capsys: pytest.CaptureFixture[str], mirror: Path, tmp_path: Path, little_memory: None
) -> None:
    text = (mirror / lock.FILE_NAME).read_text()
    files = {name: content for name, content in contents(mirror).items() if name != lock.FILE_NAME}
    file = pack(tmp_path / "nn.tgz", archives.NN)
    refused = 0
    for seed in range(100):
        (mirror / lock.FILE_NAME).write_bytes(wrong_lock(seed, text))
        written = (mirror / lock.FILE_NAME).read_bytes()
        if seed % 10 == 0:
            assert main.boundary(["mirror", "list", "--mirror", str(mirror)]) in (0, 2)
        refusal = add(capsys, mirror, file, by_command=seed % 10 == 1)
        kept = contents(mirror)
        assert {name: kept.get(name) for name in files} == files, seed
        if refusal:
            refused += 1
            assert kept[lock.FILE_NAME] == written, seed
        for path in mirror.iterdir():
            if path.name not in files and path.name != guard.FILE_NAME:
                path.unlink()
    assert 30 < refused < 100
