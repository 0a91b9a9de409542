"""docs/scale.md and docs/execution-environment.yml name the versions and files that there are."""

from __future__ import annotations

import re

import yaml

from neuraltalk_provision import paths

DOCS = paths.share() / "docs"
ENVIRONMENT = yaml.safe_load((DOCS / "execution-environment.yml").read_text(encoding="utf-8"))
GALAXY = yaml.safe_load((paths.share() / "galaxy.yml").read_text(encoding="utf-8"))


def test_image_has_the_versions_that_users_get() -> None:
    dependencies = ENVIRONMENT["dependencies"]
    text = (paths.share() / "requirements.txt").read_text("utf-8")
    for key in ("ansible_core", "ansible_runner"):
        assert re.search(rf"^{re.escape(dependencies[key]['package_pip'])}[ \\]", text, re.M), dependencies[key]


def test_image_and_document_have_the_collection_of_this_version() -> None:
    file = f"{GALAXY['namespace']}-{GALAXY['name']}-{GALAXY['version']}.tar.gz"
    (collection,) = ENVIRONMENT["dependencies"]["galaxy"]["collections"]
    (copied,) = ENVIRONMENT["additional_build_files"]
    assert collection["name"] == f"{copied['dest']}/{file}"
    assert copied["src"] == f"../dist/{file}"
    assert f"dist/{file}" in (DOCS / "scale.md").read_text(encoding="utf-8")


def test_document_names_playbooks_that_exist() -> None:
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    names = set(re.findall(r"neuraltalk\.provision\.(\w+)", text))
    assert names >= {"site", "activate", "state"}
    assert all((paths.playbooks() / f"{name}.yml").exists() for name in names)
