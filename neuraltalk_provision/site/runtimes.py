"""Asks hosts what they have for programs at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.cache import Runtime, RuntimeLibrariesResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_results, packs, playbook
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.plan import HostPlan


def ask(
    plans: Sequence[HostPlan], entries: Mapping[str, CacheEntry], settings: Settings, output: Output
) -> tuple[dict[str, Runtime], tuple[Failure, ...]]:
    """({host: what it has of what the entry of its generation needs}, the failures of the hosts that did not say)."""
    questions = {plan.host: packs.question(entries[plan.recipe.id].needs, plan.recipe) for plan in plans}
    return answers(questions, settings, output)


def answers(
    questions: Mapping[str, Mapping[str, Any]], settings: Settings, output: Output
) -> tuple[dict[str, Runtime], tuple[Failure, ...]]:
    """({host: which of the libraries and packages in its question it has}, the failures of hosts without an answer)."""
    hosts = list(questions)
    request = playbook.Request.of_site(settings, "runtime.yml", hosts, {"provision_runtime": questions})
    with output.working("asking for libraries"):
        received = playbook.run(request).results
    results, failures = host_results.of(received, "runtime_libraries_info", RuntimeLibrariesResult, hosts)
    return {host: result.runtime for host, result in results.items()}, failures
