"""The role installs the scorer from an archive or from wheels: the files of each, and that one replaces the other."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import ansible
from tests.standin import score_wheels
from tests.unit.archives import pack

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: neuraltalk.provision.neuraltalk2, tasks_from: coco-caption}
      vars: {__neuraltalk2_part: "{{ archive }}"}
    - ansible.builtin.command: cp -a coco-caption first
      args: {chdir: "{{ neuraltalk2_generation }}"}
    - ansible.builtin.include_role: {name: neuraltalk.provision.neuraltalk2, tasks_from: coco-caption}
      vars: {__neuraltalk2_part: "{{ wheels }}"}
"""


def lock_entry(name: str, file: Path) -> dict[str, Any]:
    """An entry of the lock."""
    return {"name": name, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "size": 1}


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_scorer_is_installed_and_linked_from_the_archive_and_then_from_wheels(
    tmp_path: Path,
) -> None:
    files = score_wheels.write(tmp_path / "mirror")
    old = {"c/pycocotools/coco.py": "", "c/pycocoevalcap/meteor/meteor.py": "", "c/myeval.py": "theirs"}
    pack(tmp_path / "mirror" / "coco-caption.tgz", old)
    pack(tmp_path / "mirror" / "neuraltalk2.tgz", {"n/coco-caption/myeval.py": "neuraltalk2's"})
    generation = tmp_path / "generation"
    for folder in ("neuraltalk2/coco-caption", "bin", "stamps"):
        (generation / folder).mkdir(parents=True)
    (generation / "bin" / "with-stack").write_text('#!/bin/sh\nexec "$@"\n')
    (generation / "bin" / "with-stack").chmod(0o755)
    variables: dict[str, Any] = {
        "archive": {
            "name": "coco-caption",
            "digest": "d0",
            "files": [lock_entry("coco-caption", tmp_path / "mirror" / "coco-caption.tgz")],
            "edits": [],
        },
        "wheels": {
            "name": "coco-caption",
            "digest": "d1",
            "files": [lock_entry("score-wheels", files[0]), lock_entry("coco-annotations", files[1])],
            "edits": [],
        },
        "neuraltalk2_parts": [
            {"name": "neuraltalk2", "files": [lock_entry("neuraltalk2", tmp_path / "mirror" / "neuraltalk2.tgz")]}
        ],
        "__neuraltalk2_anew": True,
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
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", json.dumps(variables),
         str(tmp_path / "play.yml")],
        env=ansible.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    place = generation / "neuraltalk2" / "coco-caption"
    assert place.readlink() == Path("../coco-caption")
    first, there = below(generation / "first"), below(place.resolve())
    assert {"pycocotools/coco.py", "pycocoevalcap/meteor/meteor.py", "myeval.py", "scorer.json"} <= first
    assert json.loads((generation / "first" / "scorer.json").read_text())["python"] == ""
    assert "ScorerError" in (generation / "first" / "myeval.py").read_text()
    assert {"myeval.py", "scorer.json", "pycocoevalcap/__init__.py", "pycocoevalcap/bleu/bleu.py"} <= there
    assert not {"pycocotools", "pycocoevalcap/spice"} & there
    assert not any(name.endswith(".pyc") for name in there)
    assert (place / "annotations" / "captions_val2014.json").read_bytes() == files[1].read_bytes()
    assert json.loads((place / "scorer.json").read_text())["python"] == sys.executable
    assert "ScorerError" in (place / "myeval.py").read_text()
    assert json.loads((generation / "stamps" / "coco-caption.json").read_text())["digest"] == "d1"
