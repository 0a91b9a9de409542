"""The steps of a proof: names, a container under a recorder, `provision site` and `verify`, and what was used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import paths
from neuraltalk_provision.catalogue import Catalogue, target
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import TEMPORARY, HostError, MirrorError, UsageError, naming
from neuraltalk_provision.mirror import identify, lock, proofs, pull, trust, view
from neuraltalk_provision.mirror.proofs import Proof, Surplus
from neuraltalk_provision.output import Output
from neuraltalk_provision.proof import completeness, container, host, judge, place, wheels
from neuraltalk_provision.proof.judge import Findings
from neuraltalk_provision.proof.place import Ended, Place
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.settings import Pip, Settings
from neuraltalk_provision.site import (
    advice,
    converge,
    host_results,
    host_state,
    keeper,
    operations,
    packages,
    playbook,
    trials,
)
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Request:
    """What to prove, and where: in a container of `image`, or on the `host` of the inventory.

    `without` is an artifact, package or wheel that is left out. With `quick` nothing is installed: it is only found out
    whether everything could be. With `keep` the container stays.
    """

    platform: str
    image: str = ""
    host: str = ""
    engine: str = ""
    without: str = ""
    not_needed: tuple[str, ...] = ()
    quick: bool = False
    keep: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether it is the proof of a whole mirror, whose record is kept."""
        return not (self.without or self.quick)


@dataclass(frozen=True)
class Result:
    """The record of a proof, what was left out, and what else there is to say."""

    proof: Proof
    left: view.Left | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Subject:
    """What is proved: the settings with which hosts are installed, the lock, and its digest."""

    settings: Settings
    known: lock.Lock
    digest: str
    goal: Target
    catalogue: Catalogue
    left: view.Left | None


def names_only(settings: Settings, request: Request) -> tuple[completeness.Completeness, view.Left | None]:
    """Whether the mirror has every artifact, by name. Starts nothing."""
    with _subject(settings, request) as subject:
        return _complete(subject, request), subject.left


def prove(settings: Settings, request: Request, output: Output) -> Result:
    """Install from the mirror alone, and tell what happened. Raises UsageError if that cannot be tried here."""
    begin = time.monotonic()
    found = Findings()
    with _subject(settings, request) as subject:
        if request.is_recorded:
            proofs.refuse_unwritable(settings.mirror)
        complete = _complete(subject, request)
        found.problems += complete.problems
        found.not_needed = complete.not_needed
        if not found.problems:
            with _place(subject, request, found) as there:
                found.host = there.words
                done = _install(subject, request, there, found, output)
                ended = there.end(str(done.plan.recipe.generation) if done else "")
                found.seen = ended.seen
                if done:
                    _look(subject, there, done, ended, found)
        if not subject.left and sha256(lock.load(settings.mirror)).hexdigest() != subject.digest:
            found.problems.append("the lock was changed while it was proved: prove it again")
        _blame(found, subject, quick=request.quick)
    proof = judge.record(
        found,
        platform=subject.goal.key,
        lock=subject.digest,
        made=datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=time.monotonic() - begin,
        provision=paths.version(),
    )
    return Result(proof, subject.left, tuple(found.remarks))


@contextmanager
def _subject(settings: Settings, request: Request) -> Iterator[_Subject]:
    """The mirror as it is, or a view of it that lacks something."""
    goal, catalogue = target.parse(request.platform), catalogues.load()
    lock.refuse_no_directory(settings.mirror)
    known, digest = trust.open_with_digest(settings)
    if not known.artifacts:
        raise MirrorError(f"{settings.mirror} is empty", advice="Fill it first: docs/mirror.md.")
    chosen = settings if request.host else settings.model_copy(update={"profile": "cpu"})
    with ExitStack() as stack:
        left = None
        if request.without:
            left = view.find(settings.mirror, known, catalogue, goal.key, request.without)
            with naming(TEMPORARY, "written"):
                folder = stack.enter_context(keeper.kept(keeper.PRIVATE))
                known = view.make(settings.mirror, known, left, folder)
            # The signatures were checked above; this lock is ours.
            chosen = chosen.model_copy(update={"mirror": folder, "mirror_trust": "unsigned", "mirror_signers": ()})
        # The files are pushed, and wheels come from the mirror or not at all, whatever the settings of the site are.
        pip = Pip(source="mirror" if f"python-wheels-{goal.key}" in known.by_name() else "none")
        chosen = chosen.model_copy(update={"artifact_url": "", "pip": pip})
        yield _Subject(chosen, known, digest, goal, catalogue, left)


def _complete(subject: _Subject, request: Request) -> completeness.Completeness:
    have = pull.inventory(subject.settings.mirror)
    return completeness.check(subject.catalogue, subject.goal, have, request.not_needed)


@contextmanager
def _place(subject: _Subject, request: Request, found: Findings) -> Iterator[Place]:
    """The container or the host. If it cannot be watched, nothing is proved."""
    with ExitStack() as stack:
        with naming(TEMPORARY, "written"):
            folder = stack.enter_context(keeper.kept(keeper.PRIVATE))
        if request.host:
            yield stack.enter_context(host.isolated(subject.settings.inventory, request.host, folder))
            return
        engine = container.engine(request.engine)
        started = stack.enter_context(container.started(engine, request.image, keep=request.keep))
        if request.keep:
            found.remarks.append(f"the container {started.name} is kept; remove it yourself")
        yield stack.enter_context(place.of_container(started, request.image, folder))


@dataclass(frozen=True)
class _Done:
    """What `provision site` did in a proof."""

    plan: HostPlan
    built: tuple[str, ...]


def _install(subject: _Subject, request: Request, there: Place, found: Findings, output: Output) -> _Done | None:
    """Everything that happens on the host; None if nothing was installed. What goes wrong is a problem of the proof."""
    try:
        packages = subject.known.by_name().get(f"packages-{subject.goal.key}")
        there.prepare(subject.settings.mirror, packages, subject.settings.stack_root)
        chosen = subject.settings.model_copy(update={"inventory": there.inventory})
        states = host_state.read(chosen, subject.catalogue)
        (state,) = states.states.values()
        found.system = f"{state.platform.name}, {state.platform.libc}, Python {state.platform.python}"[:1_000]
        plans = converge.make_plans(chosen, known=states)
        _refuse_unfit(plans[0], subject)
        found.left_out = plans[0].recipe.left_out
        converge.refuse(plans)
        converge.check_mirror(plans, chosen, subject.catalogue, output)
        _resolve(plans, chosen, state.platform.python, found, output)
        if request.quick or found.problems:
            return None
        outcome = converge.converge(plans, chosen, output)
        found.problems += [advice.explain(failure) for failure in outcome.failures]
        if not outcome.failures:
            found.problems += _failed_checks(chosen, output)
            found.complete = not found.problems
        built = [change.component for change in outcome.changes if change.change == "build"]
        return _Done(plans[0], tuple(dict.fromkeys(built)))
    except (HostError, MirrorError) as error:
        found.problems.append(error.message)
        return None


def _refuse_unfit(plan: HostPlan, subject: _Subject) -> None:
    """UsageError if the host is of another platform, or has parts of the stack: then little would be proved."""
    if plan.recipe.platform != subject.goal.key:
        raise UsageError(
            f"{plan.host} is {plan.recipe.platform}, not {subject.goal.key}",
            advice="Give an image or a host of the platform, or its platform with --for.",
        )
    there = [part.name for part in plan.recipe.parts if part.name not in plan.builds]
    if there:
        raise UsageError(
            f"{plan.host} already has {', '.join(there)} below {plan.recipe.stack_root}, so a proof would show little",
            advice="Choose a bare host, or another --stack-root.",
        )


def _resolve(plans: tuple[HostPlan, ...], chosen: Settings, python: str, found: Findings, output: Output) -> None:
    """Find out in seconds what would otherwise be found out in the middle of the build: packages, then wheels."""
    request = playbook.Request("prove.yml", chosen.inventory, converge.variables(plans, chosen))
    with output.working("resolving the OS packages"):
        outcome = playbook.run(request)
    results, failures = host_results.of(
        outcome.results, "os_packages_info", PackagesInfoResult, [plan.host for plan in plans]
    )
    found.problems += [advice.explain(failure) for failure in failures]
    for plan in plans:
        if plan.host in results:
            found.problems += packages.refusals(plan, results[plan.host])
            compared = packages.judged(plan, results[plan.host])
            found.problems += compared.refusals
            found.remarks += trials.told([compared])
            found.absent += results[plan.host].absent[:1_000]
    part = next((part for part in plans[0].recipe.parts if part.requirements), None)
    if part is None or not part.files:
        return
    with output.working("resolving the wheels"):
        tried = wheels.resolve(chosen.mirror / part.files[0]["file"], part.requirements, python)
    found.problems += [tried.problem] * bool(tried.problem)
    found.pip_tried = not tried.not_tried
    if tried.not_tried:
        found.remarks.append(f"pip was not tried before the installation: {tried.not_tried}")


def _failed_checks(chosen: Settings, output: Output) -> list[str]:
    """The checks of `provision verify` that failed. Without checks it has failed."""
    problems = []
    for verdict in operations.verify_hosts(chosen, (), output):
        problems += [f"verify, {check.name}: {check.saw}" for check in verdict.checks if not check.passed]
        if verdict.failure or not verdict.checks:
            problems.append(f"verify: {verdict.failure or 'no checks'}")
    return problems


def _look(subject: _Subject, there: Place, done: _Done, ended: Ended, found: Findings) -> None:
    """What is installed now, and what the mirror has that was not used."""
    found.installed = judge.installed(done.built, there.before, ended.packages, ended.wheels)
    used = {entry.name for entry in converge.sent((done.plan,))}
    surplus, gpu, other = completeness.sorted_out(subject.known.artifacts, used, subject.catalogue, subject.goal)
    mirror, platform = subject.settings.mirror, subject.goal.key
    packages = view.held(mirror, subject.known, subject.catalogue, platform, "package")
    files = view.held(mirror, subject.known, subject.catalogue, platform, "wheel")
    found.surplus = Surplus(
        artifacts=surplus,
        gpu=gpu,
        other=other,
        packages=tuple(sorted(set(packages) - set(ended.packages))),
        wheels=tuple(sorted(set(files) - set(ended.wheels))) if "python" in done.built else (),
    )


def _blame(found: Findings, subject: _Subject, *, quick: bool) -> None:
    """With `--without`, say what is missing by its name, also where nothing else failed."""
    left = subject.left
    if left is None:
        return
    artifact = identify.artifact_of(left.name, subject.catalogue) if left.kind == "artifact" else None
    lost = set(completeness.users_of(artifact, subject.catalogue) if artifact else ()) & set(found.left_out)
    if found.problems:
        found.problems.insert(0, f"{left.name} was left out")
    elif lost:
        found.problems.append(f"{left.name} was left out, so {', '.join(sorted(lost))} cannot be built")
    elif left.kind == "package" and left.name in found.absent:
        found.problems.append(f"{left.name} was left out, and this optional OS package is now missing on the host")
    elif quick and left.kind == "wheel" and not found.pip_tried:
        found.remarks.append(f"whether this host needs {left} is not known; run the command without --quick")
    else:
        found.remarks.append(f"nothing on this host needs {left}")
