"""The differences of one host: from the lock, from its own records, and from most hosts of its groups. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neuraltalk_provision.fleet import drift_codes, drift_cures
from neuraltalk_provision.fleet.drift_gpu import of_gpu
from neuraltalk_provision.fleet.findings import Difference
from neuraltalk_provision.fleet.majority import Group, Majority
from neuraltalk_provision.fleet.observed import NONE, Facts, Observed, component, has_former, package
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import activation, checks, holder
from neuraltalk_provision.site.needed_packages import missing_packages

# Facts that are compared only with most hosts: the code of a difference, and the cure.
_BY_MAJORITY = {
    "kernel": (drift_codes.KERNEL, drift_cures.KERNEL),
    "libc": (drift_codes.LIBC, drift_cures.SYSTEM),
    "python": (drift_codes.PYTHON, drift_cures.SYSTEM),
    "driver": (drift_codes.DRIVER, drift_cures.DRIVER),
    "cards": (drift_codes.CARDS_COUNT, drift_cures.COUNT),
    "cuda": (drift_codes.CUDA_VERSION, drift_cures.CUDA),
}
_LONGEST = 2_000
"""How many characters of a text of a host are kept."""


def differences(
    observed: Observed,
    facts: Facts,
    groups: Sequence[Group],
    gpu_components: frozenset[str],
    richer: Majority | None = None,
) -> tuple[Difference, ...]:
    """All differences of a host. `groups` are the groups in `facts`, and `richer` is what `majority.richer` found."""
    state = observed.state
    if state is None:
        found = _of_host(observed, observed.unasked)
        return (Difference(drift_codes.NOT_ASKED, found=found, cure=drift_cures.AGAIN),)
    majorities = {name: one for group in groups for name, one in group.majorities.items()}
    gpu = of_gpu(observed, state, facts, majorities, gpu_components, richer)
    # Without its cards another generation is described for the host. To build that one would be no cure.
    unclear = any(one.code in (drift_codes.CARDS_UNKNOWN, drift_codes.CARDS_LOST) for one in gpu)
    return (
        *_refused(observed),
        *_worked_on(state),
        *gpu,
        *_activation(state),
        *_generation(observed, state, majorities, unclear=unclear),
        *_files(observed, state),
        *_system(observed, state, facts, majorities),
    )


def _refused(observed: Observed) -> Iterator[Difference]:
    for reason in observed.refusals:
        yield Difference(drift_codes.REFUSED, found=_of_host(observed, reason), cure=drift_cures.PLAN)
    for reason in observed.state.unsafe if observed.state else ():
        yield Difference(drift_codes.UNSAFE, found=_short(reason), cure=drift_cures.OWNERS)


def _worked_on(state: HostState) -> Iterator[Difference]:
    if state.lease is not None:
        parts = holder.parse(state.lease.holder)
        who = f"pid {parts['pid']} on {parts['host']}" if parts else state.lease.holder or "an unknown holder"
        found = _short(f"{state.lease.what} of {who}")
        yield Difference(drift_codes.WORKED_ON, found=found, since=state.lease.since, cure=drift_cures.WAIT)
    elif state.busy:
        found = f"a build runs: pid {state.busy[0].pid}, log {state.busy[0].log}"
        yield Difference(drift_codes.WORKED_ON, found=_short(found), cure=drift_cures.WAIT)


def _activation(state: HostState) -> Iterator[Difference]:
    """Whether the last activation was confirmed: if not, the host returns by itself."""
    found = state.activation
    if found.state == activation.UNCONFIRMED:
        yield Difference(
            drift_codes.UNCONFIRMED, item=found.target, found=found.state, who=found.holder, cure=drift_cures.CONFIRM
        )
    elif found.state == activation.UNREADABLE:
        yield Difference(drift_codes.ACTIVATION_UNKNOWN, found=_short(found.problem), cure=drift_cures.PLAN)


def _generation(
    observed: Observed, state: HostState, majorities: dict[str, Majority], *, unclear: bool
) -> Iterator[Difference]:
    """The current generation and its components, compared with the lock."""
    recipe, stack = observed.recipe, state.stack
    cure = drift_cures.CARDS if unclear else drift_cures.of_generation(observed)
    most = _most(majorities, "generation")
    wanted = recipe.id if recipe else ""
    if not stack.current:
        yield Difference(drift_codes.NO_GENERATION, found=NONE, lock=wanted, majority=most, cure=cure)
        return
    if recipe and stack.current != wanted:
        staged = f" ({wanted} is staged)" if stack.generation(wanted).sealed else ""
        found = stack.current + staged
        yield Difference(
            drift_codes.OTHER_GENERATION, found=found, lock=wanted, majority=most, since=stack.since, cure=cure
        )
    generation = stack.current_generation
    if not (generation.sealed and generation.manifest):
        lacks = "its manifest is missing, or not the one of its seal" if generation.sealed else "it is not sealed"
        yield Difference(drift_codes.UNSEALED, item=stack.current, found=lacks, since=stack.since, cure=cure)
    if stack.previous and not has_former(state) and stack.previous != stack.current:
        lost = f"{stack.previous} is not complete"
        yield Difference(drift_codes.NO_ROLLBACK, found=lost, cure=drift_cures.FORMER)
    elif not has_former(state) and (one := majorities.get("rollback")) and one.value != NONE:
        yield Difference(drift_codes.NO_ROLLBACK, found=NONE, majority=str(one), cure=drift_cures.FORMER)
    if recipe is None or unclear:
        return
    for name in (*recipe.digests, *sorted(generation.stamps.keys() - recipe.digests.keys())):
        built, digest = generation.stamps.get(name, ""), recipe.digests.get(name, "")
        if built == digest:
            continue
        code = drift_codes.COMPONENT_CHANGED if built else drift_codes.COMPONENT_MISSING
        code = code if digest else drift_codes.COMPONENT_SURPLUS
        lock = digest or ("left out" if name in recipe.left_out else NONE)
        most = _most(majorities, component(name))
        yield Difference(code, item=name, found=built or NONE, lock=lock, majority=most, since=stack.since, cure=cure)


def _files(observed: Observed, state: HostState) -> Iterator[Difference]:
    """The files of the current generation, compared with its manifest, and the checks of modes and weights."""
    if not state.stack.current:
        return
    if observed.unverified:
        yield Difference(
            drift_codes.NOT_VERIFIED, found=_of_host(observed, observed.unverified), cure=drift_cures.VERIFY
        )
        return
    generation, files = state.stack.current_generation, observed.files
    check = next((check for check in observed.checks if check.name == checks.FILES), None)
    contradicts = check is not None and not check.passed and files is not None and not files.differing
    if files is None or not files.compared or contradicts:
        if generation.sealed and generation.manifest:
            why = check.saw if check else "the host returned nothing"
            yield Difference(drift_codes.NOT_VERIFIED, found=_short(why), cure=drift_cures.VERIFY)
    else:
        for file in files.listed:
            who = f"{file.user} (uid {file.uid})" if file.user else f"uid {file.uid}" if file.uid is not None else ""
            yield Difference(
                drift_codes.of_file(file.kind),
                item=file.path,
                found=_short(file.words),
                since=file.ctime,
                who=f"{who}, of the directory {file.of}" if file.of else who,
                cure=drift_cures.of_files(observed, file.kind),
                file=file,
            )
        if files.differing > len(files.listed):
            found = f"{files.differing - len(files.listed)} more files differ"
            yield Difference(drift_codes.MORE_FILES, found=found, cure=drift_cures.rebuild(observed))
    for check in observed.checks:
        if not check.passed and check.name not in checks.IN_DETAIL:
            yield Difference(
                drift_codes.CHECK_FAILED, item=check.name, found=_short(check.saw), cure=drift_cures.VERIFY
            )


def _system(
    observed: Observed, state: HostState, facts: Facts, majorities: dict[str, Majority]
) -> Iterator[Difference]:
    """Packages, account, and what is compared only with most hosts."""
    for name in missing_packages(state, observed.recipe) if observed.recipe else ():
        most = _most(majorities, package(name))
        yield Difference(drift_codes.PACKAGE_MISSING, item=name, found=NONE, majority=most, cure=drift_cures.SITE)
    for name, version in state.packages.items():
        most_have = majorities.get(package(name))
        if most_have and most_have.value != version:
            cure = drift_cures.version(observed, name, most_have.value)
            yield Difference(drift_codes.PACKAGE_VERSION, item=name, found=version, majority=str(most_have), cure=cure)
    if not state.account:
        yield Difference(drift_codes.ACCOUNT_MISSING, found=NONE, cure=drift_cures.SITE)
    values = facts.values
    for name, (code, cure) in _BY_MAJORITY.items():
        one = majorities.get(name)
        if one and name in values and values[name] != one.value:
            lock = facts.lock.get(name, "")
            yield Difference(code, found=values[name], lock=lock, majority=str(one), cure=cure)


def _most(majorities: dict[str, Majority], name: str) -> str:
    one = majorities.get(name)
    return str(one) if one else ""


def _of_host(observed: Observed, text: str) -> str:
    """A message about the host, without its name."""
    return _short(text.removeprefix(f"{observed.host}: "))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
