"""A generation is sealed only with what its components installed, as they left it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
ID = "0a1b2c3d4e5f6071"
PARTS = {"torch": "d-torch", "nn": "d-nn"}


class Builder:
    """A host that builds a generation by the modules, as the roles do."""

    def __init__(self, root: Path, run_module: Run) -> None:
        self.root, self.run_module = root, run_module
        self.home = root / "generations" / ID

    def open(self) -> None:
        files = [{"path": "environment", "content": "export A=1\n"}]
        self.run_module("stack_generation", stack_root=self.root, state="open", id=ID, files=files)

    def begin(self, component: str) -> dict[str, Any]:
        return self.run_module("component_stamp", generation=self.home, component=component, state="absent")

    def install(self, *names: str, text: str = "built") -> None:
        for name in names:
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_text(text)

    def end(self, component: str) -> None:
        given = {"generation": self.home, "component": component, "digest": PARTS[component], "evidence": "it loads"}
        self.run_module("component_stamp", **given)

    def build(self, component: str, *names: str) -> None:
        self.begin(component)
        self.install(*names)
        self.end(component)

    def seal(self) -> dict[str, Any]:
        return self.run_module("stack_generation", stack_root=self.root, state="sealed", id=ID, components=PARTS)

    def refused(self, *, sealed: bool = False) -> str:
        with pytest.raises(ModuleError) as refused:
            self.seal()
        assert (self.home / "generation.json").exists() is sealed
        return str(refused.value)


@pytest.fixture
def builder(tmp_path: Path, run_module: Run) -> Builder:
    """A builder with both components built, at a path with a space and a quote."""
    builder = Builder(tmp_path / "the 'stack' root", run_module)
    builder.open()
    builder.build("torch", "torch/bin/th", "torch/lib/rocks/manifest")
    builder.build("nn", "torch/lib/nn.so", "torch/lib/rocks/manifest")
    return builder


def test_what_components_installed_is_sealed(builder: Builder) -> None:
    assert builder.seal()["changed"] is True
    assert builder.seal()["changed"] is False
    assert not (builder.home / "building.json").exists()
    listed = (builder.home / "manifest").read_text()
    assert "installed" not in listed
    assert "building" not in listed


def foreign_file(home: Path) -> None:
    (home / "torch/lib/evil.lua").write_text("os.execute('id')")


def foreign_link(home: Path) -> None:
    (home / "torch/lib/evil").symlink_to("/etc/shadow")


def foreign_directory(home: Path) -> None:
    (home / "evil").mkdir()


def foreign_pipe(home: Path) -> None:
    os.mkfifo(home / "torch/evil")


def foreign_stamp(home: Path) -> None:
    (home / "stamps/evil.json").write_text('{"digest": "d"}')


@pytest.mark.parametrize("put", [foreign_file, foreign_link, foreign_directory, foreign_pipe, foreign_stamp])
@pytest.mark.parametrize("when", ["before", "after a stamp was removed", "before the stamps"])
def test_what_no_component_installed_is_refused_by_name(
    tmp_path: Path, run_module: Run, put: Callable[[Path], None], when: str
) -> None:
    if (when, put) == ("before", foreign_stamp):
        pytest.skip("what has a stamp and no list is removed when it is opened")
    builder = Builder(tmp_path / "root", run_module)
    if when == "before":
        for folder in ("torch/lib", "stamps"):
            (builder.home / folder).mkdir(parents=True)
        put(builder.home)
    builder.open()
    builder.build("torch", "torch/bin/th", "torch/lib/th.so")
    if when == "before the stamps":
        put(builder.home)
    builder.build("nn", "torch/lib/nn.so")
    if when == "after a stamp was removed":
        builder.seal()
        (builder.home / "stamps/nn.json").unlink()
        put(builder.home)
        builder.build("nn", "torch/lib/nn.so")
    words = builder.refused()
    assert "evil" in words
    assert "was added" in words
    assert "1 of its files" in words
    assert "Move or delete what was added" in words


def changed(home: Path) -> None:
    (home / "torch/bin/th").write_text("other")


def of_everybody(home: Path) -> None:
    (home / "torch/bin/th").chmod(0o666)


def with_setuid(home: Path) -> None:
    (home / "torch/bin/th").chmod(0o4755)


def as_a_link(home: Path) -> None:
    (home / "torch/bin/th").unlink()
    (home / "torch/bin/th").symlink_to("/bin/sh")


def gone(home: Path) -> None:
    (home / "torch/bin/th").unlink()


def stamp_of_another(home: Path) -> None:
    """A component that nobody built here is said to be there."""
    (home / "stamps/torch.json").write_text('{"digest": "d-torch"}')


def of_another_user(home: Path) -> None:
    os.chown(home / "torch/bin/th", 65534, 65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(
    "change", [changed, of_everybody, with_setuid, as_a_link, gone, of_another_user, stamp_of_another]
)
@pytest.mark.parametrize("rebuilt", [False, True])
def test_what_was_changed_since_its_stamp_is_refused_by_name(
    builder: Builder, change: Callable[[Path], None], rebuilt: bool
) -> None:
    if rebuilt:
        builder.seal()
        change(builder.home)
        builder.build("nn", "torch/lib/nn.so")
    else:
        change(builder.home)
    words = builder.refused()
    assert ("stamps/torch.json" if change is stamp_of_another else "torch/bin/th") in words
    assert "nn.so" not in words
    assert f"delete the stamps {builder.home}/stamps/torch.json" in words


def test_component_whose_build_was_not_begun_is_not_stamped(builder: Builder) -> None:
    with pytest.raises(ModuleError, match="the build of nn was not begun"):
        builder.run_module(
            "component_stamp", generation=builder.home, component="nn", digest="other", evidence="it loads"
        )


def test_list_of_differences_is_bounded(builder: Builder) -> None:
    for number in range(50):
        (builder.home / f"evil-{number}").write_text("")
    words = builder.refused()
    assert "50 of its files" in words
    assert words.count("evil-") == 20
    assert "and 30 more" in words


def test_refused_generation_is_sealed_after_the_advice_was_followed(builder: Builder) -> None:
    changed(builder.home)
    foreign_file(builder.home)
    builder.refused()
    (builder.home / "torch/lib/evil.lua").unlink()
    (builder.home / "stamps/torch.json").unlink()
    builder.build("torch", "torch/bin/th", "torch/lib/rocks/manifest")
    assert builder.seal()["changed"] is True


def test_component_that_is_built_again_may_change_and_remove_files(builder: Builder) -> None:
    builder.seal()
    builder.begin("nn")
    builder.install("torch/lib/other.so", "torch/lib/rocks/manifest", text="anew")
    (builder.home / "torch/lib/nn.so").unlink()
    builder.end("nn")
    assert builder.seal()["changed"] is True


def test_files_that_a_component_leaves_as_they_are_stay_in_the_list(builder: Builder) -> None:
    builder.seal()
    builder.build("nn")
    assert builder.seal()["changed"] is True


def test_what_an_interrupted_build_left_is_removed_before_it_is_repeated(builder: Builder) -> None:
    builder.begin("nn")
    builder.install("torch/lib/half/half.so", "torch/lib/half/deeper/x", "neuraltalk2/model/a.prototxt.lua")
    (builder.home / "torch/lib/half/link").symlink_to("/etc")
    assert builder.begin("nn")["removed"] == 5
    assert not (builder.home / "torch/lib/half").exists()
    assert (builder.home / "neuraltalk2/model/a.prototxt.lua").exists()
    builder.install("torch/lib/nn.so", "neuraltalk2/model/vgg")
    builder.end("nn")
    assert builder.seal()["changed"] is True


def test_what_an_interrupted_build_removed_is_not_missing(builder: Builder) -> None:
    builder.begin("nn")
    (builder.home / "torch/bin/th").unlink()
    builder.begin("nn")
    builder.build("nn", "torch/lib/nn.so")
    assert builder.seal()["changed"] is True


def test_what_was_there_before_an_interrupted_build_is_not_removed_but_refused(builder: Builder) -> None:
    foreign_file(builder.home)
    builder.begin("nn")
    builder.install("torch/lib/half.so")
    builder.build("nn", "torch/lib/nn.so")
    assert (builder.home / "torch/lib/evil.lua").exists()
    assert not (builder.home / "torch/lib/half.so").exists()
    assert "evil.lua was added" in builder.refused()


@pytest.mark.parametrize("left", ["building.json", "installed", "stamp"])
def test_kill_between_the_files_of_a_stamp_loses_nothing(builder: Builder, left: str) -> None:
    builder.begin("nn")
    marker = (builder.home / "building.json").read_bytes()
    before = (builder.home / "installed").read_bytes()
    builder.install("torch/lib/nn.so", "torch/lib/new.so")
    builder.end("nn")
    (builder.home / "building.json").write_bytes(marker)
    if left != "building.json":
        (builder.home / "stamps/nn.json").unlink()
    if left == "installed":
        (builder.home / "installed").write_bytes(before)
    if left != "building.json":
        builder.build("nn", "torch/lib/nn.so", "torch/lib/new.so")
    assert builder.seal()["changed"] is True


def test_generation_without_the_list_is_refused_with_its_reason(builder: Builder) -> None:
    (builder.home / "installed").unlink()
    words = builder.refused()
    assert "was added" in words
    assert f"delete {builder.home}" in words


@pytest.mark.parametrize("text", [None, "{}\nnot json", ""])
def test_generation_that_an_older_version_built_in_part_is_built_from_the_beginning(
    builder: Builder, load: Callable[[str], Any], text: str | None
) -> None:
    """Nobody knows what its components installed, so that it could never be sealed."""
    (builder.home / "installed").unlink() if text is None else (builder.home / "installed").write_text(text)
    foreign_file(builder.home)
    facts = load("stack_state").stack_facts(str(builder.root))
    assert facts["generations"][ID]["stamps"] == {}
    builder.open()
    assert not (builder.home / "torch" / "bin" / "th").exists()
    assert not (builder.home / "torch/lib/evil.lua").exists()
    builder.build("torch", "torch/bin/th")
    builder.build("nn", "torch/lib/nn.so")
    assert builder.seal()["changed"] is True


@pytest.mark.parametrize("sealed", [True, False])
def test_generation_that_is_sealed_or_current_is_not_emptied(builder: Builder, sealed: bool) -> None:
    builder.seal()
    (builder.root / "current").symlink_to(f"generations/{ID}")
    if sealed:
        (builder.root / "current").unlink()
    else:
        (builder.home / "generation.json").unlink()
    (builder.home / "installed").unlink()
    builder.open()
    assert (builder.home / "torch" / "bin" / "th").exists()
    if not sealed:
        assert f"delete {builder.home}" in builder.refused()


def test_what_a_user_saved_in_the_current_generation_is_not_removed(builder: Builder) -> None:
    builder.seal()
    (builder.root / "current").symlink_to(f"generations/{ID}")
    builder.begin("nn")
    (builder.home / "torch/lib/notes.txt").write_text("mine")
    assert builder.begin("nn")["removed"] == 0
    builder.install("torch/lib/nn.so")
    builder.end("nn")
    assert "notes.txt was added" in builder.refused()


def test_files_that_programs_write_by_hand_are_not_sealed(builder: Builder) -> None:
    builder.build("nn", "neuraltalk2/vis/index.html")
    (builder.home / "neuraltalk2" / "vis" / "vis.json").write_text("{}")
    builder.seal()
    listed = (builder.home / "manifest").read_text()
    assert "index.html" in listed
    assert "vis.json" not in listed


def test_damaged_list_is_like_a_missing_one(builder: Builder) -> None:
    (builder.home / "installed").write_text("{}\nnot json")
    assert f"delete {builder.home}" in builder.refused()


def test_seal_of_an_earlier_release_is_the_list_if_there_is_no_other(builder: Builder) -> None:
    builder.seal()
    (builder.home / "installed").unlink()
    foreign_file(builder.home)
    builder.build("nn", "torch/lib/nn.so")
    assert "evil.lua was added" in builder.refused()
    (builder.home / "torch/lib/evil.lua").unlink()
    assert builder.seal()["changed"] is True


def test_files_that_opening_writes_may_change_with_the_release(builder: Builder) -> None:
    builder.seal()
    files = [{"path": "environment", "content": "export A=2\n"}]
    builder.run_module("stack_generation", stack_root=builder.root, state="open", id=ID, files=files)
    assert builder.seal()["changed"] is True
    (builder.home / "environment").write_text("export A=3\n")
    assert "environment was changed" in builder.refused(sealed=True)


@pytest.mark.parametrize("opened", [True, False])
def test_temporary_files_of_killed_writes_are_no_differences(builder: Builder, opened: bool) -> None:
    """A killed seal leaves them, and is repeated."""
    for folder in ("", "stamps", "etc", "bin"):
        (builder.home / folder / ".new-ab12_x9").write_text("half")
    if opened:
        builder.open()
    assert builder.seal()["changed"] is True
    assert not list(builder.home.rglob(".new-*"))


def test_generation_whose_manifest_was_removed_is_not_sealed_with_something_else(builder: Builder) -> None:
    builder.seal()
    foreign_file(builder.home)
    (builder.home / "manifest").unlink()
    assert "evil.lua was added" in builder.refused(sealed=True)


def test_modes_of_what_was_installed_are_made_safe(builder: Builder) -> None:
    builder.begin("nn")
    builder.install("torch/lib/nn.so")
    (builder.home / "torch/lib/nn.so").chmod(0o4777)
    builder.end("nn")
    assert (builder.home / "torch/lib/nn.so").stat().st_mode & 0o7777 == 0o755
    assert builder.seal()["changed"] is True


def test_component_that_installs_a_pipe_is_not_stamped(builder: Builder) -> None:
    builder.begin("nn")
    foreign_pipe(builder.home)
    with pytest.raises(ModuleError, match="torch/evil was installed as a pipe, a socket or a device"):
        builder.end("nn")


@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumps_by_a_year_changes_nothing(builder: Builder, years: int) -> None:
    foreign_file(builder.home)
    builder.begin("nn")
    builder.install("torch/lib/nn.so", "torch/lib/new.so")
    for name in ("torch/lib/nn.so", "torch/lib/new.so"):
        file = builder.home / name
        when = file.stat().st_mtime + years * 365 * 86400
        os.utime(file, (when, when))
    builder.end("nn")
    assert "evil.lua was added" in builder.refused()
    (builder.home / "torch/lib/evil.lua").unlink()
    assert builder.seal()["changed"] is True


def test_list_says_which_component_installed_a_file(builder: Builder) -> None:
    builder.begin("nn")
    builder.install("torch/lib/rocks/manifest", text="with nn")
    builder.end("nn")
    lines = [json.loads(line) for line in (builder.home / "installed").read_text().splitlines()]
    owners = {line["path"]: line["component"] for line in lines}
    assert owners["environment"] == ""
    assert owners["torch/bin/th"] == "torch"
    assert owners["torch/lib/rocks/manifest"] == owners["torch/lib/nn.so"] == "nn"


def test_component_of_a_file_is_told(builder: Builder) -> None:
    paths = ["torch/lib/nn.so", "torch/bin/th", "environment", "none", "../x"]
    asked = {"stack_root": builder.root, "id": ID, "paths": paths}
    assert builder.run_module("installed_files_info", **asked)["components"] == ["nn", "torch", "", "", ""]
    with pytest.raises(ModuleError, match="more than 1000 paths"):
        builder.run_module("installed_files_info", **{**asked, "paths": ["x"] * 1001})
