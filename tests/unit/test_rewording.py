"""No decision depends on the text of a message: replacing every message of a module changes nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.site import advice, codes, events
from tests.standin import cudnn as standin
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
WORDS = ("msg", "exception", "tail")
TIMES = ("seconds",)
OTHERS = "host-b pid 7 since 1 boot b space 1 machine m"


class Scenes:
    """What goes wrong on a host, each by a module that is run for it."""

    def __init__(self, run_module: Run, load: Callable[[str], ModuleType], place: Path, patch: pytest.MonkeyPatch):
        self.run, self.load, self.place, self.patch = run_module, load, place, patch

    def cuda(self, version: str) -> Path:
        tree = self.place / "cuda-7.5"
        for folder in ("include", "lib64"):
            (tree / folder).mkdir(parents=True)
        standin.place(tree, version, links=True)
        return tree

    def swap(self, tree: Path, **more: Any) -> None:
        archive = self.place / "5.0.5.tgz"
        archive.write_bytes(standin.archive("5.0.5"))
        given = {"cuda": tree, "archive": archive, "version": "5.0.5", "state": "swapped", "ldconfig": False}
        self.run("cudnn_swap", **given, **more)

    def newer_cudnn(self) -> None:
        self.swap(self.cuda("6.0.21"))

    def newer_cudnn_in_check_mode(self) -> None:
        self.swap(self.cuda("6.0.21"), check=True)

    def cudnn_in_use(self) -> None:
        mapped = [{"pid": 7, "command": "python", "file": "/x/libcudnn.so.4"}]
        self.patch.setattr(self.load("cudnn.swap"), "users", lambda tree: mapped)
        self.swap(self.cuda("4.0.7"))

    def no_room_for_cudnn(self) -> None:
        self.patch.setattr(self.load("cudnn.archive"), "SPARE", 1 << 60)
        self.swap(self.cuda("4.0.7"))

    def busy(self) -> None:
        asked = {"stack_root": self.place, "host": "h", "what": "site", "state": "held"}
        self.run("host_lease", **asked, holder=OTHERS)
        self.run("host_lease", **asked, holder=OTHERS.replace("host-b", "host-c"))

    def arm(self) -> None:
        """Arm a timer without starting it, for a generation that is current then."""
        for name in "ab":
            (self.place / "generations" / name).mkdir(parents=True)
            (self.place / "generations" / name / "generation.json").write_text("{}")
        self.patch.setattr(self.load("activation.timer"), "arm", lambda root, record: "none")
        self.run("activation_timer", stack_root=self.place, id="b", return_after=9, state="armed")
        self.run("stack_generation", stack_root=self.place, id="b", state="current", armed=True)

    def no_timer(self) -> None:
        self.patch.setattr(self.load("activation.timer"), "RUNNING", os.devnull)
        self.patch.setattr(self.load("activation.timer").sys, "executable", "/bin/false")
        self.run("activation_timer", stack_root=self.place, id="b", return_after=9, state="armed")

    def confirmed_after_a_reboot(self) -> None:
        self.arm()
        self.patch.setattr(self.load("activation.clock"), "boot", lambda: "another boot")
        self.run("activation_timer", stack_root=self.place, id="b", state="confirmed")

    def confirmed_by_another_controller(self) -> None:
        self.arm()
        self.run("activation_timer", stack_root=self.place, id="b", holder=OTHERS, state="confirmed")

    def full_while_unpacking(self) -> None:
        def full(*_given: Any) -> None:
            raise OSError(28, os.strerror(28))

        self.patch.setattr(self.load("artifact_unpack").shutil, "copyfileobj", full)
        (self.place / "5.0.5.tgz").write_bytes(standin.archive("5.0.5"))
        self.run("artifact_unpack", src=self.place / "5.0.5.tgz", dest=self.place / "out")

    def full_while_a_command_ran(self) -> None:
        self.patch.setattr(self.load("host.outcome"), "is_full", lambda directory: True)
        self.run("logged_command", argv=["false"], log=self.place / "x.log")

    def command_that_fails(self) -> None:
        self.run("logged_command", argv=["false"], log=self.place / "x.log")

    def broken_archive(self) -> None:
        (self.place / "x.tgz").write_bytes(b"no archive")
        self.run("artifact_unpack", src=self.place / "x.tgz", dest=self.place / "out")

    def nothing_to_verify(self) -> None:
        self.run("stack_verify", generation=self.place / "none", parts=[], log=self.place / "x.log")

    def generation_that_is_not_whole(self) -> None:
        self.run("stack_generation", stack_root=self.place, id="0a1b2c3d4e5f6071", state="current")

    def run_that_is_not_there(self) -> None:
        self.run("stack_run_info", stack_root=self.place, id="x", state="followed")


SCENES = {
    "newer_cudnn": codes.CUDNN_FOREIGN,
    "newer_cudnn_in_check_mode": codes.CUDNN_FOREIGN,
    "cudnn_in_use": codes.CUDNN_IN_USE,
    "no_room_for_cudnn": codes.DISK_FULL,
    "busy": codes.BUSY,
    "no_timer": codes.ACTIVATION_TIMER,
    "confirmed_after_a_reboot": codes.ACTIVATION_RETURNED,
    "confirmed_by_another_controller": codes.BUSY,
    "full_while_unpacking": codes.DISK_FULL,
    "full_while_a_command_ran": codes.DISK_FULL,
    "command_that_fails": None,
    "broken_archive": None,
    "nothing_to_verify": None,
    "generation_that_is_not_whole": None,
    "run_that_is_not_there": None,
}


@contextmanager
def reworded(load: Callable[[str], ModuleType], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every message of our modules in other words."""
    kind = load("host.errors").StackError
    plain = kind.__init__
    with patch.context() as words:
        words.setattr(
            kind, "__init__", lambda self, message, **details: plain(self, re.sub(r"\w", "z", message), **details)
        )
        words.setattr(os, "strerror", lambda number: "zzz")
        yield


def failed(scenes: Scenes, name: str) -> tuple[dict[str, Any], events.Failure]:
    """(the module's result, the failure that the controller makes of it)."""
    with pytest.raises(ModuleError) as caught:
        getattr(scenes, name)()
    result = caught.value.result
    failure = events.failure({"event": "runner_on_failed", "event_data": {"host": "h", "task": "t", "res": result}})
    assert failure
    return result, failure


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_other_words_of_a_module_change_nothing_but_words(
    run_module: Run, load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ends = []
    for attempt in ("plain", "other"):
        place = tmp_path / attempt / "the host's root"
        place.mkdir(parents=True)
        with monkeypatch.context() as patch:
            scenes = Scenes(run_module, load, place, patch)
            if attempt == "plain":
                ends.append(failed(scenes, name))
            else:
                with reworded(load, monkeypatch):
                    ends.append(failed(scenes, name))
    (plain, failure), (other, after) = ends
    assert plain["msg"] != other["msg"]
    kept = [
        {key: str(value).replace("/other/", "/plain/") for key, value in r.items() if key not in WORDS + TIMES}
        for r in (plain, other)
    ]
    assert kept[0] == kept[1]
    assert plain.get("code") == SCENES[name]
    assert (failure.code, failure.unreachable) == (after.code, after.unreachable) == (SCENES[name] or "", False)
    told = [advice.explain(one).removesuffix(one.message.replace("\n", "\n  ")) for one in (failure, after)]
    assert told[0] == told[1]
    assert (advice.ADVICE.get(failure.code, "") in told[0]) is True


def test_every_code_that_has_advice_is_one_that_somebody_gives() -> None:
    given = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert set(advice.ADVICE) <= given
