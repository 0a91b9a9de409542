"""Archives: which are refused, and in what words."""

from __future__ import annotations

import errno
import io
import lzma
import os
import random
import tarfile
from pathlib import Path

import pytest

from neuraltalk_provision.catalogue.model import Artifact, Edit
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import archive
from neuraltalk_provision.rules import archives
from tests.unit.archives import TORCH, member, pack
from tests.unit.catalogue import EDIT
from tests.unit.catalogue import TORCH as TORCH_ARTIFACT

TREE = {"x/f.txt": "needle\n", "x/sub/g.txt": "g\n"}
ARTIFACT = Artifact(name="x", role="torch", matches=("x.tgz",), holds=("f.txt", "sub/*.txt"))
FLAT = Artifact(name="p", role="hdf5", matches=("p.tar",), flat=True)


def refusal(file: Path, artifact: Artifact = ARTIFACT, edits: tuple[Edit, ...] = ()) -> str:
    with pytest.raises(MirrorError) as caught:
        archive.inspect(file, artifact, edits)
    assert caught.value.advice or edits
    return caught.value.message


def test_archive_with_spaces_and_quotes_in_its_names_is_accepted(tmp_path: Path) -> None:
    file = pack(tmp_path / "a 'dir' with \"quotes\"" / "torch.tgz", TORCH)
    archive.inspect(file, TORCH_ARTIFACT, (EDIT,))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_broken_disk_is_not_called_a_damaged_archive(tmp_path: Path, mode: str) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    file = Broken(pack(tmp_path / "x.tgz", TREE, mode=mode).read_bytes())
    with pytest.raises(OSError, match="Input/output error"):
        list(archives.entries(file))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive_is_recognised_by_its_content_and_not_its_name(tmp_path: Path, mode: str) -> None:
    archive.inspect(pack(tmp_path / "x.tgz", TREE, mode=mode), ARTIFACT)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param(member("/etc/passwd"), "/etc/passwd is an absolute path", id="absolute path"),
        pytest.param(member("x/../../evil"), "x/../../evil contains '..'", id="dots"),
        pytest.param(member("x/sub/../y"), "x/sub/../y contains '..'", id="dots that stay within"),
        pytest.param(
            member("x/l", tarfile.SYMTYPE, "/etc/passwd"), "x/l is a link that points out", id="absolute link"
        ),
        pytest.param(
            member("x/l", tarfile.SYMTYPE, "../../etc"),
            "is a link that points out of the archive, to ../../etc",
            id="link up",
        ),
        pytest.param(
            member("x/l", tarfile.SYMTYPE, "../y"),
            "is a link that points out of the archive, to ../y",
            id="link beside",
        ),
        pytest.param(
            member("x/sub/l", tarfile.SYMTYPE, "../../x/f"),
            "points out of the archive, to ../../x/f",
            id="link out and in",
        ),
        pytest.param(
            member("x/l", tarfile.LNKTYPE, "/etc/passwd"),
            "is a hard link that points out of the archive",
            id="hard link",
        ),
        pytest.param(
            member("x/l", tarfile.LNKTYPE, "x/../../f"),
            "is a hard link that points out of the archive",
            id="hard link up",
        ),
        pytest.param(member("x/null", tarfile.CHRTYPE), "is not a file, a directory or a link", id="character device"),
        pytest.param(member("x/sda", tarfile.BLKTYPE), "is not a file, a directory or a link", id="block device"),
        pytest.param(member("x/pipe", tarfile.FIFOTYPE), "is not a file, a directory or a link", id="fifo"),
    ],
)
def test_archive_that_could_write_outside_its_directory_is_refused(
    tmp_path: Path, bad: tarfile.TarInfo, words: str
) -> None:
    assert words in refusal(pack(tmp_path / "x.tgz", TREE, [bad]))


@pytest.mark.parametrize("turned", [False, True])
def test_archive_whose_links_lead_out_together_is_refused(tmp_path: Path, turned: bool) -> None:
    """Each alone seems to stay: `doc` is the tree itself, so `doc/..` is above it."""
    links = [member("x/doc", tarfile.SYMTYPE, "."), member("x/up", tarfile.SYMTYPE, "doc/../y")]
    words = refusal(pack(tmp_path / "x.tgz", TREE, reversed(links) if turned else links))
    assert "up is a link that points out of the archive through other links, to doc/../y" in words


def test_link_that_goes_by_the_same_one_many_times_is_followed_to_its_end(tmp_path: Path) -> None:
    links = [member("x/s", tarfile.SYMTYPE, "."), member("x/l", tarfile.SYMTYPE, "s/" * 9 + "../y")]
    assert "l is a link that points out of the archive through other links" in refusal(
        pack(tmp_path / "x.tgz", TREE, links)
    )


def test_links_that_loop_or_climb_within_the_tree_are_accepted(tmp_path: Path) -> None:
    links = {"x/a": "b", "x/b": "a", "x/self": "self", "x/sub/up": "..", "x/far": "sub/up/sub/g.txt", "x/d": "./sub/"}
    archive.inspect(pack(tmp_path / "x.tgz", TREE, [member(n, tarfile.SYMTYPE, t) for n, t in links.items()]), ARTIFACT)


def test_archive_with_a_file_below_a_link_is_refused(tmp_path: Path) -> None:
    link = member("x/a", tarfile.SYMTYPE, "sub")
    assert "x/a/b is below a link" in refusal(pack(tmp_path / "x.tgz", TREE, [link, member("x/a/b")]))


def test_archive_whose_top_is_a_link_is_refused(tmp_path: Path) -> None:
    top = member("x", tarfile.SYMTYPE, "y")
    assert "x is a link at the top" in refusal(pack(tmp_path / "x.tgz", {}, [top, member("x/f")]))


@pytest.mark.parametrize("target", ["f.txt", "sub/g.txt", "./sub/../f.txt"])
def test_archive_with_a_link_within_its_directory_is_accepted(tmp_path: Path, target: str) -> None:
    link = member("x/l", tarfile.SYMTYPE, target)
    hard = member("x/h", tarfile.LNKTYPE, "x/f.txt")
    archive.inspect(pack(tmp_path / "x.tgz", TREE, [link, hard]), ARTIFACT)


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        (0o4755, tarfile.REGTYPE, "is setuid or setgid (mode 4755)"),
        (0o2755, tarfile.REGTYPE, "is setuid or setgid (mode 2755)"),
        (0o4755, tarfile.DIRTYPE, "is setuid or setgid (mode 4755)"),
        (0o666, tarfile.REGTYPE, "can be written by every user (mode 0666)"),
        (0o1777, tarfile.DIRTYPE, "can be written by every user (mode 1777)"),
    ],
)
def test_member_with_a_dangerous_mode_is_refused_with_the_cure(
    tmp_path: Path, mode: int, kind: bytes, words: str
) -> None:
    bad = member("x/train.lua", kind)
    bad.mode = mode
    with pytest.raises(MirrorError) as caught:
        archive.inspect(pack(tmp_path / "x.tgz", TREE, [bad]), ARTIFACT)
    assert f"x/train.lua {words}" in caught.value.message
    assert "chmod -R u-s,g-s,o-w" in caught.value.advice


def test_group_writable_members_setgid_folders_and_links_are_usual(tmp_path: Path) -> None:
    usual = [member("x/a"), member("x/d", tarfile.DIRTYPE), member("x/l", tarfile.SYMTYPE, "a"), member("x/._m")]
    for info, mode in zip(usual, (0o664, 0o2775, 0o777, 0o666), strict=True):
        info.mode = mode
    archive.inspect(pack(tmp_path / "x.tgz", TREE, usual), ARTIFACT)


def test_flat_archive_may_hold_many_files_at_its_top_but_no_way_out(tmp_path: Path) -> None:
    archive.inspect(pack(tmp_path / "p.tar", {"./a.whl": "a", "b.whl": "b"}, mode="w"), FLAT)
    bad = pack(tmp_path / "q.tar", {"a.whl": "a"}, [member("l", tarfile.SYMTYPE, "../x")], mode="w")
    assert "points out" in refusal(bad, FLAT)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"x/f.txt": "", "y/f.txt": ""}, "at its top are x, y"),
        ({"x/f.txt": "", "README": ""}, "at its top are README, x"),
        ({"f.txt": "", "sub/g.txt": ""}, "f.txt is a file at the top"),
        ({"f.txt": ""}, "f.txt is a file at the top"),
        ({}, "contains no files"),
    ],
)
def test_archive_without_one_directory_around_it_is_refused(tmp_path: Path, texts: dict[str, str], words: str) -> None:
    assert words in refusal(pack(tmp_path / "x.tgz", texts))


def test_archive_packed_with_a_dot_before_its_directory_is_refused_with_the_cure(tmp_path: Path) -> None:
    """tar drops the `.` and not the directory when it unpacks such a one."""
    dotted = {f"./{name}": text for name, text in TREE.items()}
    with pytest.raises(MirrorError) as caught:
        archive.inspect(pack(tmp_path / "x.tgz", dotted), ARTIFACT)
    assert "it has no file called f.txt, sub/*.txt" in caught.value.message
    assert "Its names begin with ./" in caught.value.advice
    assert "tar czf x.tgz x" in caught.value.advice
    one_too_many = {"x/README": "", **{f"x/{name}": text for name, text in TREE.items()}}
    with pytest.raises(MirrorError) as caught:
        archive.inspect(pack(tmp_path / "y.tgz", one_too_many), ARTIFACT)
    assert "one directory too many: pack x from outside" in caught.value.advice


def test_archive_packed_from_inside_with_a_dot_is_accepted(tmp_path: Path) -> None:
    archive.inspect(pack(tmp_path / "x.tgz", {"./f.txt": "", "./sub/g.txt": ""}), ARTIFACT)


def test_archive_from_a_mac_is_accepted(tmp_path: Path) -> None:
    archive.inspect(pack(tmp_path / "x.tgz", {"._x": "mac", "x/._f.txt": "mac", **TREE}), ARTIFACT)


def test_appledouble_file_does_not_count_as_the_file_itself(tmp_path: Path) -> None:
    assert "called sub/*.txt" in refusal(pack(tmp_path / "x.tgz", {"x/f.txt": "", "x/sub/._g.txt": "mac"}))


def test_archive_with_an_empty_submodule_is_refused_with_the_cure(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.tgz", {"x/f.txt": ""}, [member("x/sub", tarfile.DIRTYPE)])
    with pytest.raises(MirrorError) as caught:
        archive.inspect(file, ARTIFACT)
    assert "sub/*.txt" in caught.value.message
    assert "git submodule update --init --recursive" in caught.value.advice


def test_directory_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.tgz", {"x/sub/g.txt": "g"}, [member("x/f.txt", tarfile.DIRTYPE)])
    with pytest.raises(MirrorError) as caught:
        archive.inspect(file, ARTIFACT)
    assert caught.value.message.endswith("it has no file called f.txt")
    assert caught.value.advice.startswith("There is a directory of that name where a file is needed")


@pytest.mark.parametrize("lost", [1, 8, 100, 5000, 100_000])
def test_truncated_archive_is_refused_however_little_is_lost(tmp_path: Path, lost: int) -> None:
    text = random.Random(1).randbytes(100_000).hex()
    file = pack(tmp_path / "x.tgz", {**TREE, "x/big": text})
    file.write_bytes(file.read_bytes()[:-lost])
    assert "is not a complete tar archive" in refusal(file)


def test_archive_with_one_bit_flipped_is_refused_wherever_it_is(tmp_path: Path) -> None:
    read_whole = (EDIT.model_copy(update={"file": "big", "count": 0}),)
    chance = random.Random(2)
    good = pack(tmp_path / "x.tgz", {**TREE, "x/big": chance.randbytes(20_000).hex()}).read_bytes()
    for place in [chance.randrange(10, len(good)) for _ in range(60)]:
        bad = bytearray(good)
        bad[place] ^= 1 << chance.randrange(8)
        (tmp_path / "bad.tgz").write_bytes(bad)
        with pytest.raises(MirrorError):
            archive.inspect(tmp_path / "bad.tgz", ARTIFACT, read_whole)


@pytest.mark.parametrize(
    ("content", "what", "advice"),
    [
        (b"", "is empty", "again"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page", "Open the address in a browser"),
        (b"\x1f\x8b", "is not a complete tar archive", "copy it again"),
        (b"x" * 600, "is not a complete tar archive", "copy it again"),
        (lzma.compress(b"no tar"), "is compressed with xz", "xz -dc FILE | gzip"),
        (b"PK\x03\x04" + bytes(99), "is a zip archive", "unzip FILE.zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a pointer of Git LFS", "git lfs pull"),
    ],
)
def test_file_that_is_no_archive_is_refused_with_advice_that_fits(
    tmp_path: Path, content: bytes, what: str, advice: str
) -> None:
    file = tmp_path / "x.tgz"
    file.write_bytes(content)
    with pytest.raises(MirrorError) as caught:
        archive.inspect(file, ARTIFACT)
    assert f"{file} {what}" in caught.value.message
    assert advice in caught.value.advice


def test_archive_with_a_pointer_of_git_lfs_in_it_is_refused(tmp_path: Path) -> None:
    texts = {**TREE, "x/a.jar": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}
    assert "x/a.jar is a pointer of Git LFS" in refusal(pack(tmp_path / "x.tgz", texts))


def test_edit_whose_count_differs_shows_the_lines_that_look_alike(tmp_path: Path) -> None:
    text = "one\n  git fetch\ntwo\n  git fetch\n"
    words = refusal(pack(tmp_path / "torch.tgz", {**TORCH, "torch/install.sh": text}), TORCH_ARTIFACT, (EDIT,))
    assert "install.sh: 'git fetch' occurs 2 times, expected 1" in words
    assert "line 2: git fetch" in words
    assert "line 4: git fetch" in words
    assert "no network" in words


def test_edit_whose_pattern_is_gone_says_that_nothing_looks_alike(tmp_path: Path) -> None:
    bad = pack(tmp_path / "torch.tgz", {**TORCH, "torch/install.sh": "make\n"})
    words = refusal(bad, TORCH_ARTIFACT, (EDIT,))
    assert "occurs 0 times" in words
    assert words.endswith("none")


def test_file_of_an_edit_that_is_not_there_is_told(tmp_path: Path) -> None:
    edit = EDIT.model_copy(update={"file": "gone.sh"})
    assert "gone.sh: 'git fetch' occurs 0 times" in refusal(
        pack(tmp_path / "torch.tgz", TORCH), TORCH_ARTIFACT, (edit,)
    )


def test_text_that_is_too_large_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LONGEST_TEXT", 1000)
    file = pack(tmp_path / "x.tgz", {"x/f.txt": "f" * 996, "x/sub/g.txt": "12345"})
    assert archive.read(file, ARTIFACT, ("f.txt",)).texts == {"f.txt": "f" * 996}
    with pytest.raises(MirrorError, match=r"x/sub/g\.txt is too large for a text: it has 5 bytes"):
        archive.read(file, ARTIFACT, ("*.txt",))
