"""A packed generation is fetched in pieces: no more than was announced, and only a whole file has its name."""

from __future__ import annotations

import base64
import hashlib
import importlib
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase

Run = Callable[..., dict[str, Any]]
CONTENT = bytes(range(256)) * 100


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs the action plugin with a module that answers what is given; its result."""
    plugin = importlib.import_module("plugins.action.generation_fetch")
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(plugin.pack, "CHUNK", 10_000)

    def fetch(answer: Callable[[dict[str, Any]], dict[str, Any]], **more: Any) -> dict[str, Any]:
        args = {
            "path": "/x",
            "dest": str(tmp_path / "pack.tar"),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "size": len(CONTENT),
            **more,
        }
        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=args, action="neuraltalk.provision.generation_fetch", check_mode=False)
        action._execute_module = lambda module_name, module_args, task_vars: answer(module_args)
        result: dict[str, Any] = action.run(None, {})
        return result

    return fetch


def piece(args: dict[str, Any]) -> dict[str, Any]:
    start = args["offset"]
    return sent(CONTENT[start : start + 10_000])


def sent(data: bytes) -> dict[str, Any]:
    return {"piece": base64.b64encode(zlib.compress(data)).decode()}


def test_file_arrives_whole(fetch: Run, tmp_path: Path) -> None:
    assert fetch(piece)["changed"] is True
    assert (tmp_path / "pack.tar").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["pack.tar"]


BAD: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any], str]] = {
    "more than announced": (piece, {"size": 15_000}, "another number of bytes"),
    "less than announced": (piece, {"size": 99_000}, "another number of bytes"),
    "a piece that is too large": (
        lambda args: sent(b"x" * 20_000),
        {},
        "another number of bytes",
    ),
    "a bomb": (lambda args: sent(b"x" * 50_000_000), {}, "another number of bytes"),
    "not compressed": (lambda args: {"piece": base64.b64encode(b"x" * 100).decode()}, {}, "another number of bytes"),
    "no base64": (lambda args: {"piece": "ä"}, {}, "another number of bytes"),
    "nothing": (lambda args: {}, {}, "another number of bytes"),
    "other bytes": (lambda args: sent(b"x" * 100), {"size": 100}, "has SHA-256"),
    "more than is accepted": (piece, {"largest": 1000}, "at most 1000 are accepted"),
    "a failure": (lambda args: {"failed": True, "msg": "no such file"}, {}, "no such file"),
    "an end in the middle": (
        lambda args: {"unreachable": True, "msg": "closed"} if args["offset"] else piece(args),
        {},
        "closed",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_as_announced_leaves_no_file(what: str, fetch: Run, tmp_path: Path) -> None:
    answer, more, words = BAD[what]
    result = fetch(answer, **more)
    assert result["failed"] is True
    assert words in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written_is_named(fetch: Run, tmp_path: Path) -> None:
    result = fetch(piece, dest=str(tmp_path / "none" / "pack.tar"))
    assert "on the controller cannot be written" in result["msg"]


def test_module_reads_one_piece(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(CONTENT)
    given = {"path": tmp_path / "pack", "dest": "/x", "sha256": "a", "size": len(CONTENT)}
    whole = run_module("generation_fetch", **given)["piece"]
    rest = run_module("generation_fetch", **given, offset=20_000)["piece"]
    assert zlib.decompress(base64.b64decode(whole)) == CONTENT
    assert zlib.decompress(base64.b64decode(rest)) == CONTENT[20_000:]
