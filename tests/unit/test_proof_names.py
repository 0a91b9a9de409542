"""`provision mirror prove`: every artifact, package and wheel that is left out is missed by its name."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import archive, lock, proofs, repositories, store, view
from neuraltalk_provision.mirror.identify import artifact_of
from neuraltalk_provision.mirror.pull_plan import Mirror
from neuraltalk_provision.proof import completeness, wheels
from tests.unit import proving

Capture = pytest.CaptureFixture[str]
PLATFORMS = ("debian-12-x86_64", "ubuntu-22-x86_64", "rocky-9-x86_64", "centos-7-x86_64")
EVERY = [(platform, name) for platform in PLATFORMS for name in proving.names(platform)]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return proving.make(tmp_path / "the operator's mirror")


def prove(capsys: Capture, mirror: Path, *words: str, platform: str = proving.PLATFORM) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", "prove", "-m", str(mirror), "--for", platform, "--image", "debian:12", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_mirror_with_everything_is_complete(capsys: Capture, mirror: Path) -> None:
    code, out, _ = prove(capsys, mirror, "--plan")
    assert code == 0
    assert f"would install from {mirror} in a container of debian:12" in out


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "name"), EVERY)
def test_artifact_that_is_left_out_is_missed_by_its_name(
    capsys: Capture, tmp_path: Path, platform: str, name: str
) -> None:
    mirror = proving.make(tmp_path / "mirror", platform)
    before = {path.name: path.read_bytes() for path in mirror.iterdir()}
    code, out, _ = prove(capsys, mirror, "--plan", "--without", name, platform=platform)
    assert code == 1
    assert f"{name} is missing: " in out
    assert out.count(" is missing") == 1
    assert f"without the artifact {name} ({name}.tar)" in out
    assert {path.name: path.read_bytes() for path in mirror.iterdir()} == before


def test_missing_artifact_is_found_before_a_container_is_started(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # there is no engine
    code, _, err = prove(capsys, mirror, "--without", "nn")
    assert code == 1
    assert "nn is missing" in err
    assert "nothing in the mirror was changed" in err
    assert not (mirror / lock.PROOFS).exists()


def test_failed_proof_of_the_whole_mirror_leaves_a_record(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    (mirror / "nn.tar").unlink()
    code, out, _ = prove(capsys, mirror, "--json")
    document = json.loads(out)
    assert code == 1
    assert document["passed"] is False
    assert document["problems"] == ["nn is missing: its file is not in the mirror"]
    record = json.loads((mirror / lock.PROOFS / f"{proving.PLATFORM}.json").read_text())
    assert (record["passed"], record["problems"]) == (False, document["problems"])


def test_mirror_that_cannot_be_written_is_refused_before_anything_is_installed(capsys: Capture, mirror: Path) -> None:
    """For example one on a medium: an hour later, no record could be written."""
    (mirror / lock.PROOFS).write_text("in the way")
    (mirror / "nn.tar").unlink()
    code, out, err = prove(capsys, mirror)
    assert (code, out) == (2, "")
    assert lock.PROOFS in err and "cannot be written: Not a directory" in err
    assert "nn is missing" in prove(capsys, mirror, "--quick")[2]


def test_result_of_a_proof_is_told_although_its_record_cannot_be_written(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(proofs.whole_file, "write", full)
    (mirror / "nn.tar").unlink()
    code, _, err = prove(capsys, mirror)
    assert code == 2
    assert "nn is missing" in err
    assert f"{proving.PLATFORM}.json cannot be written: No space left on device" in err
    document = json.loads(prove(capsys, mirror, "--json")[1])
    assert (document["passed"], document["record"]) == (False, None)


def test_optional_artifact_that_nobody_needs_is_no_problem(capsys: Capture, mirror: Path) -> None:
    code, _, _ = prove(capsys, mirror, "--plan", "--without", "score-wheels", "--not-needed", "score-wheels")
    assert code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("torch", "nothing works without it"), ("trch", "use no artifact of this name"), ("cutorch", "use no artifact")],
)
def test_artifact_that_is_needed_cannot_be_declared_not_needed(
    capsys: Capture, mirror: Path, name: str, words: str
) -> None:
    code, _, err = prove(capsys, mirror, "--plan", "--not-needed", name)
    assert code == 2
    assert words in err


def test_full_disk_for_temporary_files_is_not_told_as_a_damaged_mirror(mirror: Path, tmp_path: Path) -> None:
    known, name = lock.read(mirror), next(iter(proving.DEBS))
    archived = known.by_name()
    folder = tmp_path / "full"
    folder.mkdir()
    for entry in archived.values():
        if entry.name.startswith("packages-"):
            (folder / entry.file).symlink_to("/dev/full")
    left = view.find(mirror, known, catalogues.load(), proving.PLATFORM, name)
    with pytest.raises(UsageError, match=r"/full/packages-.*\.tar cannot be written: No space left on device"):
        view.make(mirror, known, left, folder)
    wheels_file = mirror / archived[f"python-wheels-{proving.PLATFORM}"].file
    for file in proving.WHEELS.values():
        (folder / file).symlink_to("/dev/full")
    with pytest.raises(UsageError, match=r"/full/.*\.whl cannot be written: No space left on device"):
        wheels._unpack(wheels_file, folder)


@pytest.mark.parametrize("name", [*proving.DEBS, *proving.DEBS.values()])
def test_package_is_left_out_with_its_line_in_the_index(mirror: Path, tmp_path: Path, name: str) -> None:
    left, folder = without(mirror, tmp_path, name)
    assert left.kind == "package"
    contents = held(folder, "packages")
    assert set(contents.files) == {"Packages", *proving.DEBS.values()} - {left.file}
    assert set(repositories.listed(contents.texts["Packages"])) == set(proving.DEBS) - {left.name}
    assert repositories.check_packages(folder, proving.PLATFORM, contents)


@pytest.mark.parametrize(
    "name", [*proving.WHEELS, *proving.WHEELS.values(), "prompt_toolkit", "Prompt-Toolkit", "Pillow"]
)
def test_wheel_is_left_out(mirror: Path, tmp_path: Path, name: str) -> None:
    left, folder = without(mirror, tmp_path, name)
    assert left.kind == "wheel"
    assert set(held(folder, "python-wheels").files) == set(proving.WHEELS.values()) - {left.file}


def without(mirror: Path, tmp_path: Path, name: str) -> tuple[view.Left, Path]:
    """What was left out, and a view of the mirror without it, whose files are as its lock says."""
    known, folder = lock.read(mirror), tmp_path / "view"
    folder.mkdir()
    left = view.find(mirror, known, catalogues.load(), proving.PLATFORM, name)
    view.make(mirror, known, left, folder)
    assert store.check(folder, lock.read(folder).artifacts) == ()
    assert store.check(mirror, lock.read(mirror).artifacts) == ()
    return left, folder


def held(folder: Path, stem: str) -> archive.Contents:
    name = f"{stem}-{proving.PLATFORM}"
    artifact = artifact_of(name, catalogues.load())
    assert artifact
    return archive.read(folder / f"{name}.tar", artifact, ["Packages"])


@pytest.mark.parametrize("name", ["gc", "", "../gcc", "cutorch", "pillow-2"])
def test_name_that_the_mirror_does_not_have_cannot_be_left_out(capsys: Capture, mirror: Path, name: str) -> None:
    if name:
        code, _, err = prove(capsys, mirror, "--plan", "--without", name)
        assert code == 2
        assert "is nothing in the mirror for this platform" in err
    else:
        with pytest.raises(UsageError):
            view.find(mirror, lock.read(mirror), catalogues.load(), proving.PLATFORM, name)


def test_what_is_not_used_is_sorted_by_the_hosts_that_could_use_it() -> None:
    entries = [
        lock.Entry(name=name, file=f"{name}.tar", sha256="0" * 64, size=0, role="x")
        for name in ("torch", "coco-caption", "cutorch", "cuda-wheels-debian-12-x86_64", "packages-rocky-9-x86_64")
    ]
    goal = target.parse("debian-12-x86_64")
    assert completeness.sorted_out(entries, {"torch"}, catalogues.load(), goal) == (
        ("coco-caption",),
        ("cutorch", "cuda-wheels-debian-12-x86_64"),
        ("packages-rocky-9-x86_64",),
    )


def test_missing_file_is_told_with_its_reason() -> None:
    goal = target.parse("debian-12-x86_64")
    problems = completeness.check(catalogues.load(), goal, Mirror()).problems
    assert any(problem.startswith("packages-debian-12-x86_64 is missing: ") for problem in problems)
    assert "python-wheels-debian-12-x86_64 is missing: without it python would be left out or incomplete" in problems
