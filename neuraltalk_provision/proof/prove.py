"""The steps of a proof: names, a container under a recorder, `provision site` and `verify`, and what was used."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import Catalogue, target
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import HostError, MirrorError, UsageError, naming
from neuraltalk_provision.mirror import lock, pull, trust, view
from neuraltalk_provision.mirror.proofs import Proof, Surplus
from neuraltalk_provision.output import Output
from neuraltalk_provision.proof import completeness, container, contents, judge, recorder, wheels
from neuraltalk_provision.proof.container import Container
from neuraltalk_provision.proof.judge import Findings
from neuraltalk_provision.settings import Pip, Settings
from neuraltalk_provision.site import advice, converge, operations, playbook
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Request:
    """What to prove, and where.

    `without` is an artifact, package or wheel that is left out. With `quick` nothing is installed: it is only found out
    whether everything could be. With `keep` the container stays.
    """

    platform: str
    image: str
    engine: str = ""
    without: str = ""
    not_needed: tuple[str, ...] = ()
    quick: bool = False
    keep: bool = False


@dataclass(frozen=True)
class Result:
    """The record of a proof, what was left out, what could not be tried (in words), and the container that was kept."""

    proof: Proof
    left: view.Left | None = None
    remarks: tuple[str, ...] = ()
    kept: str = ""


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
    found, kept = Findings(), ""
    with _subject(settings, request) as subject:
        complete = _complete(subject, request)
        found.problems += complete.problems
        found.not_needed = complete.not_needed
        if not found.problems:
            engine = container.engine(request.engine)
            with container.started(engine, request.image, keep=request.keep) as host:
                kept = host.name if request.keep else ""
                found.host = f"container of {request.image} ({host.image})"
                with recorder.recording(host) as recording:
                    _install(subject, request, host, found, output)
                    recording.plant()
                    found.seen = recording.end()
        if not subject.left and sha256(lock.load(settings.mirror)).hexdigest() != subject.digest:
            found.problems.append("the lock was changed while it was proved: prove it again")
        _blame(found, subject.left, quick=request.quick)
    proof = judge.record(
        found,
        platform=subject.goal.key,
        lock=subject.digest,
        made=datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=time.monotonic() - begin,
        provision=metadata.version("neuraltalk-provision"),
    )
    return Result(proof, subject.left, tuple(found.remarks), kept)


@contextmanager
def _subject(settings: Settings, request: Request) -> Iterator[_Subject]:
    """The mirror as it is, or a view of it that lacks something."""
    goal, catalogue = target.parse(request.platform), catalogues.load()
    lock.refuse_no_directory(settings.mirror)
    known = trust.open_lock(settings)
    digest = sha256(lock.load(settings.mirror)).hexdigest() if known.artifacts else ""
    if not known.artifacts:
        raise MirrorError(f"{settings.mirror} is empty", advice="Fill it first: docs/mirror.md.")
    # The files are pushed, and wheels come from the mirror, whatever the settings of the site are.
    chosen = settings.model_copy(update={"artifact_url": "", "pip": Pip(source="mirror"), "profile": "cpu"})
    with ExitStack() as stack:
        left = None
        if request.without:
            left = view.find(settings.mirror, known, catalogue, goal.key, request.without)
            with naming("the directory for temporary files", "written"):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="provision-view-")))
                known = view.make(settings.mirror, known, left, folder)
            # The signatures were checked above; this lock is ours.
            chosen = chosen.model_copy(update={"mirror": folder, "mirror_trust": "unsigned", "mirror_signers": ()})
        yield _Subject(chosen, known, digest, goal, catalogue, left)


def _complete(subject: _Subject, request: Request) -> completeness.Completeness:
    have = pull.inventory(subject.settings.mirror)
    return completeness.check(subject.catalogue, subject.goal, have, request.not_needed)


def _install(subject: _Subject, request: Request, host: Container, found: Findings, output: Output) -> None:
    """Everything that happens in the container. What goes wrong there is a problem of the proof."""
    try:
        before = contents.packages_of(host)
        packages = subject.known.by_name().get(f"packages-{subject.goal.key}")
        root = subject.settings.stack_root
        contents.ensure_python(host, subject.settings.mirror, packages, root)
        with tempfile.TemporaryDirectory(prefix="provision-") as folder:
            chosen = subject.settings.model_copy(update={"inventory": host.inventory(Path(folder))})
            plans = converge.make_plans(chosen)
            _refuse_other_platform(plans, subject, request)
            converge.refuse(plans)
            converge.check_mirror(plans, chosen, subject.catalogue, output)
            _resolve(plans, chosen, subject, host, found, output)
            if request.quick or found.problems:
                return
            outcome = converge.converge(plans, chosen, output)
            found.problems += [advice.explain(failure) for failure in outcome.failures]
            if not outcome.failures:
                found.problems += _failed_checks(plans, chosen, output)
            _look(plans, outcome, before, subject, host, found)
            found.complete = not found.problems
    except (HostError, MirrorError) as error:
        found.problems.append(error.message)


def _refuse_other_platform(plans: tuple[HostPlan, ...], subject: _Subject, request: Request) -> None:
    other = plans[0].recipe.platform
    if other != subject.goal.key:
        raise UsageError(
            f"{request.image} is {other}, not {subject.goal.key}",
            advice="Give an image of the platform with --image, or its platform with --for.",
        )


def _resolve(
    plans: tuple[HostPlan, ...],
    chosen: Settings,
    subject: _Subject,
    host: Container,
    found: Findings,
    output: Output,
) -> None:
    """Find out in seconds what would otherwise be found out in the middle of the build: packages, then wheels."""
    request = playbook.Request("prove.yml", chosen.inventory, converge.variables(plans, chosen))
    with output.working("resolving the OS packages"):
        outcome = playbook.run(request)
    found.problems += [advice.explain(failure) for failure in outcome.results.failures]
    results = outcome.results.by_host("os_packages")
    found.absent = tuple(str(name) for result in results.values() for name in result.get("absent") or ())[:1_000]
    part = next((part for part in plans[0].recipe.parts if part.requirements), None)
    if part is None or not part.files:
        return
    version = host.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").output.strip()
    with output.working("resolving the wheels"):
        tried = wheels.resolve(chosen.mirror / part.files[0]["file"], part.requirements, version)
    found.problems += [tried.problem] * bool(tried.problem)
    if tried.not_tried:
        found.remarks.append(f"pip was not tried before the installation: {tried.not_tried}")


def _failed_checks(plans: tuple[HostPlan, ...], chosen: Settings, output: Output) -> list[str]:
    """The checks of `provision verify` that failed. Without checks it has failed."""
    after = converge.make_plans(chosen)
    problems = []
    for verdict in operations.verify(after, chosen, output):
        problems += [f"verify, {check.name}: {check.saw}" for check in verdict.checks if not check.passed]
        if verdict.failure or not verdict.checks:
            problems.append(f"verify: {verdict.failure or 'no checks'}")
    return problems


def _look(
    plans: tuple[HostPlan, ...],
    outcome: converge.SiteOutcome,
    before: dict[str, str],
    subject: _Subject,
    host: Container,
    found: Findings,
) -> None:
    """What is installed now, and what the mirror has that was not used."""
    recipe = plans[0].recipe
    after = contents.packages_of(host)
    installed = contents.wheels_of(host, str(recipe.generation))
    built = [change.component for change in outcome.changes if change.change == "build"]
    found.installed = judge.installed(dict.fromkeys(built), before, after, installed)
    used = {entry.name for entry in converge.sent(plans)}
    surplus, gpu, other = completeness.sorted_out(subject.known.artifacts, used, subject.catalogue, subject.goal)
    mirror, platform = subject.settings.mirror, subject.goal.key
    packages = view.held(mirror, subject.known, subject.catalogue, platform, "package")
    files = view.held(mirror, subject.known, subject.catalogue, platform, "wheel")
    found.surplus = Surplus(
        artifacts=surplus,
        gpu=gpu,
        other=other,
        packages=tuple(sorted(set(packages) - set(after))),
        wheels=tuple(sorted(set(files) - set(installed))) if "python" in built else (),
    )
    found.system = host.run('. /etc/os-release && echo "$PRETTY_NAME"').output.strip()[:200]


def _blame(found: Findings, left: view.Left | None, *, quick: bool) -> None:
    """With `--without`, say what is missing by its name, also where nothing else failed."""
    if left is None:
        return
    if found.problems:
        found.problems.insert(0, f"{left.name} was left out")
    elif left.kind == "package" and left.name in found.absent:
        found.problems.append(f"{left.name} was left out, and this optional OS package is now missing on the host")
    elif not quick or left.kind != "artifact":
        found.remarks.append(f"nothing on this host needs {left}")
