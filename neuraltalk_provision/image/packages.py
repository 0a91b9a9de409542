"""Which OS packages an image has, and what an archive of OS packages lacks of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.lock import Lock
from neuraltalk_provision.mirror.package_names import FOR_ANSIBLE
from neuraltalk_provision.rules.texts import some

PYTHON = FOR_ANSIBLE["3"]
"""Python belongs to the stack: h5py, ipython and the scorer run in it, in the version that they were built for."""


def wanted(
    entry: CacheEntry, catalogue: Catalogue, target: Target, lock: Lock, more: Sequence[str], there: Collection[str]
) -> tuple[str, ...]:
    """The names to install, sorted: those of libraries, Python, `more`, and of programs that the stack needs.

    `there` are the names that the archive has: optional packages that it lacks are left out. Raises MirrorError if it
    lacks others.
    """
    known = lock.by_name()
    optional = {
        name
        for need in catalogue.needs
        if need.runs and (not need.artifacts or known.keys() & set(need.artifacts))
        for name in need.names("apt", target.lookups)
    }
    python = {f"python{entry.needs.python}"} if entry.needs.python else set()
    required = {*entry.packages.values(), PYTHON, *python, *more}
    missing = sorted(required - set(there))
    if missing:
        raise MirrorError(
            f"packages-{target.key} lacks packages that the image needs: {some(missing, 20)}",
            advice=REPLACE.format(platform=target.key),
        )
    return tuple(sorted(required | (optional & set(there))))


REPLACE = (
    "An image is made of packages from this archive alone, also those that every host has. Fetch it with "
    "`provision mirror pull --for {platform}`, and import it here."
)
