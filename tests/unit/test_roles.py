"""Roles: the two places that name their variables agree, and every variable has its role's prefix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision import paths

ROLES = sorted(path for path in (paths.share() / "roles").iterdir() if path.is_dir())
NAMES = [role.name for role in ROLES]
# hdf5 hands its rocks to lua_rocks one by one, and reads what was made.
BUILDS_ON = {"hdf5": "lua_rocks"}
DESIGNED = {
    "account",
    "system_deps",
    "torch",
    "lua_rocks",
    "hdf5",
    "gpu_stack",
    "neuraltalk2",
    "artifact",
    "generation",
    "lease",
}


def defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8")) or {}


def entry_points(role: Path) -> dict[str, Any]:
    specs: dict[str, Any] = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"]


def options(role: Path) -> dict[str, dict[str, Any]]:
    """All options of all entry points; one that several share has to be the same in each."""
    found: dict[str, dict[str, Any]] = {}
    for point in entry_points(role).values():
        for name, option in point.get("options", {}).items():
            assert found.setdefault(name, option) == option, f"{role.name}: {name} differs between entry points"
    return found


def test_roles_are_those_of_the_design() -> None:
    assert set(NAMES) == DESIGNED


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_every_variable_has_the_prefix_of_its_role(role: Path) -> None:
    assert [name for name in (*defaults(role), *options(role)) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_defaults_are_those_of_the_argument_specs(role: Path) -> None:
    """A default that is a template can't stand in the specs, but has to be described there."""
    given = defaults(role)
    literal = {name: value for name, value in given.items() if "{{" not in str(value)}
    assert {name: option["default"] for name, option in options(role).items() if "default" in option} == literal
    assert set(given) <= set(options(role))


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_what_has_no_default_is_required_and_stands_commented_out(role: Path) -> None:
    text = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
    without = {name for name, option in options(role).items() if "default" not in option and name not in defaults(role)}
    assert {name for name, option in options(role).items() if option.get("required")} == without
    assert set(re.findall(rf"^# ({role.name}_\w+):", text, re.M)) == without


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_every_default_says_why_somebody_would_change_it(role: Path) -> None:
    lines = (role / "defaults" / "main.yml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.match(rf"(# )?{role.name}_\w+:", line):
            above = lines[number - 1]
            assert above.startswith("# ") or above.startswith(f"{role.name}_"), line


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_every_option_is_described_and_has_a_type(role: Path) -> None:
    for name, option in options(role).items():
        assert option["description"].endswith("."), name
        assert option["type"] in {"str", "path", "dict", "list", "int", "bool"}, name


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_every_entry_point_is_a_task_file_and_says_what_it_does(role: Path) -> None:
    for name, point in entry_points(role).items():
        assert (role / "tasks" / f"{name}.yml").is_file()
        assert point["short_description"]


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_role_reads_no_variable_of_another_role_or_of_the_command(role: Path) -> None:
    """A helper is handed its inputs; names with two underscores are a role's own."""
    others = [name for name in NAMES if name not in (role.name, BUILDS_ON.get(role.name))]
    for file in sorted((role / "tasks").glob("*.yml")):
        tasks = yaml.safe_load(file.read_text(encoding="utf-8"))
        read = " ".join(re.findall(r"\{\{.*?\}\}", str(tasks), re.S)) + " ".join(conditions(tasks))
        foreign = re.findall(rf"(?<![\w.'])(?:__)?(?:provision|{'|'.join(others)})_\w+", read)
        assert foreign == [], f"{file.name} reads {foreign}"


def conditions(tasks: Any) -> list[str]:
    """The expressions that stand without braces."""
    found: list[str] = []
    if isinstance(tasks, dict):
        for key, value in tasks.items():
            if key in ("when", "that", "failed_when", "changed_when", "until"):
                found += [str(text) for text in (value if isinstance(value, list) else [value])]
            found += conditions(value)
    elif isinstance(tasks, list):
        for task in tasks:
            found += conditions(task)
    return found


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_preflight_comes_first_where_there_is_one(role: Path) -> None:
    if (role / "tasks" / "main.yml").is_file() and (role / "tasks" / "preflight.yml").is_file():
        first = yaml.safe_load((role / "tasks" / "main.yml").read_text(encoding="utf-8"))[0]
        assert first["ansible.builtin.include_tasks"] == "preflight.yml"


BRINGS_FILES = {
    "artifact_download",
    "copy",
    "get_url",
    "uri",
    "unarchive",
    "fetch",
    "synchronize",
    "template",
    "slurp",
    "git",
}


def tasks(content: Any) -> list[dict[str, Any]]:
    """All tasks in a YAML document, those in blocks and plays too."""
    if isinstance(content, list):
        return [task for entry in content for task in tasks(entry)]
    if not isinstance(content, dict):
        return []
    inner = [task for key in ("tasks", "block", "rescue", "always", "pre_tasks") for task in tasks(content.get(key))]
    return [content, *inner]


def modules(task: dict[str, Any]) -> set[str]:
    """The names of a task's modules without their collection."""
    return {key.rpartition(".")[2] for key in task}


FILES = sorted(
    file
    for folder in ("roles", "playbooks")
    for file in (paths.share() / folder).rglob("*.yml")
    if "meta" not in file.parts
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(paths.share())))
def test_files_of_the_mirror_reach_hosts_by_the_role_artifact_alone(file: Path) -> None:
    """The role compares every file with the digest in the lock, on the host; so nothing else may bring one."""
    if file.parts[-3:-1] == ("artifact", "tasks"):
        return
    for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8"))):
        if modules(task) & BRINGS_FILES:
            assert re.search(r"(_mirror|_url|artifact)", str(task)) is None, f"{file}: {task.get('name')}"


def test_role_artifact_verifies_a_file_in_either_way() -> None:
    """Both modules compare what they brought with the digest of the lock before it gets its name."""
    role = paths.share() / "roles" / "artifact" / "tasks"
    sent, downloaded = yaml.safe_load((role / "main.yml").read_text(encoding="utf-8"))
    asked = {"path": "{{ artifact_path }}", "sha256": "{{ artifact_file.sha256 }}"}
    assert sent["neuraltalk.provision.artifact_file"].items() >= asked.items()
    assert downloaded["neuraltalk.provision.artifact_download"].items() >= asked.items()
    assert {"when", "ignore_errors", "failed_when", "check_mode"} & set(sent) == set()
    assert f"not {sent['register']}.whole and not ansible_check_mode" in downloaded["when"]
    brought, *_ = yaml.safe_load((role / "source.yml").read_text(encoding="utf-8"))
    assert brought["ansible.builtin.import_tasks"] == "main.yml"
