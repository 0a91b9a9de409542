"""Collections whose files are checked, and whose index is made, when the files have arrived."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import collecting, lock, pull, pull_plan
from neuraltalk_provision.mirror.collection import Collection
from tests.unit.collected import CATALOGUE, WHEELS, Shelf, shelf
from tests.unit.test_collecting import DEBIAN, Said


@dataclass(frozen=True)
class Indexed(Collection):
    """A collection whose index has the content of its files."""

    def finish(self, files: Mapping[str, Path], work: Path, stop: Event) -> Collection:
        assert work.is_dir()
        if any(file.read_bytes() == b"bad" for file in files.values()):
            raise MirrorError("bad.whl is not signed", advice="Use another.")
        text = "".join(f"{name} {file.read_text()}\n" for name, file in sorted(files.items()))
        return replace(self, made={"index": text.encode()})


class Indexer(Shelf):
    """A shelf that finds such collections."""

    def collect(self, *asked: Any) -> Indexed:
        found = super().collect(*asked)
        return Indexed(**{one.name: getattr(found, one.name) for one in fields(found)})


def pulled(mirror: Path, place: Shelf) -> pull.Pulled:
    collectors = place.collectors()
    plan = pull_plan.plan(
        CATALOGUE, [DEBIAN], ["cpu"], pull.inventory(mirror), only=["python-wheels"], ask=collectors.ask
    )
    plan = collecting.collect(mirror, plan, collectors, Said())
    return pull.pull(mirror, plan, CATALOGUE, Said())


def test_what_is_made_of_the_files_is_in_the_tar(tmp_path: Path) -> None:
    place = Indexer(shelf(tmp_path / "index").place)
    assert pulled(tmp_path / "m", place).failures == ()
    with tarfile.open(tmp_path / "m" / f"{WHEELS}.tar") as tar:
        content = tar.extractfile("index")
        assert content
        assert content.read() == b"h5py-2-py3-none-any.whl h5py\nnumpy-1-py3-none-any.whl numpy\n"


def test_file_that_is_refused_then_is_no_artifact(tmp_path: Path) -> None:
    place = Indexer(shelf(tmp_path / "index", {"bad-1-py3-none-any.whl": b"bad"}).place)
    (failure,) = pulled(tmp_path / "m", place).failures
    assert (failure.name, failure.message, failure.advice) == (WHEELS, "bad.whl is not signed", "Use another.")
    assert lock.read(tmp_path / "m").artifacts == ()
    assert not (tmp_path / "m" / f"{WHEELS}.tar").exists()


def test_index_with_a_hostile_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Indexed, "finish", lambda self, *more: replace(self, made={"../index": b""}))
    (failure,) = pulled(tmp_path / "m", Indexer(shelf(tmp_path / "index").place)).failures
    assert "'../index', which is not a plain name" in failure.message
