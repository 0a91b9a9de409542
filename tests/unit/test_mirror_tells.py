"""What tells each artifact from its usual wrong neighbours, and what `add` says that it took a file for."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.model import Artifact, Catalogue
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import identify, incoming, lock, looking, store
from tests.standin import archives as standins
from tests.standin import caffemodel, pictures
from tests.unit.archives import pack

CATALOGUE = catalogue.load()
PROTO, MODEL = "VGG_ILSVRC_16_layers_deploy.prototxt", "VGG_ILSVRC_16_layers.caffemodel"
CUTORCH = {"c/rocks/cutorch-scm-1.rockspec": "", "c/lib/THC/CMakeLists.txt": ""}
CUNN = {"c/rocks/cunn-scm-1.rockspec": "", "c/lib/THCUNN/CMakeLists.txt": ""}
MODERN = {
    "lib/THC/THCApply.cuh": "C10_LAUNCH_BOUNDS_2(32 * 16, 4)\n",
    "lib/THCUNN/common.h": "#define THCUNN_SHFL_XOR\n",
}


def no_edits(known: Catalogue = CATALOGUE) -> Catalogue:
    return known.model_copy(update={"edits": {}})


def refusal(tmp_path: Path, file: Path, given: str = "") -> ProvisionError:
    with pytest.raises((MirrorError, UsageError)) as caught:
        store.add(tmp_path / "mirror", file, no_edits(), given=given)
    assert caught.value.advice
    assert not (tmp_path / "mirror" / file.name).exists()
    return caught.value


@pytest.mark.parametrize(
    ("name", "texts", "words"),
    [
        ("cutorch-modern", CUTORCH, "branch cuda10"),
        ("cutorch-modern", {**CUTORCH, "c/lib/THC/THCApply.cuh": "__launch_bounds__(32 * 16, 4)"}, "branch cuda10"),
        ("cunn-modern", {**CUNN, "c/lib/THCUNN/common.h": "#endif"}, "branch cuda10"),
        ("cutorch", {**CUTORCH, "c/lib/THC/THCApply.cuh": MODERN["lib/THC/THCApply.cuh"]}, "cutorch-modern"),
        ("cunn", {**CUNN, "c/lib/THCUNN/common.h": MODERN["lib/THCUNN/common.h"]}, "cunn-modern"),
    ],
)
def test_branch_that_is_built_into_nothing_useful_is_refused(
    tmp_path: Path, name: str, texts: dict[str, str], words: str
) -> None:
    error = refusal(tmp_path, pack(tmp_path / f"{name}.tgz", texts))
    assert words in error.message + error.advice
    assert name in error.message


def test_right_branches_are_accepted_and_named(tmp_path: Path) -> None:
    for name, texts, more in (
        ("cutorch-modern", CUTORCH, {"c/lib/THC/THCApply.cuh": MODERN["lib/THC/THCApply.cuh"]}),
        ("cunn-modern", CUNN, {"c/lib/THCUNN/common.h": MODERN["lib/THCUNN/common.h"]}),
        ("cutorch", CUTORCH, {}),
        ("cunn", CUNN, {}),
    ):
        store.add(tmp_path / "mirror", pack(tmp_path / f"{name}.tgz", {**texts, **more}), no_edits())
    assert "branch cuda10" in CATALOGUE.checks["cutorch-modern"].what


LARGE = (
    "pycocoevalcap/meteor/meteor-1.5.jar",
    "pycocoevalcap/meteor/data/paraphrase-en.gz",
    "pycocoevalcap/tokenizer/stanford-corenlp-3.4.1.jar",
)


@pytest.mark.parametrize("missing", LARGE)
@pytest.mark.parametrize("how", ["missing", "pointer", "empty", "page"])
def test_coco_caption_without_its_large_files_is_refused(tmp_path: Path, missing: str, how: str) -> None:
    files = standins.members("coco-caption")
    del files[f"coco-caption/{missing}"]
    instead = {"pointer": b"version https://git-lfs.github.com/spec/v1\n", "empty": b"", "page": b"<html>404</html>"}
    if how in instead:
        files[f"coco-caption/{missing}"] = instead[how]
    (tmp_path / "coco-caption.tgz").write_bytes(standins.pack(files))
    error = refusal(tmp_path, tmp_path / "coco-caption.tgz")
    assert missing in error.message
    (tmp_path / "coco-caption.tgz").write_bytes(standins.archive("coco-caption"))
    store.add(tmp_path / "mirror", tmp_path / "coco-caption.tgz", no_edits())


WHOLE = caffemodel.model()
GOOD_PROTO = caffemodel.prototxt()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (PROTO, b"<!DOCTYPE html><html>input_dim conv5_3 fc7</html>", "is a web page"),
        (PROTO, b"", "is empty"),
        (PROTO, GOOD_PROTO.replace("input_dim", "x").encode(), "input_dim"),
        (PROTO, (GOOD_PROTO + 'layers { name: "conv5_4" }\n').encode(), "VGG-19"),
        (PROTO, GOOD_PROTO[: len(GOOD_PROTO) // 2].encode(), "fc7"),
        (PROTO, bytes(2 << 20), "larger than"),
        (MODEL, b"", "is empty"),
        (MODEL, b"<html>quota exceeded</html>", "is a web page"),
        (
            MODEL,
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 553432081\n",
            "is a pointer of Git LFS",
        ),
        (MODEL, GOOD_PROTO.encode(), "weights"),
        (MODEL, WHOLE[:-1], "incomplete"),
        (MODEL, WHOLE[: len(WHOLE) // 2], "incomplete"),
        (MODEL, WHOLE + b"\0", "incomplete"),
        (MODEL, bytes(len(WHOLE)), "weights"),
        ("captions_val2014.json", b"", "is empty"),
        ("captions_val2014.json", b"PK\x03\x04", "is a zip archive"),
        ("captions_val2014.json", b'{"images": [], "annotations": [{"bbox": [1]}]}', '"caption"'),
        ("captions_val2014.json", b'{"images": [], "annotations": [{"caption": "a"', "end"),
        (
            "captions_val2014.json",
            b'{"images": ["COCO_train2014_1.jpg"], "annotations": [{"caption": "a"}]}',
            "train2014",
        ),
    ],
)
def test_file_that_is_something_else_is_refused(tmp_path: Path, file: str, content: bytes, words: str) -> None:
    (tmp_path / file).write_bytes(content)
    error = refusal(tmp_path, tmp_path / file)
    assert words in error.message + error.advice


def test_right_files_are_accepted(tmp_path: Path) -> None:
    (tmp_path / PROTO).write_text(GOOD_PROTO)
    (tmp_path / MODEL).write_bytes(WHOLE)
    (tmp_path / "captions_val2014.json").write_text(pictures.coco_annotations() + "\n")
    for file in (PROTO, MODEL, "captions_val2014.json"):
        store.add(tmp_path / "mirror", tmp_path / file, CATALOGUE)
    assert store.verify(tmp_path / "mirror", CATALOGUE).findings == ()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("ubuntu-22.04-x86_64", "packages-ubuntu-22-x86_64"),
        ("debian-12.5-x86_64", "packages-debian-12-x86_64"),
        ("debian-12", "packages-debian-12-x86_64"),
        ("debian-12-amd64", "packages-debian-12-x86_64"),
        ("debian-12-arm64", "packages-debian-12-aarch64"),
        ("Debian-12-x86_64", "packages-debian-12-x86_64"),
        ("debian-bookworm-x86_64", "packages-debian-12-x86_64"),
        ("ubuntu-jammy-x86_64", "packages-ubuntu-22-x86_64"),
        ("ubuntu-2404-x86_64", "packages-ubuntu-24-x86_64"),
        ("debain-12-x86_64", "packages-debian-12-x86_64"),
        ("redhat-9-x86_64", "packages-rhel-9-x86_64"),
        ("el-9-x86_64", "packages-rhel-9-x86_64"),
        ("alma-9-x86_64", "packages-almalinux-9-x86_64"),
        ("oracle-9-x86_64", "packages-ol-9-x86_64"),
        ("centos-stream-9-x86_64", "packages-centos-9-x86_64"),
        ("rocky9-x86_64", "packages-rocky-9-x86_64"),
        ("x86_64", "PLATFORM"),
        ("12-x86_64", "PLATFORM"),
    ],
)
def test_platform_that_no_host_has_is_refused_with_the_right_one(tmp_path: Path, key: str, words: str) -> None:
    file = pack(
        tmp_path / f"packages-{key}.tar", {"a_1_amd64.deb": "", "Packages": "Filename: ./a_1_amd64.deb\n"}, mode="w"
    )
    error = refusal(tmp_path, file)
    assert words in error.message + error.advice


@pytest.mark.parametrize(
    "key",
    [
        "debian-12-x86_64",
        "ubuntu-22-x86_64",
        "rocky-9-x86_64",
        "centos-7-x86_64",
        "arch-x86_64",
        "debian-x86_64",
        "opensuse-leap-15-x86_64",
        "debian-12-aarch64",
        "fedora-41-x86_64",
        "devuan-5-x86_64",
        "raspbian-12-aarch64",
    ],
)
def test_platform_that_a_host_can_have_is_accepted(key: str) -> None:
    assert store.identify(Path(f"packages-{key}.tar"), CATALOGUE)[0] == f"packages-{key}"


@pytest.mark.parametrize(
    ("artifact", "member"), [("packages", "a_1_amd64.deb"), ("python-wheels", "a-1-cp310-cp310-manylinux1_x86_64.whl")]
)
def test_file_that_was_added_for_a_platform_that_no_host_has_is_told_by_verify(
    tmp_path: Path, artifact: str, member: str
) -> None:
    """Hosts with Linux Mint had a platform of their own; the message was that a package is not for a machine without a
    name, and the advice was to make the index again."""
    name, mirror = f"{artifact}-linuxmint-21-x86_64", tmp_path / "mirror"
    file = pack(mirror / f"{name}.tar", {member: "", "Packages": f"Filename: ./{member}\n"}, mode="w")
    digest, size = incoming.digest(file)
    entry = lock.Entry(name=name, file=file.name, sha256=digest, size=size, origin="", role="system_deps")
    (finding,) = store.inspect(mirror, [entry], CATALOGUE)
    assert f"no host has the platform linuxmint-21-x86_64. You probably mean {artifact}-ubuntu-22" in finding.detail


def test_no_more_files_are_asked_for_a_platform_that_no_host_has() -> None:
    """`mirror list` called files missing that `mirror add` refuses."""
    names = ("packages-linuxmint-21-x86_64", "packages-debian-12-x86_64", "torch")
    assert identify.platforms_in(names, CATALOGUE) == {"debian-12-x86_64"}


DEB = {"./a_1_amd64.deb": "", "./b_1_all.deb": ""}
INDEX = "Package: a\nFilename: ./a_1_amd64.deb\n\nPackage: b\nFilename: b_1_all.deb\n"


@pytest.mark.parametrize(
    ("key", "texts", "words"),
    [
        ("debian-12-x86_64", DEB, "dpkg-scanpackages"),
        ("debian-12-x86_64", {**DEB, "Packages": ""}, "a_1_amd64.deb"),
        ("debian-12-x86_64", {"Packages": ""}, "no package"),
        ("debian-12-x86_64", {"debs/a_1_amd64.deb": "", "debs/Packages": INDEX}, "at its root"),
        ("debian-12-x86_64", {**DEB, "Packages": INDEX + "Filename: ./c_1_all.deb\n"}, "c_1_all.deb"),
        ("debian-12-x86_64", {"a_1_arm64.deb": "", "Packages": "Filename: ./a_1_arm64.deb\n"}, "arm64"),
        ("debian-12-x86_64", {"a-1.x86_64.rpm": "", "repodata/repomd.xml": ""}, "Packages"),
        ("rocky-9-x86_64", {"a-1.x86_64.rpm": ""}, "createrepo_c"),
        ("rocky-9-x86_64", {"repodata/repomd.xml": ""}, "no package"),
        ("rocky-9-x86_64", {"rpms/a-1.x86_64.rpm": "", "rpms/repodata/repomd.xml": ""}, "at its root"),
        ("rocky-9-x86_64", {"a-1.aarch64.rpm": "", "repodata/repomd.xml": ""}, "aarch64"),
        ("rocky-9-x86_64", {**DEB, "Packages": INDEX}, "repodata/repomd.xml"),
        ("arch-x86_64", {"a": ""}, "no package"),
    ],
)
def test_packages_that_no_host_can_install_are_refused(
    tmp_path: Path, key: str, texts: dict[str, str], words: str
) -> None:
    error = refusal(tmp_path, pack(tmp_path / f"packages-{key}.tar", texts, mode="w"))
    assert words in error.message + error.advice


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("debian-12-x86_64", {**DEB, "Packages": INDEX}),
        ("ubuntu-22-x86_64", {**DEB, "Packages": INDEX, "Packages.gz": ""}),
        ("rocky-9-x86_64", {"a-1.noarch.rpm": "", "b-1.i686.rpm": "", "repodata/repomd.xml": ""}),
        ("devuan-5-x86_64", {**DEB, "Packages": INDEX}),
    ],
)
def test_packages_with_their_index_are_accepted(tmp_path: Path, key: str, texts: dict[str, str]) -> None:
    store.add(tmp_path / "mirror", pack(tmp_path / f"packages-{key}.tar", texts, mode="w"), CATALOGUE)


def wheels(tmp_path: Path, *names: str) -> Path:
    return pack(tmp_path / "python-wheels-debian-12-x86_64.tar", dict.fromkeys(names, ""), mode="w")


H5PY, IPYTHON = "h5py-3.16.0-cp311-cp311-manylinux_2_28_x86_64.whl", "ipython-8.12-py3-none-any.whl"
PILLOW = "Pillow-10.0-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((IPYTHON, PILLOW), "h5py"),
        ((H5PY, IPYTHON, "pillow-10.0.tar.gz"), "illow"),
        ((H5PY, IPYTHON, PILLOW, "x-1-cp311-cp311-win_amd64.whl"), "win_amd64"),
        ((H5PY, IPYTHON, PILLOW, "x-1-cp311-cp311-macosx_11_0_arm64.whl"), "macosx_11_0_arm64"),
        ((H5PY, IPYTHON, PILLOW, "x-1-cp311-cp311-manylinux_2_28_aarch64.whl"), "aarch64"),
        (("w/" + H5PY, "w/" + IPYTHON, "w/" + PILLOW), "at its root"),
    ],
)
def test_wheels_for_another_machine_or_without_what_is_installed_are_refused(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    error = refusal(tmp_path, wheels(tmp_path, *names))
    assert words in error.message + error.advice
    store.add(tmp_path / "mirror", wheels(tmp_path, H5PY, IPYTHON, PILLOW), CATALOGUE)


def test_file_larger_than_any_such_artifact_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "nn.tgz"
    with file.open("wb") as opened:
        opened.truncate(5 << 30)
    read: list[int] = []
    with pytest.raises(MirrorError, match="larger than") as caught:
        store.add(tmp_path / "mirror", file, CATALOGUE, advance=read.append)
    assert read == []
    assert caught.value.advice


def test_large_file_that_is_something_else_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    with (tmp_path / MODEL).open("wb") as opened:
        opened.truncate(4 << 30)
    read: list[int] = []
    with pytest.raises(MirrorError, match="weights"):
        store.add(tmp_path / "mirror", tmp_path / MODEL, CATALOGUE, advance=read.append)
    assert read == []


def test_archive_that_unpacks_to_far_more_than_its_size_is_refused_in_little_time(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "nn.tgz", "w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo("nn/rocks/nn-scm-1.rockspec")
        info.size = 200 << 20
        tar.addfile(info, io.BytesIO(bytes(200 << 20)))
    with pytest.raises(MirrorError, match="times larger when it is unpacked"):
        store.add(tmp_path / "mirror", tmp_path / "nn.tgz", CATALOGUE)


def test_archive_with_very_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuraltalk_provision.mirror.archive.MOST_MEMBERS", 10)
    file = pack(tmp_path / "nn.tgz", {f"nn/{number}": "" for number in range(20)})
    with pytest.raises(MirrorError, match="contains more than 10 members"):
        store.add(tmp_path / "mirror", file, CATALOGUE)


@pytest.mark.parametrize("artifact", CATALOGUE.artifacts, ids=lambda artifact: artifact.name)
def test_every_artifact_says_what_it_is_and_how_large_it_may_be(artifact: Artifact) -> None:
    check = CATALOGUE.checks[artifact.name]
    assert check.what
    assert 0 < check.largest <= 64 << 30
    assert all(". " in tell.otherwise for tell in check.tells), "what it is, and in a second sentence what to bring"
    assert artifact.holds or check.holds or check.tells or artifact.per_platform


def test_checks_are_only_of_artifacts() -> None:
    assert set(CATALOGUE.checks) == {artifact.name for artifact in CATALOGUE.artifacts}


def test_what_a_file_was_taken_for_is_said(tmp_path: Path) -> None:
    file = pack(tmp_path / "nngraph.tgz", {"nngraph/nngraph-scm-1.rockspec": ""})
    seen = looking.look_into(file, "nngraph", CATALOGUE.artifact("nngraph"), CATALOGUE)
    assert seen.text == "torch/nngraph, source archive with 1 file"
