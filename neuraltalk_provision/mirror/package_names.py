"""Names of the OS packages that hosts of a platform can need. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.target import Target

FOR_ANSIBLE = {"2": "python", "3": "python3"}
"""{major version of Python: what Ansible needs on a bare host}. In rpm it is a name that some package provides."""


@dataclass(frozen=True)
class Names:
    """Packages without which the build fails, and those that are installed if the repositories have them."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    def line(self, program: str, target: Target, places: str) -> str:
        """What a program is asked for, as one line for the lock; `places` are the repositories in words."""
        optional = f"; if they have them: {' '.join(self.optional)}" if self.optional else ""
        return f"{program} for {target.key} from {places}: {' '.join(self.required)}{optional}"


def names(catalogue: Catalogue, target: Target, manager: str) -> Names:
    """The names for `apt` or `rpm`, sorted.

    A need that depends on artifacts (Java on a scorer) is included always: whoever fills a mirror can add them later.
    """
    required = {FOR_ANSIBLE["3"]} if manager == "apt" else set()
    optional = set[str]()
    for need in catalogue.needs:
        (optional if need.optional else required).update(need.names(manager, target.lookups))
    return Names(tuple(sorted(required)), tuple(sorted(optional - required)))
