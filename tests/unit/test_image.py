"""Images: read back as engines read them, the same bytes for the same inputs, and no harm from what is packed."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.image import base, configuration, make, oci, packages, repository, stack
from neuraltalk_provision.image.repository import Closure
from neuraltalk_provision.mirror import cache
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.lock import Entry, Lock
from neuraltalk_provision.rules import pack
from tests.unit import images
from tests.unit.images import HOME, ID, LEFT_OUT, ROOT, WEIGHTS
from tests.unit.test_generation_pack import sha256
from tests.unit.test_runtime import entry

MODERN = "modern: CUDA 12.4 for 9.0"


def entry_of(tar: Path, **more: Any) -> CacheEntry:
    return entry(**{"sha256": images.digest(tar), "size": tar.stat().st_size, **more})


def layer(tmp_path: Path, tar: Path, **more: Any) -> dict[str, tarfile.TarInfo]:
    """The members of the layer of a packed generation, by name."""
    weights = tmp_path / "weights"
    weights.write_bytes(WEIGHTS)
    made = stack.write(tmp_path / "layer.tar", tar, entry_of(tar, **more), {sha256(WEIGHTS): weights})
    assert (made.sha256, made.size) == (images.digest(made.file), made.file.stat().st_size)
    with tarfile.open(made.file) as opened:
        members = opened.getmembers()
    assert len({member.name for member in members}) == len(members)
    return {member.name: member for member in members}


def test_layer_has_the_generation_at_its_place(tmp_path: Path) -> None:
    link = {"bin/th": {"type": "link", "target": "with-stack"}}
    found = layer(tmp_path, images.packed(tmp_path, link))
    for path, content in {**images.FILES, **LEFT_OUT}.items():
        assert found[f"{HOME}/{path}"].size == len(content)
        assert found[f"{HOME}/{path}"].mode == (0o755 if path == "bin/with-stack" else 0o644)
    assert found[f"{HOME}/bin/th"].linkname == "with-stack"
    assert found[f"{ROOT}/current"].linkname == f"generations/{ID}"
    assert {member.uid for name, member in found.items() if not name.startswith("work")} == {0}
    assert {member.mtime for member in found.values()} == {1451606400}


def test_directory_in_which_programs_start_belongs_to_their_account_and_has_links(tmp_path: Path) -> None:
    found = layer(tmp_path, images.packed(tmp_path))
    folders = ["work", "work/checkpoint", "work/model", "work/vis", "work/vis/imgs"]
    assert [name for name, member in found.items() if member.uid] == [
        "work",
        *(f for f in folders[3:]),
        *folders[2:0:-1],
    ]
    assert found["work/eval.lua"].linkname == f"/{ROOT}/current/neuraltalk2/eval.lua"
    assert found["work/misc"].linkname == f"/{ROOT}/current/neuraltalk2/misc"
    assert found["work/model/weights"].linkname == f"/{ROOT}/current/neuraltalk2/model/weights"


HOSTILE: dict[str, tuple[dict[str, Any], dict[str, bytes], str]] = {
    "whiteout": ({}, {"bin/.wh.sh": b"x"}, "other files are removed"),
    "opaque directory": ({"bin/.wh..wh..opq": {"type": "directory", "mode": "0755"}}, {}, "other files are removed"),
    "link to the host's CUDA": (
        {"cuda": {"type": "link", "target": "/usr/local/cuda"}},
        {},
        "uses files outside of it",
    ),
    "link to the system": ({"x": {"type": "link", "target": "../../../../etc/shadow"}}, {}, "uses files outside of it"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_generation_that_an_image_cannot_hold_is_refused(what: str, tmp_path: Path) -> None:
    more, files, words = HOSTILE[what]
    with pytest.raises(UsageError, match=words):
        layer(tmp_path, images.packed(tmp_path, more, files))


def test_tar_that_is_not_the_one_of_the_entry_is_refused(tmp_path: Path) -> None:
    tar = images.packed(tmp_path)
    with pytest.raises(MirrorError, match="its SHA-256 is not that of entry"):
        layer(tmp_path, tar, sha256="c" * 64)
    content = tar.read_bytes()
    tar.write_bytes(content.replace(b"-- eval", b"-- evil"))
    with pytest.raises(MirrorError, match="is not as it was packed"):
        layer(tmp_path, tar)
    tar.write_bytes(content[: len(content) // 2])
    with pytest.raises(MirrorError, match=f"is not the packed generation {ID}"):
        layer(tmp_path, tar)


def test_file_that_the_tar_leaves_out_is_needed_and_compared(tmp_path: Path) -> None:
    tar, weights = images.packed(tmp_path), tmp_path / "weights"
    with pytest.raises(MirrorError, match="lacks neuraltalk2/model/weights, and the mirror has no file"):
        stack.write(tmp_path / "layer.tar", tar, entry_of(tar), {})
    for content in (WEIGHTS[:-1], WEIGHTS + b"x", WEIGHTS[:-1] + b"x"):
        weights.write_bytes(content)
        with pytest.raises(MirrorError):
            stack.write(tmp_path / "layer.tar", tar, entry_of(tar), {sha256(WEIGHTS): weights})


def test_file_of_the_mirror_that_cannot_be_read_is_named_as_that(tmp_path: Path) -> None:
    """It was told that the directory of the image cannot be written."""
    tar, broken = images.packed(tmp_path), tmp_path / "broken"
    broken.symlink_to("/proc/self/mem")  # its first byte cannot be read (EIO)
    closure = Closure((), {"a.deb": "0" * 64}, 1, 1)
    for write in (
        lambda: stack.write(tmp_path / "layer.tar", broken, entry_of(tar), {}),
        lambda: stack.write(tmp_path / "layer.tar", tar, entry_of(tar), {sha256(WEIGHTS): broken}),
        lambda: repository.unpack(broken, b"", closure, tmp_path / "packages", lambda _count: None),
    ):
        with (
            pytest.raises(MirrorError, match=r"/broken cannot be read: Input/output error"),
            naming(tmp_path, "written"),
        ):
            write()


def test_what_a_machine_that_lost_its_power_has_left_is_removed_whatever_has_its_pid_now(tmp_path: Path) -> None:
    """It has the size of some images. A command in another container or on another machine may still write its own."""
    file, space = tmp_path / "x [1].tar", cache.writer().partition("-")[0]
    names = {
        name: f".{file.name}.image-{name}-abc"
        for name in ("00000000-1", "11111111-1", f"{space}-1", f"{space}-999999999")
    }
    for name in names.values():
        (tmp_path / name).mkdir()
    os.utime(tmp_path / names["00000000-1"], (0, 0))
    with make._work(file) as folder:
        left = {one.name for one in tmp_path.iterdir()}
    assert left == {folder.name, names["11111111-1"], names[f"{space}-1"]}


@pytest.mark.parametrize("root", ["/bin/x", "/lib64/x", "/work", "/proc/1", "/opt/../etc", "/opt//x", "/", "/run"])
def test_stack_root_that_hides_files_of_the_system_is_refused(root: str) -> None:
    with pytest.raises(UsageError, match="where an image has files of its own"):
        stack.refuse_stack_root(root)
    stack.refuse_stack_root("/opt/neuraltalk")
    stack.refuse_stack_root("/home/a.b/stack")


def test_image_is_read_the_same_by_both_kinds_of_engines_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    tar = images.packed(tmp_path)
    (tmp_path / "weights").write_bytes(WEIGHTS)
    written = []
    for name in ("one", "two"):
        made = stack.write(tmp_path / "layer.tar", tar, entry_of(tar), {sha256(WEIGHTS): tmp_path / "weights"})
        document = configuration.write(entry_of(tar), [made, made], {"a": "b"})
        image = oci.write(tmp_path / name, f"neuraltalk2:{ID}", [made, made], document)
        written.append(image)
        assert image.archive.sha256 == images.digest(tmp_path / name)
    assert written[0] == written[1]
    for read in images.load(tmp_path / "one"):
        assert read.names == [f"neuraltalk2:{ID}"]
        assert read.configuration == json.loads(document)
        assert f"{HOME}/bin/with-stack" in read.files


def test_configuration_starts_programs_in_the_stack_as_an_account_that_is_not_root() -> None:
    document = json.loads(configuration.write(entry(), [], {"label": "x"}))
    assert (document["architecture"], document["os"]) == ("amd64", "linux")
    config = document["config"]
    assert config["Entrypoint"] == ["/opt/neuraltalk/current/bin/with-stack"]
    assert (config["Cmd"], config["User"], config["WorkingDir"]) == (["th"], "10001:10001", "/work")
    assert config["Labels"] == {"label": "x"}
    assert datetime.fromisoformat(document["created"]).timestamp() == pack.DATE
    assert not [one for one in config["Env"] if "NVIDIA" in one]


GPUS = {
    MODERN: "cuda>=12.0",
    "modern: CUDA 10.2 for 7.5": "cuda>=10.2",
    "modern: CUDA 11.8 for 8.0": "cuda>=11.0",
    "legacy: CUDA 7.5 for 3.7": "cuda>=7.5",
}


@pytest.mark.parametrize("gpu", GPUS)
def test_stack_for_cards_says_to_the_runtime_of_nvidia_what_it_needs(gpu: str) -> None:
    found = json.loads(configuration.write(entry(gpu=gpu), [], {}))["config"]["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in found
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in found
    assert f"NVIDIA_REQUIRE_CUDA={GPUS[gpu]}" in found


def test_other_machine_types_have_no_images() -> None:
    with pytest.raises(UsageError, match="no images are made for the machine type"):
        configuration.write(entry(platform="debian-12-aarch64"), [], {})


def test_labels_name_the_inputs_and_no_time_or_host() -> None:
    found = configuration.labels(entry(gpu=MODERN), "d" * 64, "1.2", {"torch": "abc"})
    assert found["neuraltalk.provision.lock"] == "b" * 64
    assert found["neuraltalk.provision.packages"] == "d" * 64
    assert found["org.opencontainers.image.version"] == ID
    assert json.loads(found["neuraltalk.provision.versions"]) == {"torch": "abc"}
    other = entry(gpu=MODERN, builder="other", built="2020-01-01T00:00:00Z", provision="0.0.1")
    assert configuration.labels(other, "d" * 64, "1.2", {"torch": "abc"}) == found


def locked(*names: str) -> Lock:
    return Lock(
        artifacts=tuple(
            Entry(name=name, file=f"{name}.tar", sha256="a" * 64, size=1, role="x", version=f"v-{name}")
            for name in names
        )
    )


def test_versions_are_those_of_the_artifacts_of_the_profile() -> None:
    known = locked("torch", "cutorch", "cutorch-modern", "score-wheels", "python-wheels-debian-12-x86_64")
    some = entry(gpu=MODERN, components=dict.fromkeys(["torch", "cutorch", "coco-caption", "python", "nn"], ID))
    assert configuration.versions_of(known, catalogue.load(), some) == {
        "coco-caption": "v-score-wheels",
        "cutorch": "v-cutorch-modern",
        "python": "v-python-wheels-debian-12-x86_64",
        "torch": "v-torch",
    }


def test_packages_are_those_of_libraries_and_programs_that_the_stack_needs() -> None:
    goal = target.parse("debian-12-x86_64")
    compiled = entry(packages={"libc.so.6": "libc6", "libm.so.6": "libc6"})
    some = compiled.model_copy(update={"needs": compiled.needs.model_copy(update={"python": ""})})
    there = {"libc6", "python3", "default-jre-headless", "less"}

    def wanted(known: Lock, *more: str) -> tuple[str, ...]:
        return packages.wanted(some, catalogue.load(), goal, known, more, there)

    assert wanted(locked("torch")) == ("libc6", "python3")
    assert wanted(locked("score-wheels"), "less") == ("default-jre-headless", "less", "libc6", "python3")
    with pytest.raises(MirrorError, match=r"lacks packages that the image needs: python3\.11$"):
        packages.wanted(compiled, catalogue.load(), goal, locked("torch"), (), there)
    with pytest.raises(MirrorError, match="lacks packages that the image needs: nano, vim") as refused:
        wanted(locked("torch"), "vim", "nano")
    assert "provision mirror pull --for debian-12-x86_64" in refused.value.advice


def test_installer_has_no_network_and_root_has_mounts_of_its_own() -> None:
    command = base.command(("a", "b"), Path("/some where/packages"), Path("/x.tar"), root=True)
    assert command[: command.index("mmdebstrap")] == ["unshare", "--mount", "--net", "--"]
    assert "--include=a,b" in command
    assert command[-3:] == ["", "/x.tar", "deb [trusted=yes] copy:///some%20where/packages ./"]
    plain = base.command((), Path("/p"), Path("/x.tar"), root=False)
    assert plain[:2] == ["mmdebstrap", "--mode=unshare"]


def test_scripts_of_packages_can_link_manuals_although_none_are_installed(tmp_path: Path) -> None:
    """The script of Java's package links its manuals into man1, and fails if there is no such directory."""
    (hook,) = [part for part in base.command((), Path("/p"), Path("/x.tar"), root=True) if "--essential-hook" in part]
    subprocess.run(["sh", "-euc", hook.partition("=")[2], "hook", str(tmp_path)], check=True)
    assert (tmp_path / "usr/share/man/man1").is_dir()
