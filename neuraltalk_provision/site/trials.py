"""Compares plans with what was tried: versions that are known not to work are refused, others are told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from neuraltalk_provision.catalogue import tried
from neuraltalk_provision.catalogue.compatibility import CUDA_GCC, refused_gcc
from neuraltalk_provision.catalogue.model import Compatibility
from neuraltalk_provision.host_names import named
from neuraltalk_provision.rules import versions
from neuraltalk_provision.site.plan import HostPlan

_NO_BUILDS = frozenset({"packages", "account"})
_SHOWN = 5
_TWO = (
    "cc is a compiler of version {cc}, and gcc of {gcc}: CMake compiles with cc and all else with gcc, and two "
    "compilers were never tried. Choose gcc with `update-alternatives --config cc`, or remove what is called cc"
)
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
    cc = found.pop(tried.CC, "")
    said = tried.compare(table, plan.recipe.platform, _used(found, builds), plan.local)
    guessed = {what: text for what, text in (usual or {}).items() if what not in found}
    expected = tried.compare(table, plan.recipe.platform, _used(guessed, builds))
    untried = [_TWO.format(cc=cc, gcc=found["gcc"])] if cc and builds != {"python"} else []
    untried += [f"{words}{_GUESSED}" for words in (*expected.refusals, *expected.untried) if words not in said.untried]
    refusals = [f"{plan.host}: {reason}" for reason in said.refusals]
    return replace(plan, untried=(*said.untried, *untried)).refused(*refusals)


def nvcc_rules(plan: HostPlan, table: Compatibility) -> list[dict[str, Any]]:
    """The rule by which a host refuses a gcc that is too new for its nvcc before it installs OS packages, if any.

    A gcc that is installed already, or that the inventory names, was compared when the recipe was chosen.
    """
    gpu = plan.recipe.gpu
    builds = any(part.role == "gpu_stack" and part.name in plan.builds for part in plan.recipe.parts)
    if gpu is None or gpu.gcc or "gcc" in plan.versions or CUDA_GCC in plan.skip_checks or not builds:
        return []
    refused = refused_gcc(table, gpu.cuda)
    if not refused:
        return []
    words = (
        f"is too new for nvcc of CUDA {gpu.cuda}, which accepts gcc up to {table.cuda[gpu.cuda].gcc}. Install an older "
        "gcc and g++ first and set gpu_stack_gcc to its path; or, to skip this check for this host, set "
        f"gpu_stack_skip_checks: [{CUDA_GCC}]"
    )
    return [{"name": "gcc", "packages": list(tried.PACKAGES["gcc"]), "versions": refused, "words": words}]


def with_nvcc(plan: HostPlan, table: Compatibility, packages: Mapping[str, str]) -> HostPlan:
    """The plan, refused if the gcc of these OS packages, which are to be installed, is too new for its nvcc."""
    gcc = tried.of_packages(packages).get("gcc", "")
    found = [rule["words"] for rule in nvcc_rules(plan, table) if versions.within(gcc, rule["versions"])]
    return plan.refused(
        *(f"{plan.host}: gcc {gcc} of the OS packages, which would be installed, {words}" for words in found)
    )


def _used(found: Mapping[str, str], builds: set[str]) -> dict[str, str]:
    """Those of the versions that these components use."""
    return {what: text for what, text in found.items() if tried.USERS.get(what, next(iter(builds))) in builds}


def told(plans: Iterable[HostPlan]) -> tuple[str, ...]:
    """What was never tried, one line for all hosts of which the same is said."""
    groups: dict[str, list[str]] = {}
    for plan in plans:
        for words in plan.untried:
            groups.setdefault(words, []).append(plan.host)
    return tuple(f"{named(hosts, _SHOWN)}: {words}" for words, hosts in groups.items())
