"""The contents of the stack as data: artifacts, components in build order, source edits, OS packages."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from neuraltalk_provision.catalogue.model import Artifact, Catalogue, Check, Component, Edit, Need, Option, Tell, Wheel
from neuraltalk_provision.catalogue.pythons import OldAnsible
from neuraltalk_provision.catalogue.repositories import Repository
from neuraltalk_provision.catalogue.tried import Table

__all__ = [
    "Artifact",
    "Catalogue",
    "Check",
    "Component",
    "Edit",
    "Need",
    "Option",
    "Tell",
    "Wheel",
    "default",
    "envelopes",
    "load",
    "old_ansible",
    "program_options",
    "repositories",
    "tried_table",
    "usual_versions",
    "wheels",
]


def _data(name: str) -> Any:
    file = resources.files(__package__) / "data" / f"{name}.yaml"
    return yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def load() -> Catalogue:
    """The catalogue that ships with this version."""
    return Catalogue.model_validate(
        {
            "artifacts": _data("artifacts")["artifacts"],
            "components": _data("components")["components"],
            "edits": _data("edits"),
            "compatibility": _data("compatibility"),
            "needs": _data("packages")["needs"],
            "sources": _data("sources")["sources"],
            "checks": _data("checks"),
            "licences": _data("licences")["licences"],
        }
    )


@cache
def program_options(program: str) -> dict[str, Option]:
    """The options of `train.lua` or `eval.lua`, by name, in the programs' own order."""
    return {name: Option.model_validate(row) for name, row in _data("options")[program].items()}


@cache
def envelopes() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """{base or finetune: {loss or a score: ranges over iterations}} that are expected of trainings on COCO."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = _data("envelopes")
    return found


@cache
def repositories() -> tuple[Repository, ...]:
    """The repositories that have packages of the stack and are not enabled by default, by release."""
    return tuple(map(Repository.model_validate, _data("repositories")["repositories"]))


@cache
def usual_versions() -> dict[str, dict[str, str]]:
    """{release, such as `el-9`: {what: the version that its hosts usually get}}."""
    found: dict[str, dict[str, str]] = _data("repositories")["usual_versions"]
    return found


@cache
def tried_table() -> Table:
    """What was tried with the real sources, and what is known not to work."""
    return Table.model_validate(_data("tried"))


@cache
def wheels() -> dict[str, dict[str, tuple[Wheel, ...]]]:
    """{artifact: {Python, or `any`: its wheels}}."""
    return {
        artifact: {python: tuple(map(Wheel.model_validate, rows)) for python, rows in sets.items()}
        for artifact, sets in _data("wheels").items()
    }


@cache
def old_ansible() -> OldAnsible:
    """The ansible-core that drives hosts whose only Python is 2.7 or 3.6."""
    return OldAnsible.model_validate(_data("old_ansible"))


def default(program: str, name: str) -> str | int | float:
    """The value that a program takes for an option that is not given."""
    return program_options(program)[name].default
