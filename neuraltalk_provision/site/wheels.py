"""Compares the Python of hosts with the wheels of the mirror, before anything is built for minutes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.rules import archives
from neuraltalk_provision.rules.archive_formats import ArchiveError
from neuraltalk_provision.rules.texts import some
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site.plan import HostPlan

_SHOWN = 3


def judged(plans: Sequence[HostPlan], settings: Settings) -> tuple[HostPlan, ...]:
    """The plans, with a refusal for each host whose Python can use no wheel of something in its archive of wheels."""
    names = functools.cache(_names)  # hosts of one platform have the same archive
    return tuple(
        plan.refused(refusal(plan, file, lacking))
        if file and (lacking := pythons.without_wheel(names(settings.mirror / file), plan.versions.get("python", "")))
        else plan
        for plan in plans
        for file in (_file(plan),)
    )


def refusal(plan: HostPlan, file: str, lacking: Sequence[str]) -> str:
    """Why the wheels of this archive cannot be installed on the host of the plan."""
    return (
        f"{plan.host}: its Python is {plan.versions['python']}, but {file} has no wheel of {some(lacking, _SHOWN)} "
        "for it: set "
        "ansible_python_interpreter to the Python of the distribution (/usr/bin/python3), or add wheels for this "
        "Python to the mirror (docs/mirror.md)"
    )


def _file(plan: HostPlan) -> str:
    """The archive of wheels that will be sent to the host; empty if there is none."""
    if "python" not in plan.builds or plan.unpack or plan.recipe.pip_source != "mirror":
        return ""
    return next((str(file["file"]) for file in plan.recipe.part("python").files), "")


def _names(path: Path) -> tuple[str, ...]:
    """The names of the files in an archive; empty if it cannot be read, which is reported when it is checked."""
    try:
        with path.open("rb") as file:
            return tuple(entry.name.rpartition("/")[2] for entry in archives.entries(file, 0))
    except (OSError, ArchiveError):
        return ()
