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
"""The optional packages in the stand-in repositories. The others are missing on purpose, to test that."""


def release(platform: str) -> tuple[str, ...]:
    """The keys in packages.yaml that match the platform: its own name, the EL release, or `default`."""
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
    """All required packages, and these optional ones (None: all optional ones)."""
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
