"""All access to what uses hosts: runs the playbooks that ask for it, and that drain and resume nodes of Slurm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import busy
from neuraltalk_provision.fleet.busy import Rule
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.results.host_use import ChangedNodes, HostUseResult, SlurmNodes
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, host_results, playbook
from neuraltalk_provision.site.events import Failure


@dataclass(frozen=True)
class NodesChanged:
    """The nodes of each host after the change, and the failures of the other hosts."""

    nodes: Mapping[str, ChangedNodes]
    failures: tuple[Failure, ...] = ()


def rule(settings: Settings) -> Rule:
    """What to do with hosts in use, as the settings say."""
    return Rule(settings.busy, float(settings.busy_wait), float(settings.busy_poll))


def ask(settings: Settings, hosts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> dict[str, Seen]:
    """{host: what uses it} for each of these hosts. A host that cannot be asked has the reason as its failure."""
    if not hosts:
        return {}
    at = clock()  # what is seen is at least as new as this
    outcome = playbook.run(_request("use.yml", settings, hosts, {}))
    uses, failures = host_results.of(outcome.results, "host_use_info", HostUseResult, hosts)
    raw = outcome.results.by_host("slurm_node_info")
    reasons = {failure.host: advice.explain(failure) for failure in failures}
    found = {}
    for host in hosts:
        nodes = host_results.read(SlurmNodes, raw[host]) if host in raw else None
        reason = reasons.get(host, "")
        if host in uses and not reason and nodes is None and _has_slurm(settings, uses[host]):
            reason = "the host returned no nodes of Slurm"
        if isinstance(nodes, SlurmNodes) and host in uses and not reason:
            reason = _unknown_node(settings, uses[host], nodes)
        if isinstance(nodes, str):
            nodes, reason = None, reason or f"slurm_node_info: {nodes}"
        found[host] = Seen(host, at, uses[host].use if host in uses else None, nodes, reason)
    return found


def _unknown_node(settings: Settings, result: HostUseResult, nodes: SlurmNodes) -> str:
    """Why another host that was asked for the nodes of a host does not know them; empty if it does, or if it has none.

    A host that is asked itself says so itself.
    """
    if settings.slurm in ("auto", "none") or not result.use.node or nodes.used or nodes.problem:
        return ""
    return (
        f"slurmd runs on this host, but {settings.slurm} knows no node of Slurm with the name "
        f"{' or '.join(result.use.names)}: set slurm_node_name for this host"
    )


def _has_slurm(settings: Settings, result: HostUseResult) -> bool:
    """Whether the playbook asks Slurm for a host."""
    return result.use.slurm if settings.slurm == "auto" else settings.slurm != "none"


def refuse(settings: Settings, hosts: Sequence[str]) -> None:
    """UsageError with all of these hosts that are in use, if the settings say that none may be (`busy: refuse`)."""
    if settings.busy != "refuse":
        return
    refusals = busy.refusals(rule(settings), ask(settings, hosts).values())
    if refusals:
        raise UsageError("\n".join(refusals), advice=advice.UNCHANGED)


def planned(settings: Settings, sharing: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """{host: what would become of it} of these hosts that are in use; a UsageError with `busy: refuse`.

    `sharing` has, for each host, the other machines that share its stack root: they must be idle too.
    """
    refuse(settings, every := [*sharing, *(name for names in sharing.values() for name in names)])
    seen = ask(settings, every) if settings.busy != "refuse" else {}
    told = {
        host: busy.planned(rule(settings), replace(seen[host], machines=tuple(seen[name] for name in sharing[host])))
        for host in sharing
        if host in seen
    }
    return {host: words for host, words in told.items() if words}


def drain(settings: Settings, seen: Mapping[str, Seen], rollout: str, text: str) -> NodesChanged:
    """Drain the nodes of these hosts; `seen` is what `ask` returned for them. `text` ends the reason."""
    return _change(settings, seen, {"provision_rollout": rollout, "provision_drain_text": text}, "drained")


def resume(settings: Settings, seen: Mapping[str, Seen]) -> NodesChanged:
    """Lift our drains on the nodes of these hosts, also those that a lost command left."""
    return _change(settings, seen, {}, "resumed")


def _change(settings: Settings, seen: Mapping[str, Seen], more: Mapping[str, Any], state: str) -> NodesChanged:
    if not seen:
        return NodesChanged({})
    names = {host: list(one.use.names) if one.use else [] for host, one in seen.items()}
    variables = {"provision_node_state": state, "provision_names": names, **more}
    outcome = playbook.run(_request("slurm_node.yml", settings, list(seen), variables))
    nodes, failures = host_results.of(outcome.results, "slurm_node", ChangedNodes, list(seen))
    return NodesChanged(nodes, failures)


def _request(name: str, settings: Settings, hosts: Sequence[str], more: Mapping[str, Any]) -> playbook.Request:
    return playbook.Request.of_site(
        settings,
        name,
        hosts,
        {
            "provision_stack_root": settings.stack_root,
            "provision_run_user": settings.run_user,
            "provision_slurm": settings.slurm,
            **more,
        },
    )
