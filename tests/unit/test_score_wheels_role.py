"""The role's way from wheels, with a stand-in wheel: what it puts where, in place of what was there before."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from neuraltalk_provision import paths
from tests.standin import score_wheels

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: neuraltalk2, tasks_from: coco-caption}
"""


def test_scorer_is_installed_loaded_noted_and_linked_where_neuraltalk2_looks(tmp_path: Path) -> None:
    files = score_wheels.write(tmp_path / "mirror")
    generation = tmp_path / "generation"
    for folder in ("neuraltalk2/coco-caption", "coco-caption/pycocotools", "bin", "stamps"):
        (generation / folder).mkdir(parents=True)
    (generation / "bin" / "with-stack").write_text('#!/bin/sh\nexec "$@"\n')
    (generation / "bin" / "with-stack").chmod(0o755)
    (generation / "coco-caption" / "pycocotools" / "coco.py").touch()  # of an attempt from the archive
    held = [
        {"name": name, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "size": 1}
        for name, file in zip(("score-wheels", "coco-annotations"), files, strict=True)
    ]
    part = {"name": "coco-caption", "digest": "d1", "files": held, "edits": []}
    given: dict[str, Any] = {
        "__neuraltalk2_part": part,
        "__neuraltalk2_anew": True,
        "neuraltalk2_parts": [part],
        "neuraltalk2_generation": str(generation),
        "neuraltalk2_artifacts": str(tmp_path / "artifacts"),
        "neuraltalk2_mirror": str(tmp_path / "mirror"),
        "neuraltalk2_build": str(tmp_path / "build"),
        "neuraltalk2_python": sys.executable,
        "ansible_python_interpreter": sys.executable,
        "ansible_connection": "local",
    }
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", json.dumps(given),
         str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(paths.playbooks() / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    place = generation / "neuraltalk2" / "coco-caption"
    assert place.readlink() == Path("../coco-caption")
    there = {path.relative_to(place.resolve()).as_posix() for path in place.resolve().rglob("*")}
    assert {"myeval.py", "scorer.json", "pycocoevalcap/__init__.py", "pycocoevalcap/bleu/bleu.py"} <= there
    assert not {"pycocotools", "pycocoevalcap/spice"} & there
    assert not any(name.endswith(".pyc") for name in there)
    assert (place / "annotations" / "captions_val2014.json").read_bytes() == files[1].read_bytes()
    assert json.loads((place / "scorer.json").read_text())["python"] == sys.executable
    assert "ScorerError" in (place / "myeval.py").read_text()
    assert json.loads((generation / "stamps" / "coco-caption.json").read_text())["digest"] == "d1"
