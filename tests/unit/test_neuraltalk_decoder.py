"""Which pictures image.load reads: what becomes of its process is said of the picture that it had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.conftest import program

pytestmark = pytest.mark.slow

# Does with a picture what its first word says.
LUAJIT = """#!{python} -u
import os, sys, time
print("neuraltalk: ready")
for line in iter(sys.stdin.readline, ""):
    print("neuraltalk: begin")
    path = bytes.fromhex(line.strip())
    word, _, rest = open(path, encoding="utf-8").read().partition(" ")
    with open({seen!r}, "ab") as seen:
        seen.write(path + b"\\0")
    if word == "die":
        os.kill(os.getpid(), int(rest))
    elif word == "exit":
        print("half a line of its last words", end="")
        sys.exit(int(rest))
    elif word == "slow":
        time.sleep(0.06)
        print("neuraltalk: ok")
    elif word == "hang":
        time.sleep(600)
    elif word == "bad":
        print("noise " * 1000 + "\\nneuraltalk: bad " + rest.encode().hex())
    else:
        print("libpng warning: something\\nneuraltalk: ok")
        if word == "last":
            sys.exit(0)
"""


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captioning.decoder")


@pytest.fixture
def stack(generation: Path, tmp_path: Path) -> Path:
    """A generation whose luajit does with a picture what stands in it."""
    program(generation, "luajit", "")
    (generation / "bin" / "luajit").write_text(LUAJIT.format(python=sys.executable, seen=str(tmp_path / "seen")))
    return generation


def pictures(folder: Path, *contents: str) -> list[str]:
    """Files of these contents."""
    for number, content in enumerate(contents):
        (folder / f"it's \n{number}.jpg").write_text(content, encoding="utf-8")
    return [str(folder / f"it's \n{number}.jpg") for number in range(len(contents))]


def answers(module: ModuleType, stack: Path, paths: list[str], **more: object) -> list[str]:
    """The reasons of the pictures, empty where one was read."""
    found = {
        place: told.reason if told else "" for place, told in module.decode_all(str(stack), paths, ENVIRONMENT, **more)
    }
    return [found[place] for place in range(len(paths))]


ENVIRONMENT = {"PATH": os.environ["PATH"]}


def test_each_picture_has_its_own_answer(module: ModuleType, stack: Path, tmp_path: Path) -> None:
    told = answers(
        module,
        stack,
        pictures(
            tmp_path,
            "ok",
            "bad /opt/lua/image/init.lua:225: [read_png_file] \x1b[31mbroken\x1b[0m\nIDAT",
            "die 11",
            "ok",
            "die 9",
            "exit 3",
            "last",
            "bad é\udc00".encode("utf-8", "replace").decode(),
            "ok",
        ),
    )
    assert told == [
        "",
        "image.load: [read_png_file] broken IDAT",
        "image.load was ended by SIGSEGV while it read it",
        "",
        "image.load was ended by SIGKILL while it read it, probably by the kernel because of too little memory",
        "image.load ended its process with code 3 while it read it",
        "",
        "image.load: é?",
        "",
    ]


def test_picture_that_is_never_read_is_given_up(
    module: ModuleType, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module, "PAUSE", 0.05)
    assert answers(module, stack, pictures(tmp_path, "ok", "hang", "ok")) == [
        "",
        "image.load has not read it within 0 s",
        "",
    ]


def test_pictures_are_dealt_out_to_several_processes_once_each(
    module: ModuleType, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 3)
    paths = pictures(tmp_path, *["ok"] * 40)
    assert answers(module, stack, paths) == [""] * 40
    seen = (tmp_path / "seen").read_bytes().split(b"\0")[:-1]
    assert sorted(map(os.fsdecode, seen)) == sorted(paths)


def test_name_that_is_not_utf_8_reaches_the_decoder(module: ModuleType, stack: Path, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")
    Path(path).write_text("ok")
    assert answers(module, stack, [path]) == [""]


def test_no_picture_needs_no_process(module: ModuleType, generation: Path) -> None:
    assert answers(module, generation, []) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo \"module 'image' not found\" >&2; exit 1", "cannot be loaded .* code 1 .*: module 'image' not found"),
        ("exit 0", "cannot be loaded .* code 0 .*: it printed nothing"),
        ("echo 'neuraltalk: ready'; read x; echo neuraltalk: begin; kill -11 $$", "reads no picture .*SIGSEGV"),
    ],
)
def test_image_that_cannot_be_loaded_is_said(
    module: ModuleType, stack: Path, tmp_path: Path, script: str, words: str
) -> None:
    program(stack, "luajit", script)
    with pytest.raises(module.StackError, match=words):
        answers(module, stack, pictures(tmp_path, *["ok"] * 30))


def test_any_number_of_pictures_may_end_the_process_where_others_are_read(
    module: ModuleType, stack: Path, tmp_path: Path
) -> None:
    told = answers(module, stack, pictures(tmp_path, "ok", *["exit 1"] * 25, "ok"))
    assert [told[0], told[-1], len(set(told[1:-1]))] == ["", "", 1]


def test_process_that_finds_no_room_is_done_without(
    module: ModuleType, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second and third process cannot be loaded."""
    monkeypatch.setattr(module, "cores", lambda: 3)
    first = (stack / "bin" / "luajit").rename(stack / "bin" / "first")
    wait = f"until [ -e '{tmp_path}/seen' ]; do sleep 0.02; done; kill -9 $$"
    program(stack, "luajit", f'mkdir \'{tmp_path}/taken\' && exec "$(dirname "$0")/{first.name}"; {wait}')
    assert answers(module, stack, pictures(tmp_path, *["slow"] * 16)) == [""] * 16


def test_image_that_does_not_load_in_time_is_said(
    module: ModuleType, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOADING", 0.1)
    monkeypatch.setattr(module, "PAUSE", 0.05)
    program(stack, "luajit", "sleep 60")
    with pytest.raises(module.StackError, match="cannot be loaded in 0 s"):
        answers(module, stack, pictures(tmp_path, "ok"))


def test_stop_ends_all_processes(
    module: ModuleType, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.05)
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()
    began = time.monotonic()
    with pytest.raises(module.Stopped):
        answers(module, stack, pictures(tmp_path, "hang"), stopped=asked.is_set)
    assert time.monotonic() - began < 30
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(stack) not in listed


def test_memory_of_a_process_is_bounded(module: ModuleType, stack: Path, tmp_path: Path) -> None:
    program(stack, "luajit", "ulimit -v >&2; exit 1")
    with pytest.raises(module.StackError, match=str(8 << 20)):
        answers(module, stack, pictures(tmp_path, "ok"))


@pytest.mark.skipif(not shutil.which("luajit"), reason="there is no luajit here")
def test_the_program_itself_runs(module: ModuleType, generation: Path, tmp_path: Path) -> None:
    """By luajit with a torch and an image that do with a picture what stands in it."""
    lua = tmp_path / "lua"
    lua.mkdir()
    (lua / "torch.lua").write_text("")
    (lua / "image.lua").write_text(
        """
        image = {}
        local sized = {size = function() return 3 end}
        function image.load(path, depth, kind)
          assert(depth == 3 and kind == 'byte')
          local file = assert(io.open(path, 'rb'))
          local word = file:read('*a')
          file:close()
          if word == 'nil' then return nil end
          if word == 'exit' then os.exit(5) end
          if word == 'flat' then return {} end
          if word ~= 'ok' then error(word) end
          return sized
        end
        function image.scale(img, width, height) assert(img == sized and width == 256 and height == 256) end
        """
    )
    program(generation, "luajit", f"LUA_PATH='{lua}/?.lua' exec {shutil.which('luajit')} \"$@\"")
    told = answers(module, generation, pictures(tmp_path, "ok", "nil", "exit", "wrong \xff\n", "ok"))
    assert told == [
        "",
        "image.load: image.load gave nothing",
        "image.load ended its process with code 5 while it read it",
        "image.load: wrong ÿ",
        "",
    ]
    assert answers(module, generation, [*pictures(tmp_path, "ok"), str(tmp_path / "none")])[1].endswith(
        "No such file or directory"
    )
