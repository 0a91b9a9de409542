"""Compares plans with what was tried: versions that are known not to work are refused, others are told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from neuraltalk_provision.catalogue import tried
from neuraltalk_provision.catalogue.compatibility import broken
from neuraltalk_provision.catalogue.model import Compatibility
from neuraltalk_provision.site.plan import HostPlan

_NO_BUILDS = frozenset({"packages", "account"})
_SHOWN = 5
_GUESSED = "; that is the usual version of this release, and the host's own is not known yet"


def judged(
    plan: HostPlan, table: tried.Table, packages: Mapping[str, str], usual: Mapping[str, str] | None = None
) -> HostPlan:
    """The plan with what the table says of its versions. `packages` are the versions of OS packages to be installed.

    `usual` are the versions of its release, for what is not known otherwise; nothing is refused because of them. Only
    what the components to be built use is compared: a stack that is complete stays as it is.
    """
    builds = set(plan.builds) - _NO_BUILDS
    if not builds:
        return plan
    found = {**tried.of_packages(packages), **plan.versions}
    said = tried.compare(table, plan.recipe.platform, _used(found, builds), plan.local)
    guessed = {what: text for what, text in (usual or {}).items() if what not in found}
    expected = tried.compare(table, plan.recipe.platform, _used(guessed, builds))
    untried = [f"{words}{_GUESSED}" for words in (*expected.refusals, *expected.untried) if words not in said.untried]
    refusals = tuple(f"{plan.host}: {reason}" for reason in said.refusals)
    return replace(plan, refusals=plan.refusals + refusals, untried=(*said.untried, *untried))


def with_nvcc(plan: HostPlan, table: Compatibility, packages: Mapping[str, str]) -> HostPlan:
    """The plan, refused if the gcc of these OS packages, which are to be installed, is too new for its nvcc.

    A gcc that is installed already, or that the inventory names, was compared when the recipe was chosen.
    """
    gpu, gcc = plan.recipe.gpu, tried.of_packages(packages).get("gcc", "")
    builds = any(part.role == "gpu_stack" and part.name in plan.builds for part in plan.recipe.parts)
    if gpu is None or gpu.gcc or not gcc or "gcc" in plan.versions or not builds:
        return plan
    found = broken(table, {"cuda": gpu.cuda, "gcc": gcc}, plan.skip_checks)
    if not found:
        return plan
    cure = (
        "Install an older gcc beside it and set gpu_stack_gcc to its path; or, to skip this check for this host, set "
        f"gpu_stack_skip_checks: [{', '.join(found)}]"
    )
    reason = f"{plan.host}: gcc {gcc} of the OS packages would be installed. {'; '.join(found.values())}. {cure}"
    return replace(plan, refusals=(*plan.refusals, reason))


def _used(found: Mapping[str, str], builds: set[str]) -> dict[str, str]:
    """Those of the versions that these components use."""
    return {what: text for what, text in found.items() if tried.USERS.get(what, next(iter(builds))) in builds}


def told(plans: Iterable[HostPlan]) -> tuple[str, ...]:
    """What was never tried, one line for all hosts of which the same is said."""
    groups: dict[str, list[str]] = {}
    for plan in plans:
        for words in plan.untried:
            groups.setdefault(words, []).append(plan.host)
    return tuple(f"{_named(hosts)}: {words}" for words, hosts in groups.items())


def _named(hosts: list[str]) -> str:
    more = f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else ""
    return ", ".join(hosts[:_SHOWN]) + more
