"""`python -m tools.role_docs`: write the README.md of every role from its meta/ and defaults/."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.release import ROOT

ROLES = ROOT / "roles"
COMMAND = "python -m tools.role_docs"
NOTE = f"<!-- Written by `{COMMAND}` from meta/ and defaults/. Change these files and run it again. -->"


def readme(role: Path) -> str:
    """The README of the role in this directory."""
    info = _yaml(role / "meta" / "main.yml")["galaxy_info"]
    points = _yaml(role / "meta" / "argument_specs.yml")["argument_specs"]
    systems = [f"{system['name']} ({', '.join(system['versions'])})" for system in info["platforms"]]
    lines = [
        f"# neuraltalk.provision.{role.name}",
        NOTE,
        info["description"],
        f"Needs ansible-core {info['min_ansible_version']} or later. "
        f"Tried with the real sources on {', '.join(systems)}. License: {info['license']}.",
    ]
    for name, point in points.items():
        same = next(other for other, before in points.items() if before["options"] == point["options"])
        table = _table(point["options"], _yaml(role / "defaults" / "main.yml") or {})
        lines += [f"## Entry point `{name}`", f"{point['short_description']}."]
        lines += [table if same == name else f"It has the same variables as `{same}`.", _example(role, name, point)]
    return "\n\n".join(lines) + "\n"


def _table(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    rows = ["| variable | type | default | description |", "|---|---|---|---|"]
    for name, option in options.items():
        cells = (f"`{name}`", _type(option), _default(name, option, defaults), _description(option))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _type(option: Mapping[str, Any]) -> str:
    return f"list of {option['elements']}" if "elements" in option else str(option["type"])


def _default(name: str, option: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "required"
    value = option.get("default", defaults.get(name))
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _description(option: Mapping[str, Any]) -> str:
    text = str(option["description"]).strip()
    if "choices" in option:
        text += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
    return text


def _example(role: Path, point: str, spec: Mapping[str, Any]) -> str:
    """A task that calls the entry point. Values of required variables come from the comments in defaults/."""
    text = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
    values = dict(re.findall(r"^# (\w+): (.*)$", text, re.M))
    lines = [f"- name: {spec['short_description']}", "  ansible.builtin.include_role:"]
    lines += [f"    name: neuraltalk.provision.{role.name}"]
    lines += [f"    tasks_from: {point}"] if point != "main" else []
    required = [f"    {name}: {values[name]}" for name, option in spec["options"].items() if option.get("required")]
    lines += ["  vars:", *required] if required else []
    return "\n".join(["```yaml", *lines, "```"])


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def outdated(roles: Path) -> Iterator[tuple[Path, str]]:
    """Each outdated README with its new text."""
    for role in sorted(path for path in roles.iterdir() if path.is_dir()):
        file, text = role / "README.md", readme(role)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            yield file, text


def main() -> int:
    """Write the outdated files, and print their paths."""
    for file, text in outdated(ROLES):
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
