"""Inspection and unpacking follow one rule: what one refuses, the other refuses, and what is inspected is unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.catalogue.model import Artifact
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import archive
from tests.unit.archives import member, pack
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
ARTIFACT = Artifact(name="nn", role="lua_rocks", matches=("nn.tgz",), holds=("init.lua",))
TREE = {"nn/init.lua": "return 1\n", "nn/sub/a.lua": "a\n", "nn/z.lua": "z\n"}
LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def plain(texts: dict[str, str] = TREE, extra: list[tarfile.TarInfo] | None = None) -> bytes:
    """The bytes of an archive without compression, ended by two blocks of zeros and no more."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, text in texts.items():
            info = member(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in extra or []:
            tar.addfile(info)
        end = tar.offset
    return buffer.getvalue()[:end] + bytes(1024)


def damaged_header() -> bytes:
    """The header of the second member is damaged: tarfile ends there, GNU tar goes on with the third."""
    content = bytearray(plain())
    content[1024 + 150] ^= 1
    return bytes(content)


def sized(info: tarfile.TarInfo, size: int) -> bytes:
    """An archive whose last member says that it has `size` bytes, without them."""
    info.size = size
    head = plain()[:-1024]
    return head + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def sparse_pax() -> bytes:
    info = member("nn/sparse")
    info.pax_headers = {"GNU.sparse.size": str(8 << 30), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}
    return plain()[:-1024] + info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def pax(records: bytes) -> bytes:
    """An archive with these PAX attributes before its last member."""
    head = member("nn/x", tarfile.XHDTYPE)
    head.size = len(records)
    block = head.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)
    return plain()[:-1024] + block + member("nn/y").tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def sparse_old() -> bytes:
    return sized(member("nn/sparse", tarfile.GNUTYPE_SPARSE), 0)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("nn/init.lua", "return 1\n")
    return buffer.getvalue()


def links(*pairs: tuple[str, str], hard: tuple[tuple[str, str], ...] = ()) -> bytes:
    return plain(extra=[member(n, LINK, t) for n, t in pairs] + [member(n, HARD, t) for n, t in hard])


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a damaged header with members after it": (damaged_header, "damaged"),
    "garbage after the end": (lambda: plain() + b"garbage", "after its end"),
    "a second archive after the end": (lambda: plain() + plain(), "after its end"),
    "garbage after gzip": (lambda: gzip.compress(plain()) + b"garbage", "not a complete tar archive"),
    "no end": (lambda: plain()[:-1024], "not a complete tar archive"),
    "xz": (lambda: lzma.compress(plain()), "compressed with xz"),
    "bzip2": (lambda: bz2.compress(plain()), "compressed with bzip2"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + bytes(600), "compressed with zstd"),
    "zip": (zipped, "is a zip archive"),
    "a web page": (lambda: b"  <!DOCTYPE HTML><title>Log in</title>", "is a web page"),
    "nothing": (lambda: b"", "is empty"),
    "zeros": (lambda: bytes(10240), "contains no files"),
    "a hard link to nothing": (lambda: links(hard=(("nn/h", "nn/none"),)), "is a hard link to nn/none"),
    "a hard link to a later file": (
        lambda: plain({}, [member("nn/h", HARD, "nn/init.lua")])[:-1024] + plain(),
        "is a hard link to nn/init.lua",
    ),
    "a hard link to a link": (lambda: links(("nn/l", "z.lua"), hard=(("nn/h", "nn/l"),)), "is a hard link to nn/l"),
    "a hard link to a directory": (
        lambda: plain(extra=[member("nn/d", FOLDER), member("nn/h", HARD, "nn/d")]),
        "is a hard link to nn/d",
    ),
    "a chain of links that leaves": (lambda: links(("nn/doc2", "."), ("nn/up", "doc2/../x")), "points out"),
    "a chain in the other order": (lambda: links(("nn/up", "doc2/../x"), ("nn/doc2", ".")), "points out"),
    "a long chain": (
        lambda: links(*[(f"nn/l{n}", f"l{n + 1}/.") for n in range(30)], ("nn/l30", "sub/../..")),
        "points",
    ),
    "a file twice": (lambda: plain(extra=[member("nn/z.lua")]), "nn/z.lua is twice in the archive"),
    "a file and a directory": (lambda: plain(extra=[member("nn/z.lua", FOLDER)]), "is twice in the archive"),
    "a directory and a file": (lambda: plain(extra=[member("nn/sub")]), "is twice in the archive"),
    "a link and a directory": (
        lambda: plain(extra=[member("nn/l", LINK, "."), member("nn/l", FOLDER)]),
        "is twice in the archive",
    ),
    "a file below a file": (lambda: plain(extra=[member("nn/z.lua/x")]), "is below"),
    "a file below a link": (lambda: plain(extra=[member("nn/l", LINK, "sub"), member("nn/l/x")]), "is below"),
    "names that differ in case": (lambda: plain(extra=[member("nn/Z.lua")]), "differ only in case"),
    "directories that differ in case": (lambda: plain(extra=[member("nn/SUB/b.lua")]), "differ only in case"),
    "an empty name": (lambda: sized(member(""), 0), "without a name"),
    "a line break in a name": (lambda: plain(extra=[member("nn/a\nb")]), "control character"),
    "an escape in a name": (lambda: plain(extra=[member("nn/\x1b[2J")]), "control character"),
    "a name that is not UTF-8": (lambda: plain(extra=[member("nn/caf\udce9")]), "UTF-8"),
    "a name of 3,000 characters": (lambda: plain(extra=[member("nn/" + "x/" * 1500)]), "too long"),
    "a name of 300 directories": (lambda: plain(extra=[member("nn/" + "x/" * 300)]), "too long"),
    "a directory with data": (lambda: sized(member("nn/d", FOLDER), 512), "has data"),
    "a link with data": (lambda: sized(member("nn/l", LINK, "z.lua"), 512), "has data"),
    "a file of 8 EiB": (lambda: sized(member("nn/big"), (1 << 63) - 1), "unpacked"),
    "a negative size": (lambda: sized(member("nn/neg"), -512), "damaged"),
    "a sparse file of PAX": (sparse_pax, "sparse"),
    "a sparse file of GNU": (sparse_old, "sparse"),
    "attributes without a length": (lambda: pax(b"x path=nn/z\n"), "PAX attributes are damaged"),
    "attributes of no length": (lambda: pax(b"0 path=nn/z\n"), "PAX attributes are damaged"),
    "attributes longer than they are": (lambda: pax(b"99 path=nn/z\n"), "PAX attributes are damaged"),
    "attributes without an end": (lambda: pax(b"13 path=nn/zz"), "PAX attributes are damaged"),
    "attributes with another size": (lambda: pax(b"11 size=9\n\n"), "unusual PAX attribute"),
    "a name of 1 GiB": (lambda: sized(member("././@LongLink", tarfile.GNUTYPE_LONGNAME), 1 << 30), "damaged"),
    "a PAX header of 1 GiB": (lambda: sized(member("nn/x", tarfile.XHDTYPE), 1 << 30), "damaged"),
    "two entries at its top": (lambda: plain({**TREE, "README.md": ""}), "at its top are README.md, nn"),
    "an unknown kind": (lambda: plain(extra=[member("nn/x", b"V")]), "is not a file, a directory or a link"),
}


@pytest.mark.parametrize("name", BAD)
def test_archive_is_refused_by_both_sides(tmp_path: Path, run_module: Run, name: str) -> None:
    content, words = BAD[name]
    file = tmp_path / "nn.tgz"
    file.write_bytes(content())
    with pytest.raises(MirrorError) as caught:
        archive.inspect(file, ARTIFACT)
    assert words in caught.value.message
    assert caught.value.message.startswith(str(file))
    assert caught.value.advice
    with pytest.raises(ModuleError) as refused:
        run_module("artifact_unpack", src=file, dest=tmp_path / "tree")
    assert words in str(refused.value)


def tree_of(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in place.rglob("*")
        if path.is_symlink() or path.is_file()
    }


GOOD: dict[str, Callable[[], bytes]] = {
    "plain": plain,
    "gzip": lambda: gzip.compress(plain()),
    "gzip in two parts": lambda: gzip.compress(plain()[:1000]) + gzip.compress(plain()[1000:]),
    "padded": lambda: plain() + bytes(10240),
    "one block of zeros": lambda: plain()[:-512],
    "links": lambda: links(("nn/l", "z.lua"), ("nn/sub/up", ".."), ("nn/gone", "none"), hard=(("nn/h", "nn/z.lua"),)),
    "a directory twice": lambda: plain(extra=[member("nn/sub", FOLDER), member("nn/sub/", FOLDER)]),
    "what a Mac adds": lambda: plain({"._nn": "m", "nn/._init.lua": "m", "nn/.DS_Store": "m", **TREE}),
    "dots in names": lambda: plain({"nn/init.lua": "1", "nn/./x/./y": "1", "nn/..z": "1"}),
    "a long name": lambda: plain({**TREE, "nn/" + "d" * 90 + "/" + "e" * 90: "1"}),
    "names beyond ASCII": lambda: plain({"nn/init.lua": "1", "nn/é 'q' \"r\".lua": "1"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_inspected_is_what_is_unpacked(tmp_path: Path, run_module: Run, name: str) -> None:
    file = tmp_path / "nn.tgz"
    file.write_bytes(GOOD[name]())
    contents = archive.read(file, ARTIFACT, texts=("*",))
    run_module("artifact_unpack", src=file, dest=tmp_path / "tree")
    unpacked = tree_of(tmp_path / "tree")
    assert contents.members.items() >= {(n, "link") for n, text in unpacked.items() if text.startswith("-> ")}
    assert set(unpacked) == {n for n, kind in contents.members.items() if kind != "directory"}
    assert {n: text for n, text in unpacked.items() if not text.startswith("-> ")} == dict(contents.texts)


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_format_of_tar_is_read(tmp_path: Path, run_module: Run, format_: int) -> None:
    with tarfile.open(tmp_path / "nn.tgz", "w:gz", format=format_) as tar:
        for name, text in {**TREE, "nn/" + "d" * 60 + "/" + "e" * 60: "1"}.items():
            info = member(name)
            info.size, info.mtime = len(text), 1234567890
            if format_ == tarfile.PAX_FORMAT:
                info.mtime = 1234567890.5
            tar.addfile(info, io.BytesIO(text.encode()))
    assert "init.lua" in archive.read(tmp_path / "nn.tgz", ARTIFACT).members
    assert run_module("artifact_unpack", src=tmp_path / "nn.tgz", dest=tmp_path / "tree")["members"] == 4


@pytest.mark.parametrize("time", ["nan", "inf", "-1e300", "99999999999999999999"])
def test_time_that_no_file_system_knows_is_no_reason_to_fail(tmp_path: Path, run_module: Run, time: str) -> None:
    info = member("nn/odd")
    info.pax_headers = {"mtime": time}
    (tmp_path / "nn.tgz").write_bytes(plain()[:-1024] + info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    archive.inspect(tmp_path / "nn.tgz", ARTIFACT)
    run_module("artifact_unpack", src=tmp_path / "nn.tgz", dest=tmp_path / "tree")
    assert (tmp_path / "tree" / "odd").exists()


@pytest.mark.parametrize("kind", [FOLDER, LINK])
def test_directory_or_broken_link_is_not_the_file_that_is_demanded(tmp_path: Path, kind: bytes) -> None:
    texts = {"nn/other": ""}
    pack(tmp_path / "nn.tgz", texts, [member("nn/init.lua", kind, "none")])
    with pytest.raises(MirrorError, match=r"init\.lua") as caught:
        archive.inspect(tmp_path / "nn.tgz", ARTIFACT)
    assert caught.value.advice


def test_link_to_a_file_counts_as_the_file(tmp_path: Path) -> None:
    pack(tmp_path / "nn.tgz", {"nn/real.lua": ""}, [member("nn/init.lua", LINK, "a"), member("nn/a", LINK, "real.lua")])
    archive.inspect(tmp_path / "nn.tgz", ARTIFACT)


def test_flat_archive_keeps_its_names(tmp_path: Path, run_module: Run) -> None:
    flat = Artifact(name="p", role="hdf5", matches=("p.tar",), flat=True)
    file = pack(tmp_path / "p.tar", {"./a.whl": "a", "b.whl": "b", "sub/c": "c"}, mode="w")
    assert set(archive.read(file, flat).members) >= {"a.whl", "b.whl", "sub/c"}
    run_module("artifact_unpack", src=file, dest=tmp_path / "tree", strip=0)
    assert set(tree_of(tmp_path / "tree")) == {"a.whl", "b.whl", "sub/c"}
