"""Source archives: the same bytes on every machine, and nothing of a hostile repository."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import source_archive
from neuraltalk_provision.mirror.source_archive import Part, Written, write
from tests.unit import repositories
from tests.unit.repositories import LUAJIT, TORCH, Files, git, make


def packed(tmp_path: Path, files: Files, name: str = "one") -> tuple[Written, Path]:
    commit = make(tmp_path / f"{name}.git", files)
    file = tmp_path / f"{name}.tar"
    return write(file, "torch", [Part(tmp_path / f"{name}.git", commit)]), file


@pytest.fixture
def whole(tmp_path: Path) -> list[Part]:
    """Torch and its submodule, in two bare repositories."""
    luajit = make(tmp_path / "luajit.git", LUAJIT)
    torch = make(tmp_path / "torch.git", {**TORCH, "exe/luajit": ("160000", luajit)})
    return [Part(tmp_path / "torch.git", torch), Part(tmp_path / "luajit.git", luajit, "exe/luajit")]


def test_archive_has_these_bytes_on_every_machine(tmp_path: Path, whole: list[Part]) -> None:
    """The digest is written down here: it must not depend on git, Python, the time or the user."""
    written = write(tmp_path / "torch.tar", "torch", whole)
    assert written == Written(sha256="434dac1e22533a8ed114242e316710e0c0451e324108418b2bf0a3e7aa810f6c", size=10_240)


def test_archive_has_one_directory_with_sorted_members_of_one_time_and_owner(tmp_path: Path, whole: list[Part]) -> None:
    write(tmp_path / "torch.tar", "torch", whole)
    with tarfile.open(tmp_path / "torch.tar", "r:") as tar:
        members = tar.getmembers()
        text = tar.extractfile("torch/exe/luajit/CMakeLists.txt")
        assert text and text.read() == b"project(luajit)\n"  # neither left out nor with other line ends
    names = [member.name for member in members]
    assert (
        names
        == sorted(names)
        == [
            "torch/README.md",
            "torch/a 'quoted' \"name\" é.lua",
            "torch/doc/install",
            "torch/exe/luajit/.gitattributes",
            "torch/exe/luajit/CMakeLists.txt",
            "torch/install.sh",
        ]
    )
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(1_500_000_000, 0, 0, "")}
    modes = {member.name: member.mode for member in members if member.isfile()}
    assert (modes["torch/install.sh"], modes["torch/README.md"]) == (0o755, 0o644)
    assert next(member.linkname for member in members if member.issym()) == "../install.sh"


def test_same_commit_in_another_repository_gives_the_same_archive(tmp_path: Path, whole: list[Part]) -> None:
    """One is packed, configured otherwise, has replaced objects and attributes of its own."""
    first = write(tmp_path / "first.tar", "torch", whole)
    other = tmp_path / "other.git"
    shutil.copytree(whole[0].repository, other)
    later = make(other, {"README.md": "something else\n"}, time=1_600_000_000)
    git(other, "replace", whole[0].commit, later)
    git(other, "config", "core.autocrlf", "true")
    git(other, "config", "core.quotePath", "false")
    git(other, "gc", "--quiet")
    (other / "info").mkdir(exist_ok=True)
    (other / "info" / "attributes").write_text("* text eol=crlf ident\nREADME.md export-ignore\n")
    assert write(tmp_path / "other.tar", "torch", [Part(other, whole[0].commit), whole[1]]) == first


def test_time_of_the_commit_is_part_of_the_archive(tmp_path: Path) -> None:
    one, two = (make(tmp_path / f"{n}.git", repositories.NN, time=1_500_000_000 + n) for n in (1, 2))
    digests = {
        write(tmp_path / "x.tar", "nn", [Part(tmp_path / f"{n}.git", c)]).sha256 for n, c in ((1, one), (2, two))
    }
    assert len(digests) == 2


def test_submodule_that_is_not_needed_is_left_out(tmp_path: Path, whole: list[Part]) -> None:
    write(tmp_path / "x.tar", "torch", whole[:1], ["exe/luajit"])
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert not [name for name in tar.getnames() if "luajit" in name]


def test_submodule_that_the_catalogue_does_not_name_is_refused(tmp_path: Path, whole: list[Part]) -> None:
    with pytest.raises(
        MirrorError, match=r"its submodule exe/luajit has the commit \w+, but the catalogue does not name it"
    ):
        write(tmp_path / "x.tar", "torch", whole[:1])


def test_submodule_with_another_commit_is_refused(tmp_path: Path, whole: list[Part]) -> None:
    other = make(tmp_path / "luajit.git", {**LUAJIT, "x": "y"})
    with pytest.raises(MirrorError, match=f"but the catalogue has the commit {other}"):
        write(tmp_path / "x.tar", "torch", [whole[0], Part(tmp_path / "luajit.git", other, "exe/luajit")])


def test_submodule_that_the_commit_does_not_have_is_refused(tmp_path: Path, whole: list[Part]) -> None:
    with pytest.raises(MirrorError, match="has no submodule at extra/nn"):
        write(tmp_path / "x.tar", "torch", [*whole, Part(whole[1].repository, whole[1].commit, "extra/nn")])


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../..", "doc/../../../x"])
def test_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(MirrorError, match="doc/link is a link that leads out of the source"):
        packed(tmp_path, {"doc/link": ("120000", target)})


@pytest.mark.parametrize("name", ["a\nb", "tab\there", "x" * 1_001, "sub/.GIT/config", "sub/../x"])
def test_name_that_no_archive_should_have_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / "x.git"
    blob = git(place, "rev-parse", make(place, {"plain": "1"}) + ":plain")
    commit = commit_of(place, blob, name.split("/"))
    with pytest.raises(MirrorError, match="contains a path that no archive should have"):
        write(tmp_path / "x.tar", "x", [Part(place, commit)])


def commit_of(place: Path, blob: str, path: list[str]) -> str:
    """A commit with one file, by trees that git would not make of files."""
    tree = git(place, "mktree", "-z", data=f"100644 blob {blob}\t{path[-1]}\0".encode())
    for directory in reversed(path[:-1]):
        tree = git(place, "mktree", "-z", data=f"040000 tree {tree}\t{directory}\0".encode())
    return git(place, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit-tree", tree, data=b"m\n")


def test_source_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_archive, "LARGEST", 10)
    with pytest.raises(MirrorError, match="more than 100,000 files or 10 bytes"):
        packed(tmp_path, TORCH)


def test_damaged_repository_is_named(tmp_path: Path) -> None:
    commit = make(tmp_path / "x.git", repositories.NN)
    for pack in (tmp_path / "x.git" / "objects" / "pack").glob("*"):
        pack.unlink()
    shutil.rmtree(tmp_path / "x.git" / "objects")
    (tmp_path / "x.git" / "objects").mkdir()
    with pytest.raises(MirrorError, match=r"x\.git: the commit \w+ cannot be listed") as caught:
        write(tmp_path / "x.tar", "x", [Part(tmp_path / "x.git", commit)])
    assert "Remove this directory" in caught.value.advice
