"""What is asked of dnf for a platform: which names, from which repositories. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.target import Target

_EL = ("almalinux", "centos", "ol", "rhel", "rocky")
_SHOWN = 5
MEMORY = 6 << 30
"""The most bytes of memory for dnf. The indexes of a whole distribution need less than 2 GiB."""


@dataclass(frozen=True)
class Wanted:
    """Names of packages; `provided` can also be a name that a package provides."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    provided: tuple[str, ...]


def wanted(catalogue: Catalogue, target: Target) -> Wanted:
    """What hosts of a platform can need: the packages of the catalogue, and the Python that Ansible uses."""
    names = [(need, need.names("rpm", target.lookups)) for need in catalogue.needs]
    required = dict.fromkeys(name for need, group in names if not need.optional for name in group)
    optional = dict.fromkeys(name for need, group in names if need.optional for name in group if name not in required)
    return Wanted(tuple(required), tuple(optional), ("python" if target.python == "2" else "python3",))


def module_platform(target: Target) -> str:
    """The platform of dnf's modules, by which each module has a default stream; empty for systems without modules."""
    if target.id in _EL:
        return f"platform:el{target.major}" if target.major >= 8 else ""
    return f"platform:f{target.major}" if target.id == "fedora" else ""


def line(names: Wanted, places: Sequence[Sequence[str]], target: Target) -> str:
    """The request as one line. `places` are the addresses of each repository, of which the first is shown."""
    content = json.dumps([target.key, asdict(names), [list(addresses) for addresses in places]], sort_keys=True)
    shown = [addresses[0] for addresses in places[:_SHOWN]]
    more = [f"and {len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    return " ".join([f"request {hashlib.sha256(content.encode()).hexdigest()[:12]} to", *shown, *more])


def document(names: Wanted, target: Target, **more: Any) -> dict[str, Any]:
    """The request for mirror/dnf_program.py."""
    return {
        **asdict(names),
        "release": str(target.major),
        "machine": target.machine,
        "module_platform": module_platform(target),
        "attempt": False,
        "memory": MEMORY,
        **more,
    }
