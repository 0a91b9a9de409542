"""Small data sets to prepare, and what is left beside them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest

from neuraltalk_provision import paths
from tests.standin.images import png

Load = Callable[[str], ModuleType]
CAPTIONS = ["a man rides a horse", "A dog, on the grass!", "the man and the dog"]
PROGRAM = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from module_utils.preparing import prepare
from module_utils.preparing.journal import Journal
from module_utils.host.errors import StackError
request, at = json.loads(sys.argv[2]), int(sys.argv[3])
add, count = Journal.add, [0]
def watched(self, line, durable=False):
    add(self, line, durable)
    count[0] += 1
    if count[0] == at:
        os.killpg(0, signal.SIGKILL)
Journal.add = watched
prepare.prepare(request, print)
"""


class Set:
    """A small data set: pictures 0.png to N-1.png, and raw.json as prepro.py takes it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.images, self.count = folder, folder / "the pictures", count
        self.images.mkdir(parents=True)
        for number in range(count):
            size = (300 + number, 40) if number % 2 else (30, 290 + number)
            (self.images / f"{number}.png").write_bytes(png(*size, (number, 255 - number, 7 * number % 256)))
        self.write([f"{number}.png" for number in range(count)])

    def write(self, names: list[str]) -> None:
        entries = [
            {"file_path": name, "captions": CAPTIONS[: 1 + place % 3], "id": place} for place, name in enumerate(names)
        ]
        (self.folder / "raw.json").write_text(json.dumps(entries))

    def request(self, **more: Any) -> dict[str, Any]:
        usual = {"num_val": 1, "num_test": 0, "word_count_threshold": 0, "jobs": 2, "block": 3}
        return {
            "input_json": [str(self.folder / "raw.json")],
            "images_root": str(self.images),
            "output_json": str(self.folder / "data.json"),
            "output_h5": str(self.folder / "data.h5"),
            **usual,
            **more,
        }

    def killed(self, at: int, **more: Any) -> bool:
        """Run it in a process that is killed after line number `at` of its journal; whether that came."""
        argv = [sys.executable, "-c", PROGRAM, str(paths.plugins()), json.dumps(self.request(**more)), str(at)]
        done = subprocess.run(argv, start_new_session=True, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode != 0

    def journal(self) -> list[dict[str, Any]]:
        text = (self.folder / "data.h5.part.journal").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def left(self) -> set[str]:
        """The files beside the captions and the pictures; names without the digest that unfinished ones have."""
        names = {re.sub(r"\.[0-9a-f]{8}\.part$", ".part", path.name) for path in self.folder.iterdir()}
        return names - {"raw.json", "the pictures"}


DONE = {"data.h5", "data.json", "data.annotations.json"}
PARTS = {"data.h5.part", "data.json.part", "data.annotations.json.part", "data.h5.part.journal"}


def say(_text: str) -> None:
    return None


def rows(file: Path) -> list[bytes]:
    with h5py.File(file) as data:
        return [data["images"][row].tobytes() for row in range(len(data["images"]))]


def refused(prepare: ModuleType, request: dict[str, Any]) -> str:
    """What is said where it is refused."""
    with pytest.raises(prepare.StackError) as caught:
        prepare.prepare(request, say)
    return str(caught.value)


@pytest.fixture
def prepare(load: Load) -> ModuleType:
    return load("preparing.prepare")


@pytest.fixture
def made(tmp_path: Path) -> Set:
    return Set(tmp_path / 'a "set"', 14)
