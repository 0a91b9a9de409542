"""The names of OS packages, read from the catalogue's packages.yaml."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.lab import paths
from tests.lab.errors import LabError

Kind = Literal["apt", "rpm"]
SMALL_OPTIONAL = ("git", "curl", "gnuplot-nox")
"""The optional packages that a repository of ours holds; the others' absence is to be met, and reported."""


def release(platform: str) -> tuple[str, ...]:
    """What a mapping in packages.yaml may call the platform: by its own name, or as an EL of that release."""
    own, major = platform.split("-")[:2]
    like = () if own in ("debian", "ubuntu") else (f"el-{major}",)
    return (f"{own}-{major}", *like, "default")


def of_need(need: dict[str, Any], kind: Kind, platform: str) -> list[str]:
    """The packages for one need on one platform."""
    value = need[kind]
    if isinstance(value, dict):
        value = next((value[key] for key in release(platform) if key in value), [])
    return [str(name) for name in value]


def wanted(
    kind: Kind,
    platform: str,
    optional: Collection[str] | None = SMALL_OPTIONAL,
    catalogue: Path = paths.PACKAGES_YAML,
) -> list[str]:
    """All required packages, and the optional ones named (None: every one)."""
    try:
        needs = yaml.safe_load(catalogue.read_text(encoding="utf-8"))["needs"]
    except (OSError, KeyError, TypeError) as error:
        raise LabError(f"no list of packages in {catalogue}: {error!r}") from error
    names = [
        name
        for need in needs
        for name in of_need(need, kind, platform)
        if not need.get("optional") or optional is None or name in optional
    ]
    return list(dict.fromkeys(names))
