"""README.md and meta/main.yml of roles: what they say is what the roles take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision import catalogue, paths
from tools import role_docs

ROLES = sorted(path for path in (paths.share() / "roles").iterdir() if path.is_dir())
RELEASES = {
    "debian-11": ("Debian", "bullseye"),
    "debian-12": ("Debian", "bookworm"),
    "debian-13": ("Debian", "trixie"),
    "debian-14": ("Debian", "forky"),
    "ubuntu-22": ("Ubuntu", "jammy"),
    "ubuntu-24": ("Ubuntu", "noble"),
    "ubuntu-26": ("Ubuntu", "resolute"),
}
"""Ansible Galaxy's names of the platforms of catalogue/data/tried.yaml."""
SPECS = """
argument_specs:
  main:
    short_description: Build the thing
    options:
      thing_source: {description: Where it is., type: path, required: true}
      thing_kind: {description: What it is., type: str, choices: [a, b], default: a}
      thing_path: {description: Where it goes., type: str}
      thing_parts: {description: Its parts., type: list, elements: dict, default: []}
"""
META = """
galaxy_info:
  description: Builds the thing.
  license: Apache-2.0
  min_ansible_version: "2.16"
  platforms: [{name: Debian, versions: [bookworm]}]
"""
DEFAULTS = (
    '# Required.\n# thing_source: /srv/thing\nthing_kind: a\nthing_path: "{{ thing_source }}/x"\nthing_parts: []\n'
)


@pytest.fixture
def role(tmp_path: Path) -> Path:
    for name, text in {"meta/argument_specs": SPECS, "meta/main": META, "defaults/main": DEFAULTS}.items():
        file = tmp_path / "thing" / f"{name}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "thing"


@pytest.mark.parametrize("line", [
    "# neuraltalk.provision.thing",
    "Builds the thing.",
    "## Entry point `main`",
    "| `thing_source` | path | required | Where it is. |",
    "| `thing_kind` | str | `a` | What it is. One of `a`, `b`. |",
    "| `thing_path` | str | `{{ thing_source }}/x` | Where it goes. |",
    "| `thing_parts` | list of dict | `[]` | Its parts. |",
    "    thing_source: /srv/thing",
])  # fmt: skip
def test_readme_has_each_variable_and_an_example(role: Path, line: str) -> None:
    assert line in role_docs.readme(role).splitlines()


def test_entry_points_with_the_same_variables_have_one_table(role: Path) -> None:
    file = role / "meta" / "argument_specs.yml"
    point = yaml.safe_load(SPECS)["argument_specs"]["main"]
    file.write_text(yaml.safe_dump({"argument_specs": {"open": point, "close": point}}, sort_keys=False))
    text = role_docs.readme(role)
    assert text.count("| `thing_kind` |") == 1
    assert "It has the same variables as `open`." in text.splitlines()
    assert "    tasks_from: close" in text.splitlines()


def test_readme_that_is_missing_or_different_is_outdated(role: Path) -> None:
    (file, text), *others = role_docs.outdated(role.parent)
    assert (file, others) == (role / "README.md", [])
    file.write_text(text)
    assert list(role_docs.outdated(role.parent)) == []
    (role / "meta" / "argument_specs.yml").write_text(SPECS.replace("Where it is.", "Its place."))
    assert [file for file, _ in role_docs.outdated(role.parent)] == [file]


def test_readme_of_every_role_is_what_its_role_says_now() -> None:
    names = [file.parent.name for file, _ in role_docs.outdated(role_docs.ROLES)]
    assert names == [], f"run `{role_docs.COMMAND}`"


def info(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "meta" / "main.yml").read_text(encoding="utf-8"))["galaxy_info"]
    return found


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_meta_of_a_role_says_what_the_collection_says(role: Path) -> None:
    galaxy = yaml.safe_load((paths.share() / "galaxy.yml").read_text(encoding="utf-8"))
    runtime = yaml.safe_load((paths.share() / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert [info(role)["author"]] == galaxy["authors"]
    assert [info(role)["license"]] == galaxy["license"]
    assert f">={info(role)['min_ansible_version']}" == runtime["requires_ansible"]


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_role_names_the_releases_on_which_the_real_sources_were_built(role: Path) -> None:
    rows = [row for row in catalogue.tried_table().tried if row.built and not row.component]
    tried = {RELEASES[row.platform.rpartition("-")[0]] for row in rows}
    named = {(system["name"], version) for system in info(role)["platforms"] for version in system["versions"]}
    assert named == ({("Debian", "bookworm")} if role.name == "gpu_stack" else tried)  # docs/gpu.md
