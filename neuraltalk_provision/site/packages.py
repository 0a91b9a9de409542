"""Asks the hosts whether they could install the mirror's OS packages, before anything is changed there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.repositories import origins, releases
from neuraltalk_provision.mirror import repository_index, rpm_signed
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.rules.packages import usual_origins
from neuraltalk_provision.rules.texts import some
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, host_results, playbook, trials
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.plan import HostPlan

_MOST_NAMES = 20
_REINSTALL = re.compile(r"^E: The package (\S{1,200}) needs to be reinstalled", re.MULTILINE)
_NOTHING = PackagesInfoResult(lacks=(), absent=(), problem="")
"""Of a host that is not asked, or whose packages are all installed."""


def tried(
    plans: tuple[HostPlan, ...], settings: Settings, output: Output
) -> tuple[tuple[HostPlan, ...], tuple[Failure, ...]]:
    """(the plans, with a refusal for each host whose packages cannot be installed or are known not to work; the
    failures of the hosts whose package manager could not be asked).

    Only hosts that lack packages are asked. If they would get them from the mirror, the index is sent; else they look
    up what they have read of their own repositories before.
    """
    results, failures = _results(plans, settings, output)
    strict = {plan.host: _file(plan) for plan in plans if plan.host in results and results[plan.host].signatures}
    unsigned = {file: rpm_signed.unsigned(settings.mirror / file) for file in set(strict.values()) if file}
    found = [_with_result(plan, results.get(plan.host, _NOTHING)) for plan in plans]
    return tuple(
        _with_signatures(plan, results[plan.host], unsigned[strict[plan.host]]) if strict.get(plan.host) else plan
        for plan in found
    ), failures


def judged(plan: HostPlan, result: PackagesInfoResult) -> HostPlan:
    """The plan with what is known of the versions that would be installed; see trials.judged."""
    known = {row.package: row.version for row in result.versions}
    if plan.unpack:
        return plan
    usual = catalogue.usual_versions()
    release = next((key for key in releases(plan.recipe.platform, plan.recipe.manager) if key in usual), "")
    plan = trials.with_nvcc(plan, catalogue.load().compatibility, known)
    return trials.judged(plan, catalogue.tried_table(), known, usual.get(release))


def _with_result(plan: HostPlan, result: PackagesInfoResult) -> HostPlan:
    if plan.recipe.repository:
        plan = plan.refused(*refusals(plan, result))
    elif result.broken:
        plan = plan.refused(f"{plan.host}: {_broken(result)}")
    elif result.lacks or result.problem:
        plan = plan.remarked(_lacking(plan, result) if result.lacks else _refused(plan, result))
    return judged(plan, result)


def _with_signatures(plan: HostPlan, result: PackagesInfoResult, unsigned: Sequence[str]) -> HostPlan:
    """The plan for a host whose rpm wants signatures: refused if a package that it needs has none."""
    begin = f"{plan.host}: its rpm installs only packages with a signature of a key that it knows (%_pkgverify_level)"
    needed = sorted({row.package for row in result.versions} & set(unsigned))
    if needed:
        return plan.refused(
            f"{begin}, and {_file(plan)} has these without one: {', '.join(needed)}. Sign them (rpmsign) and collect "
            "the archive again; or set %_pkgverify_level to digest below /etc/rpm on this host"
        )
    others = f", and these of {_file(plan)} have none: {some(unsigned, _MOST_NAMES)}" if unsigned else ""
    return plan.remarked(f"{begin}{others}. Import the keys of the packages there before (rpm --import)")


def _lacking(plan: HostPlan, result: PackagesInfoResult) -> str:
    """The remark on packages that no list of the host has; no refusal, because `site` reads the lists again."""
    where = _origins(plan, result)
    return (
        f"{plan.host}: its repositories, as they were last read, lack {', '.join(result.lacks)}"
        + (
            f". {where}: enable these repositories, or collect an archive of OS packages (docs/mirror.md)"
            if where
            else ""
        )
        + ". `provision site` reads them again"
    )


def _refused(plan: HostPlan, result: PackagesInfoResult) -> str:
    """The remark on packages that the lists of the host have and its package manager would not install."""
    return "\n".join((*refusals(plan, result), "  `provision site` reads them again"))


def _origins(plan: HostPlan, result: PackagesInfoResult) -> str:
    recipe = plan.recipe
    return usual_origins(result.lacks, origins(catalogue.repositories(), recipe.platform, recipe.manager))


def _results(
    plans: tuple[HostPlan, ...], settings: Settings, output: Output
) -> tuple[Mapping[str, PackagesInfoResult], tuple[Failure, ...]]:
    """({host: what its package manager says}, the failures of hosts that could not be asked)."""
    asked = [plan for plan in plans if "packages" in plan.builds and not plan.refusals]
    files = {str(plan.recipe.repository["file"]) for plan in asked if plan.recipe.repository}
    indexes = {file: index for file in files if (index := repository_index.read(settings.mirror / file))} | {"": ""}
    asked = [plan for plan in asked if _file(plan) in indexes]
    if not asked:
        return {}, ()
    request = playbook.Request.of_site(
        settings,
        "packages.yml",
        [plan.host for plan in asked],
        {
            "provision_indexes": indexes,
            "provision_tries": {plan.host: _question(plan) for plan in asked},
        },
    )
    with output.working("asking the package managers"):
        outcome = playbook.run(request)
    results, failures = host_results.of(
        outcome.results, "os_packages_info", PackagesInfoResult, [plan.host for plan in asked]
    )
    return results, failures


def _file(plan: HostPlan) -> str:
    """The archive of the mirror from which the host gets its packages; empty if it uses its own repositories."""
    return str(plan.recipe.repository["file"]) if plan.recipe.repository else ""


def refusals(plan: HostPlan, result: PackagesInfoResult) -> tuple[str, ...]:
    """Why the packages of a plan cannot be installed on its host; empty if they can."""
    archive = _file(plan)
    cure = (
        "Collect that archive again from repositories of the same release that are not older than this host "
        "(docs/mirror.md); or install what is missing from the host's own repositories"
    )
    own = "this host's own repositories, as they were last read"
    if not archive:
        cure = "Add the packages archive of this platform to the mirror, or configure the host's repositories"
    found = []
    if result.lacks:
        names = ", ".join(result.lacks)
        lacking = f"{archive} lacks {names}" if archive else f"no repository of this host has {names}"
        where = _origins(plan, result)
        found.append(f"{plan.host}: {lacking}. {f'{where}. ' if where else ''}{cure}")
    if result.broken:
        found.append(f"{plan.host}: {_broken(result)}")
    if result.problem:
        words = _words(result.problem)
        held = ", or is held (`apt-mark showhold`)" if plan.recipe.manager == "apt" else ""
        why = f"usually because a package of the host has another version than these packages expect{held}. {cure}"
        if codes.is_conflict(result.problem):
            why = (
                "because a package of the host conflicts with them (see below). provision removes no package: remove "
                "or replace it yourself, for example with `dnf swap` or `apt-get remove`"
            )
        interrupted = _REINSTALL.search(result.problem)
        if interrupted:
            why = (
                f"because {interrupted[1]} of the host is half there: its installation or removal was interrupted. "
                f"Repair it from the host's own repositories (`apt-get install --reinstall {interrupted[1]}`), or "
                f"remove it (`dpkg --remove --force-remove-reinstreq {interrupted[1]}`)"
            )
        begin = f"{plan.host}: {plan.recipe.manager} cannot install the packages of {archive or own}"
        found.append(f"{begin}, {why}. It says:{words}")
    return tuple(found)


def _broken(result: PackagesInfoResult) -> str:
    """Why no package at all can be installed."""
    return f"dpkg of this host installs no package, whichever it is. Repair that first. It says:{_words(result.broken)}"


def _words(text: str) -> str:
    return "".join(f"\n  {line}" for line in text.splitlines())


def _question(plan: HostPlan) -> dict[str, object]:
    return {
        "manager": plan.recipe.manager,
        "required": list(plan.unpack.packages if plan.unpack else plan.recipe.required),
        "optional": list(plan.recipe.runs if plan.unpack else plan.recipe.optional),
        "file": _file(plan),
    }
