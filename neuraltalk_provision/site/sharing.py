"""Which names of the inventory are one machine, and which hosts share a stack root: the work is done once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.host_state import Build, HostState, Identity


@dataclass(frozen=True)
class Share:
    """For whom another name works: `builder` builds and activates in the stack root that they have in common.

    `same` is the name under which the work on the machine itself is done; empty if that is this name. `filesystem` says
    in words where the stack root is.
    """

    builder: str
    same: str = ""
    filesystem: str = ""

    def words(self, root: str) -> str:
        """What the plan says of such a host, after its name."""
        if self.same:
            return f"is the same machine as {self.same}: nothing is done a second time under this name"
        where = f" ({self.filesystem})" if self.filesystem else ""
        return f"shares {root}{where} with {self.builder}, under whose name everything there is built and activated"


def of_hosts(states: Mapping[str, HostState]) -> dict[str, Share]:
    """{host: its share} of all hosts for which another one builds. Of each group the first name builds."""
    groups = groups_of({host: state.identity for host, state in states.items()})
    builders: dict[str, str] = {}
    machines: dict[str, str] = {}
    found: dict[str, Share] = {}
    for host in sorted(states, key=_order):
        identity = states[host].identity
        builder = builders.setdefault(groups[host], host)
        first = machines.setdefault(identity.machine, host) if identity.machine else host
        if builder != host:
            found[host] = Share(builder, "" if first == host else first, identity.filesystem)
    return found


def unasked(host: str, identity: Identity, root: str) -> str:
    """What is said of a host of --limit whose stack root can be shared by hosts that are not asked; empty if not."""
    if len(identity.directories) < 2:  # that of this kernel is the only one: the disk is a local one
        return ""
    return (
        f"{host}: {root} is on a disk that several hosts can use ({identity.filesystem}), and --limit leaves hosts "
        "out. What becomes current here becomes current for all that share this directory, but nobody asks the others "
        "whether they are in use, and nothing is verified there: name them too, or leave --limit out"
    )


def refusals(
    host: str, share: Share, recipes: Mapping[str, Recipe], states: Mapping[str, HostState]
) -> tuple[str, ...]:
    """Why what is built under the name of the builder does not suit this host; empty if it does."""
    own, built = recipes[host], recipes[share.builder]
    here, there = (states[name].stack.current or "none" for name in (host, share.builder))
    if here != there:
        return (
            f"{host} {share.words(own.stack_root)}, but {share.builder} sees the current generation {there} there, and "
            f"{host} {here}. A shared disk can show changes a minute late: run the same command again then. If this "
            "stays, they do not share the directory: run the command for each of them alone, with --limit",
        )
    leave_out = f"or leave one of them out: --limit '!{host}'"
    if own.id != built.id:
        wanted = f"{_named(built)} for {share.builder}, and {_named(own)} for {host}"
        if share.same and recipes[share.same].id != own.id:
            return (
                f"{host} is the same machine as {share.same}, but the inventory gives the two names other settings, "
                f"so that they need different stacks: {wanted}. Give both the same variables, {leave_out}",
            )
        cards = own.gpu and built.gpu and own.platform == built.platform
        equal = "give both the same gpu_stack_arch_list, " if cards else ""
        return (
            f"{host} shares {own.stack_root} with {share.builder}, but they need different stacks: {wanted}. Only one "
            f"of them can be current there: {equal}give one of them a directory of its own (--stack-root), {leave_out}",
        )
    if own.swaps and not share.same:
        return (
            f"{host} shares {own.stack_root} with {share.builder}, so cuDNN cannot be swapped on both in one step: set "
            f"gpu_stack_cudnn_mode: private, {leave_out}",
        )
    return ()


def builders_of(hosts: Iterable[str], shares: Mapping[str, Share]) -> dict[str, str]:
    """{host: the name under which the work in its stack root is done}, which can be its own."""
    return {host: shares[host].builder if host in shares else host for host in hosts}


def builds(states: Mapping[str, HostState], shares: Mapping[str, Share]) -> dict[str, tuple[Build, ...]]:
    """{host: the builds that run below its stack root, or may run there}.

    Of builds on other machines a host sees only the file with the pid. If one of the machines that share the stack root
    does not return such a build, it was its own, and has ended.
    """
    builders = builders_of(states, shares)
    seen: dict[str, set[str]] = {}
    for host, state in states.items():
        logs = {build.log for build in state.busy}
        seen[builders[host]] = logs & seen.get(builders[host], logs)
    return {
        host: tuple(build for build in state.busy if not build.host or build.log in seen[builders[host]])
        for host, state in states.items()
    }


def groups_of(identities: Mapping[str, Identity]) -> dict[str, str]:
    """{host: a name of its group}. Hosts are in one group if they are one machine or have a directory in common."""
    parents = {host: host for host in identities}

    def top(host: str) -> str:
        while parents[host] != host:
            parents[host] = parents[parents[host]]
            host = parents[host]
        return host

    known: dict[str, str] = {}
    for host, identity in identities.items():
        for digest in filter(None, (identity.machine, *identity.directories)):
            parents[top(host)] = top(known.setdefault(digest, host))
    return {host: top(host) for host in identities}


def _named(recipe: Recipe) -> str:
    gpu = f" with CUDA {recipe.gpu.cuda} for {recipe.gpu.archs}" if recipe.gpu else ""
    return f"{recipe.platform}{gpu} (generation {recipe.id})"


def _order(host: str) -> list[tuple[int, str]]:
    """The key by which names are sorted: node2 before node10."""
    parts = re.split(r"0*([0-9]+)", host)
    return [(len(part) if place % 2 else -1, part) for place, part in enumerate(parts)] + [(-1, host)]
