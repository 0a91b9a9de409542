"""What is asked of dnf for a platform: which names, from which repositories. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.mirror.package_names import FOR_ANSIBLE, Names

MEMORY = 6 << 30
"""The most bytes of memory for dnf. The indexes of a whole distribution need less than 2 GiB."""
BASE = {"groups": ["core"], "names": ["glibc-langpack-en"]}
"""What hosts have already, though the build does not need it: the group of a minimal installation, and English. If a
package is replaced by the mirror's newer one, what depends on its exact version has to be replaced, too."""


def module_platform(target: Target) -> str:
    """The platform of dnf's modules, by which each module has a default stream; empty for systems without modules."""
    if target.id in pythons.EL:
        return f"platform:el{target.major}" if target.major >= 8 else ""
    return f"platform:f{target.major}" if target.id == "fedora" else ""


def document(names: Names, target: Target, **where: Any) -> dict[str, Any]:
    """The request for mirror/dnf_program.py: what an empty system needs to have these names installed."""
    provided = [FOR_ANSIBLE[target.python]]
    wanted = {"required": names.required, "optional": names.optional, "provided": provided, "base": BASE}
    return {**_system(target), **wanted, "attempt": False, **where}


def attempt(packages: Sequence[str], target: Target) -> dict[str, Any]:
    """The request to install all these packages into an empty system."""
    return {**_system(target), "required": sorted(packages), "provided": [], "attempt": True}


def _system(target: Target) -> dict[str, Any]:
    return {
        "release": str(target.major),
        "machine": target.machine,
        "module_platform": module_platform(target),
        "memory": MEMORY,
    }
