"""Asks the hosts whether they could install the mirror's OS packages, before anything is changed there."""

from __future__ import annotations

from dataclasses import replace

from neuraltalk_provision.mirror import repository_index
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_results, playbook
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.plan import HostPlan


def tried(
    plans: tuple[HostPlan, ...], settings: Settings, output: Output
) -> tuple[tuple[HostPlan, ...], tuple[Failure, ...]]:
    """(the plans, with a refusal for each host whose package manager cannot install the packages of the mirror; the
    failures of the hosts whose package manager could not be asked).

    Only hosts that lack packages, and would get them from the mirror, are asked. Only the index is sent.
    """
    asked = [plan for plan in plans if "packages" in plan.builds and plan.recipe.repository and not plan.refusals]
    files = {str(plan.recipe.repository["file"]) for plan in asked if plan.recipe.repository}
    indexes = {file: index for file in files if (index := repository_index.read(settings.mirror / file))}
    asked = [plan for plan in asked if plan.recipe.repository and plan.recipe.repository["file"] in indexes]
    if not asked:
        return plans, ()
    request = playbook.Request(
        playbook="packages.yml",
        inventory=settings.inventory,
        limit=[plan.host for plan in asked],
        forks=settings.forks,
        variables={
            "provision_indexes": indexes,
            "provision_tries": {plan.host: _question(plan) for plan in asked},
        },
    )
    with output.working("asking the package managers"):
        outcome = playbook.run(request)
    results, failures = host_results.of(
        outcome.results, "os_packages_info", PackagesInfoResult, [plan.host for plan in asked]
    )
    found = {plan.host: refusals(plan, results[plan.host]) for plan in asked if plan.host in results}
    return tuple(replace(plan, refusals=found.get(plan.host, plan.refusals)) for plan in plans), failures


def refusals(plan: HostPlan, result: PackagesInfoResult) -> tuple[str, ...]:
    """Why the packages of a plan cannot be installed on its host; empty if they can."""
    archive = str(plan.recipe.repository["file"]) if plan.recipe.repository else ""
    cure = (
        "Collect that archive again from repositories of the same release that are not older than this host "
        "(docs/mirror.md); or install what is missing from the host's own repositories"
    )
    own = "this host's own repositories"
    if not archive:
        cure = "Add the packages archive of this platform to the mirror, or configure the host's repositories"
    found = []
    if result.lacks:
        names = ", ".join(result.lacks)
        lacking = f"{archive} lacks {names}" if archive else f"no repository of this host has {names}"
        found.append(f"{plan.host}: {lacking}. {cure}")
    if result.problem:
        words = "".join(f"\n  {line}" for line in result.problem.splitlines())
        found.append(
            f"{plan.host}: {plan.recipe.manager} cannot install the packages of {archive or own}, usually because "
            f"a package of the host has another version than these packages expect. {cure}. It says:{words}"
        )
    return tuple(found)


def _question(plan: HostPlan) -> dict[str, object]:
    return {
        "manager": plan.recipe.manager,
        "required": list(plan.recipe.required),
        "optional": list(plan.recipe.optional),
        "file": str((plan.recipe.repository or {})["file"]),
    }
