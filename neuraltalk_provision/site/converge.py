"""`provision site`: read the host states, plan, check the mirror, stage, activate, report the outcome."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import Catalogue, tried
from neuraltalk_provision.catalogue.needed import HOW, needed
from neuraltalk_provision.catalogue.platform import recognise
from neuraltalk_provision.catalogue.repositories import origins
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.host_names import counted, lines, named
from neuraltalk_provision.mirror import lock, store, trust
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings, certificates
from neuraltalk_provision.site import controller, host_state, leases, recipes, sharing, steps, trials
from neuraltalk_provision.site.advice import UNCHANGED
from neuraltalk_provision.site.events import Change, Failure
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan, following, plan
from neuraltalk_provision.site.steps import Activated, Staged
from neuraltalk_provision.site.unpack import Unpack


@dataclass(frozen=True)
class SiteOutcome:
    """What `provision site` did: changes by component and host, the hosts that were activated, and the failures."""

    plans: tuple[HostPlan, ...]
    changes: tuple[Change, ...] = ()
    activated: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    check: bool = False
    not_removed: Mapping[str, str] = field(default_factory=dict)
    """{host: why} of the hosts from which old generations were not removed."""

    @property
    def work(self) -> str:
        """What was built and unpacked, or would be, in words; empty for nothing."""
        built = sorted({change.component for change in self.changes if change.change == "build"})
        unpacked = sum(change.change == "unpack" for change in self.changes)
        words = [f"build {', '.join(built)}"] if built else []
        words += [f"unpack on {counted(unpacked)}"] if unpacked else []
        return " and ".join(words)

    def as_json(self) -> dict[str, Any]:
        """The outcome as `--json` prints it."""
        return {
            "check": self.check,
            "changed": bool(self.activated or self.work),
            "plans": [plan.as_json() for plan in self.plans],
            "changes": [asdict(change) for change in self.changes],
            "activated": list(self.activated),
            "failures": [asdict(failure) for failure in self.failures],
            "not_removed": dict(self.not_removed),
        }


Artifacts = Mapping[str, lock.Entry]
"""{name of the artifact: its entry in the lock}."""
Planner = Callable[[Mapping[str, Unpack]], tuple[HostPlan, ...]]
"""Makes a plan for every host; those in {host: what it unpacks} do not build."""


def make_plans(
    settings: Settings, limit: Sequence[str] = (), known: HostStates | None = None, *, take_over: bool = False
) -> tuple[HostPlan, ...]:
    """A plan for every host, as if each of them builds; see `planner`. Hosts are asked if `known` is not given."""
    listed = open_mirror(settings)
    known = known or host_state.read(settings, catalogues.load(), limit)
    return planner(settings, limit, known, listed, take_over=take_over)({})


def open_mirror(settings: Settings) -> Artifacts:
    """What the lock lists. Raises MirrorError if the mirror cannot be used, so this comes before hosts are asked."""
    lock.refuse_no_directory(settings.mirror)
    return trust.open_lock(settings).by_name()


def planner(
    settings: Settings, limit: Sequence[str], known: HostStates, listed: Artifacts, *, take_over: bool
) -> Planner:
    """What makes the plans, from the states of the hosts and what `open_mirror` returned. MirrorError if it is empty.

    With `take_over` a lease is not a reason to refuse: the operator says that its holder has ended.
    """
    catalogue = catalogues.load()
    if not listed:
        raise _empty_mirror(settings, catalogue, known)
    chosen = recipes.of_hosts(known.states, settings, catalogue, listed)
    shares = sharing.of_hosts(known.states)
    busy = sharing.builds(known.states, shares)
    wanted = {host: one.recipe for host, one in chosen.items()}

    def decide(host: str, state: HostState, unpack: Unpack | None) -> HostPlan:
        share = shares.get(host)
        # There is one lease for all hosts that share a stack root; the first one names its holder.
        held = sharing.refusals(host, share, wanted, known.states) if share else leases.refusals(host, state, take_over)
        decided = plan(
            host,
            state.model_copy(update={"busy": busy[host]}),
            wanted[host],
            orphaned=controller.is_dead(state.controller),
            refusals=chosen[host].refusals + held,
            remark=chosen[host].remark,
            over="" if share else controller.replaceable(state.lease, take_over),
            pushed=not settings.artifact_url,
            share=share,
            unpack=unpack,
        )
        decided = replace(decided, unclear=bool(chosen[host].refusals))
        if not limit or share or not decided.changes:
            return decided
        return decided.remarked(sharing.unasked(host, state.identity, settings.stack_root))

    return lambda unpacks: tuple(decide(host, state, unpacks.get(host)) for host, state in known.states.items())


def _empty_mirror(settings: Settings, catalogue: Catalogue, known: HostStates) -> MirrorError:
    """The error for a mirror without artifacts: every file that the platforms of the hosts need, by name."""
    hosts: dict[str, list[str]] = {}
    for host, state in known.states.items():
        hosts.setdefault(recognise(state.platform, host).key, []).append(host)
    rows = needed(catalogue, (), hosts)
    told = [f"{settings.mirror} is empty. These hosts need the files below:"]
    told += [f"{key}: {named(sorted(names))}" for key, names in sorted(hosts.items())]
    for row in rows:
        told.append(f"{'optional' if row.optional else 'required'}  {row.file}" + (f": {row.what}" if row.what else ""))
    return MirrorError(
        "\n".join(told),
        advice=f"{HOW}.",
        document={"needed": [asdict(row) for row in rows], "platforms": hosts},
    )


def refuse(plans: Sequence[HostPlan]) -> None:
    """UsageError with the refusals of all hosts at once."""
    refusals = [(plan.host, refusal) for plan in plans for refusal in plan.refusals]
    if refusals:
        document = {"plans": [plan.as_json() for plan in plans]}
        raise UsageError("\n".join(lines(refusals)), advice=UNCHANGED, document=document)


def check_mirror(plans: Iterable[HostPlan], settings: Settings, catalogue: Catalogue, output: Output) -> None:
    """Hash and inspect every file of the mirror that the plans will send. Raises MirrorError.

    They are compared with the digests in the plans, which come from the lock and which the hosts will expect: the lock
    itself is not read a second time. For a plan that builds nothing, nothing is hashed.
    """
    check_entries(sent(plans), settings, catalogue, output)


def sent(plans: Iterable[HostPlan]) -> tuple[lock.Entry, ...]:
    """The files of the mirror that will be sent to hosts, each once, sorted by name."""
    files: dict[str, Mapping[str, Any]] = {}
    for host in plans:
        parts = [part for part in host.recipe.parts if part.name in host.builds]
        parts += [host.recipe.part("cudnn")] if host.swaps else []
        files |= {file["name"]: file for part in parts for file in part.files}
        if "packages" in host.builds and host.recipe.repository:
            files[host.recipe.repository["name"]] = host.recipe.repository
    fields = ("name", "file", "sha256", "size")
    return tuple(lock.Entry(**{field: files[name][field] for field in fields}, role="") for name in sorted(files))


def check_entries(entries: Sequence[lock.Entry], settings: Settings, catalogue: Catalogue, output: Output) -> None:
    """Hash and inspect these files of the mirror. Raises MirrorError with all problems."""
    with output.progress("checking the mirror", sum(entry.size for entry in entries)) as advance:
        findings = store.inspect(settings.mirror, entries, catalogue, advance)
    if findings:
        problems = [f"{finding.file} is {finding.problem}: {finding.detail}" for finding in findings]
        raise MirrorError(
            "\n".join(problems),
            advice=f"{UNCHANGED} Copy the file again from its origin, then run `provision mirror add FILE`.",
        )


def variables(plans: Iterable[HostPlan], settings: Settings) -> dict[str, Any]:
    """The variables of the playbooks, the same for `provision` and for users who run the playbooks directly."""
    listed = tuple(plans)
    rules, kinds = _unsupported(listed)
    return {
        # By id: hosts of one platform can have different package managers, and then they have different recipes.
        "provision_recipes": {plan.recipe.id: plan.recipe.as_vars() for plan in listed},
        "provision_generations": {plan.host: plan.recipe.id for plan in listed},
        "provision_unsupported": rules,
        "provision_unsupported_of": kinds,
        "provision_origins": {
            plan.recipe.platform: origins(catalogues.repositories(), plan.recipe.platform, plan.recipe.manager)
            for plan in listed
        },
        "provision_mirror": str(settings.mirror),
        "provision_artifact_url": settings.artifact_url.rstrip("/"),
        "provision_artifact_ca": certificates(settings),
        # Not in the recipe, because the recipe is printed and the URL can contain a token.
        "provision_pip_index_url": settings.pip.index_url,
        "provision_controller": controller.name(),
        "provision_lease": leases.variables("provision site", {plan.host: plan.over for plan in listed}),
        "provision_take_over": [plan.host for plan in listed if plan.take_over],
        "provision_keep": settings.keep_generations,
        "provision_return_after": settings.return_after,
        "provision_jobs": settings.build_jobs,
        "provision_stack_root": settings.stack_root,
        "provision_run_user": settings.run_user,
    }


def _unsupported(plans: Sequence[HostPlan]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """({kind: what its hosts refuse before they install OS packages}, {host: its kind}).

    Hosts of one kind have their rules once: Ansible reads all variables for each playbook, and hands them to each host.
    """
    table, compatibility = catalogues.tried_table(), catalogues.load().compatibility
    found = {
        plan.host: tried.unsupported(table, plan.versions) + trials.nvcc_rules(plan, compatibility) for plan in plans
    }
    kinds: dict[str, str] = {}
    of = {host: kinds.setdefault(json.dumps(rules), f"kind {len(kinds)}") for host, rules in found.items()}
    return {of[host]: rules for host, rules in found.items()}, of


def converge(
    plans: tuple[HostPlan, ...],
    settings: Settings,
    output: Output,
    *,
    check: bool = False,
    diff: bool = False,
) -> SiteOutcome:
    """Stage on every host that has something to build, then activate where staging succeeded."""
    refuse(plans)
    check_mirror(plans, settings, catalogues.load(), output)
    given = variables(plans, settings)
    # The lease of a controller that has ended is removed even if there is nothing to do.
    held = [plan.host for plan in plans if (plan.changes or plan.over) and not check and not plan.share]
    with leases.released(held, given, settings):
        return _converge(plans, given, settings, output, check=check, diff=diff)


def drop_dead_leases(plans: Sequence[HostPlan], settings: Settings) -> None:
    """Remove the leases of controllers that have ended from hosts on which nothing has to be done."""
    dead = [plan for plan in plans if plan.over]
    if dead:
        with leases.released([plan.host for plan in dead], variables(dead, settings), settings):
            pass


def _converge(
    plans: tuple[HostPlan, ...],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    *,
    check: bool,
    diff: bool,
) -> SiteOutcome:
    # What would be unpacked is not tried in check mode: the roles that build do not concern such a host.
    unpacked = tuple(
        Change(plan.host, "generation", "unpack", plan.unpack.origin, predicted=True)
        for plan in plans
        if check and plan.unpack
    )
    staging = [plan.host for plan in plans if plan.stages and not (check and plan.unpack)]
    staged = steps.stage(staging, given, settings, output, check=check, diff=diff) if staging else Staged()
    failed = {failure.host for failure in staged.failures}
    preparing = [plan.host for plan in plans if plan.prepares and plan.builder not in failed]
    prepared = steps.prepare(preparing, given, settings, output, check=check, diff=diff) if preparing else Staged()
    for one in unpacked:
        output.step(one.host, one.component, "would be unpacked", one.evidence)
    changes, failures = staged.changes + prepared.changes + unpacked, staged.failures + prepared.failures
    failed = {failure.host for failure in failures}
    activating = [plan.host for plan in plans if plan.activates and plan.host not in failed]
    if check:
        return SiteOutcome(plans, changes, tuple(activating), failures, check)
    done = steps.activate(activating, given, settings, output) if activating else Activated()
    failures += done.failures
    failed = {failure.host for failure in failures}
    activated = tuple(host for host in activating if host not in failed)
    sharing_hosts = following(plans, failed)
    failures += steps.follow(sharing_hosts, given, settings, output) if sharing_hosts else ()
    failed = {failure.host for failure in failures}
    activated += tuple(
        plan.host for plan in plans if plan.share and plan.builder in activated and plan.host not in failed
    )
    return SiteOutcome(plans, changes, activated, failures, check, done.not_removed)
