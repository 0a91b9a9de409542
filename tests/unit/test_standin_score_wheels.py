"""The stand-in for the scorer's wheel: what the mirror takes, and what the real wheel is like."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from neuraltalk_provision import catalogue
from neuraltalk_provision.mirror import store
from tests.standin import score_wheels


def test_mirror_files_it_under_its_name_with_the_annotations(tmp_path: Path) -> None:
    files = score_wheels.write(tmp_path / "brought")
    entries = [store.add(tmp_path / "mirror", file, catalogue.load()) for file in files]
    assert [entry.name for entry in entries] == ["score-wheels", "coco-annotations"]


def test_it_has_the_files_that_the_real_wheel_has_and_is_the_same_every_time() -> None:
    names = zipfile.ZipFile(io.BytesIO(score_wheels.wheel())).namelist()
    for jar in ("tokenizer/stanford-corenlp-3.4.1.jar", "meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz"):
        assert f"pycocoevalcap/{jar}" in names
    assert not any(name.endswith("__init__.py") for name in names)
    assert score_wheels.tar() == score_wheels.tar()
