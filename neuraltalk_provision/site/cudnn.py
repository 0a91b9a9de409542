"""`provision cudnn`: show the cuDNN in the CUDA directory of each host, swap it, and restore the previous one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue.facts import made_for
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.checks import CudnnSwapResult, CudnnTree, LibraryUser
from neuraltalk_provision.results.host_state import HostState, Toolkit
from neuraltalk_provision.rules.cudnn import ABSENT
from neuraltalk_provision.rules.gpu import SEARCHED
from neuraltalk_provision.settings import Settings, certificates
from neuraltalk_provision.site import (
    activations,
    advice,
    converge,
    host_results,
    host_state,
    leases,
    playbook,
    sharing,
)
from neuraltalk_provision.site.advice import UNCHANGED

Verb = Literal["status", "swap", "restore"]
ARCHIVE = "cudnn-archive"


@dataclass(frozen=True)
class CudnnState:
    """The cuDNN of one host, `before` and `after`, what was done, and the processes that have it mapped."""

    host: str
    before: CudnnTree
    after: CudnnTree
    did: tuple[str, ...]
    users: tuple[LibraryUser, ...]
    changed: bool

    def as_json(self) -> dict[str, Any]:
        """The state as `--json` prints it."""
        return dict(plain(self))


def work(
    verb: Verb,
    settings: Settings,
    output: Output,
    limit: Sequence[str] = (),
    *,
    cuda: str = "",
    in_use: bool = False,
    foreign: bool = False,
    plan: bool = False,
    take_over: bool = False,
) -> tuple[CudnnState, ...]:
    """Run a verb on every host; with `plan` only predict what it would do.

    `cuda` names the CUDA directory; without it each host must have only one. Raises UsageError and MirrorError
    before any host is changed, and HostError that names every host that refused or failed.
    """
    archive, version = _archive(settings, output) if verb == "swap" else ({}, "")
    states = host_state.read(settings, catalogues.load(), limit, cuda).states
    if verb != "status":
        leases.refuse(states, take_over)
        states = _each_machine_once(states, settings.stack_root, output)
    trees = _trees(states, cuda)
    if archive:
        _refuse_other_release(archive["file"], trees)
    request = playbook.Request.of_site(
        settings,
        "cudnn.yml",
        list(states),
        {
            "provision_cudnn": {
                "verb": verb,
                # The path as it was given: the module refuses a link and names its target.
                "trees": {host: cuda or tree.path for host, tree in trees.items()},
                "archive": archive,
                "version": version,
                "in_use": in_use,
                "foreign": foreign,
            },
            "provision_mirror": str(settings.mirror),
            "provision_artifact_url": settings.artifact_url.rstrip("/"),
            "provision_artifact_ca": certificates(settings),
            "provision_stack_root": settings.stack_root,
            "provision_unconfirmed": activations.unconfirmed(states) if verb != "status" else [],
            "provision_lease": leases.variables(f"provision cudnn {verb}", leases.replaceable(states, take_over)),
        },
        check=plan,
    )
    with output.working(f"cudnn {verb}"):
        outcome = playbook.run(request)
    undone = {host: "" if plan or verb == "status" else activations.undone(states[host].activation) for host in states}
    results, failures = host_results.of(outcome.results, "cudnn_swap", CudnnSwapResult, list(states))
    if failures:
        raise advice.host_error(failures)
    return tuple(
        CudnnState(
            host=host,
            before=result.before,
            after=result.cudnn,
            did=(*filter(None, (undone[host],)), *result.did),
            users=result.users,
            changed=result.changed,
        )
        for host, result in sorted(results.items())
    )


def _each_machine_once(states: Mapping[str, HostState], root: str, output: Output) -> Mapping[str, HostState]:
    """The states without further names of a machine. UsageError if machines share the stack root, and so the lease."""
    shares = sharing.of_hosts(states)
    several = [(host, f"{host} {share.words(root)}") for host, share in shares.items() if not share.same]
    if several:
        raise UsageError(
            "\n".join(lines(several)),
            advice=f"{UNCHANGED} Run the same command for each of these hosts alone, with --limit.",
        )
    output.of_hosts((host, f"{host} {share.words(root)}") for host, share in shares.items())
    return {host: state for host, state in states.items() if host not in shares}


def _trees(states: Mapping[str, HostState], requested: str) -> dict[str, Toolkit]:
    """{host: its CUDA directory}. UsageError with all hosts for which there is not one."""
    found, problems = {}, []
    advices: dict[str, None] = {}
    for host, state in states.items():
        try:
            found[host] = _tree(host, state, requested)
        except UsageError as error:
            problems.append((host, error.message))
            advices[error.advice] = None
    if problems:
        raise UsageError("\n".join(lines(problems)), advice=" ".join(advices))
    return found


def _tree(host: str, state: HostState, requested: str) -> Toolkit:
    """The host's CUDA directory: the requested one, or the only one, or the only one with a cuDNN."""
    found = list(state.gpu.toolkits)
    if not found:
        where = requested or SEARCHED
        raise UsageError(
            f"{host}: no CUDA toolkit (bin/nvcc with its headers) was found in {where}",
            advice="Name the CUDA directory with --cuda DIRECTORY.",
        )
    holding = [tree for tree in found if tree.cudnn.state != ABSENT] or found
    if len(holding) > 1:
        places = ", ".join(f"{tree.path} (CUDA {tree.version})" for tree in holding)
        raise UsageError(f"{host} has several CUDA directories: {places}", advice="Name one with --cuda DIRECTORY.")
    if holding[0].problem:
        raise UsageError(f"{host}: {holding[0].problem}", advice=UNCHANGED)
    return holding[0]


def _archive(settings: Settings, output: Output) -> tuple[dict[str, Any], str]:
    """The mirror's cuDNN archive, hashed and inspected, and the version that it contains."""
    entry = converge.open_mirror(settings).get(ARCHIVE)
    if entry is None:
        raise MirrorError(
            f"{settings.mirror} has no cuDNN archive",
            advice="Add it, for example with `provision mirror add cudnn-7.5-linux-x64-v5.0-ga.tgz`.",
        )
    converge.check_entries([entry], settings, catalogues.load(), output)
    return entry.model_dump(include={"name", "file", "sha256", "size"}), entry.version


def _refuse_other_release(file: str, trees: Mapping[str, Toolkit]) -> None:
    release = made_for(file)
    other = lines((host, f"{host}: {t.path} is CUDA {t.version}") for host, t in trees.items() if t.version != release)
    if release and other:
        raise UsageError(
            f"{file} is for CUDA {release}\n" + "\n".join(other),
            advice=f"{UNCHANGED} Leave these hosts out with --limit, or add the cuDNN archive for "
            "their CUDA release to the mirror.",
        )
