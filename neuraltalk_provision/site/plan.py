"""The plan for a host: what has to be done there, decided from its state and its recipe. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from neuraltalk_provision.catalogue import tried
from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.host_state import Build, Cudnn, HostState
from neuraltalk_provision.rules import activation as activations
from neuraltalk_provision.rules import cudnn as cudnns
from neuraltalk_provision.rules import machines
from neuraltalk_provision.site import unpack as unpacks
from neuraltalk_provision.site.needed_packages import missing_packages
from neuraltalk_provision.site.obstacles import obstacles
from neuraltalk_provision.site.sharing import Share
from neuraltalk_provision.site.unpack import Unpack

MACHINE = ("packages", "account")
"""The components that belong to the machine and not to the stack root."""


@dataclass(frozen=True)
class Step:
    """One component of the plan: built, with the reason, or kept."""

    component: str
    build: bool
    why: str


@dataclass(frozen=True)
class HostPlan:
    """What will be done on one host.

    `refusals` are reasons not to start, `cards` is the evidence whether it has cards that are used, and `over` is
    the holder whose lease is replaced because it has ended. `versions` are those of what builds use, if installed;
    `local` are in /usr/local. `skip_checks` are the rules that the inventory says not to apply. `untried` says what
    was never tried, `share` under which name the work is done, `unclear` that the choice of the recipe was refused.
    """

    host: str
    recipe: Recipe
    current: str
    steps: tuple[Step, ...]
    sealed: bool
    refusals: tuple[str, ...]
    take_over: bool = False
    unclear: bool = False
    remark: str = ""
    swaps: bool = False
    cards: str = ""
    over: str = ""
    unconfirmed: bool = False
    """Whether an earlier activation was not confirmed: then the generation is activated again."""
    former: str = ""
    """The generation to which a return leads: the current one, or the one before an activation that is continued."""
    cuda: str = ""
    """The CUDA directory whose cuDNN a return restores; empty if it restores none."""
    versions: Mapping[str, str] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    skip_checks: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    share: Share | None = None
    unpack: Unpack | None = None
    """From where the generation is unpacked; None if it is built."""
    has_built: bool = False
    """Whether the host has the whole generation, and has built it itself."""

    @property
    def builder(self) -> str:
        """The name under which the work in the stack root is done: another one, if the host shares it."""
        return self.share.builder if self.share else self.host

    @property
    def builds(self) -> tuple[str, ...]:
        """The components that will be built."""
        return tuple(step.component for step in self.steps if step.build)

    @property
    def stages(self) -> bool:
        """Whether anything has to be built in the stack root under this name."""
        return self.share is None and (bool(self.builds) or not self.sealed)

    @property
    def prepares(self) -> bool:
        """Whether OS packages or the account are missing on a machine for which another one builds."""
        return self.share is not None and bool(self.builds)

    @property
    def activates(self) -> bool:
        """Whether another generation becomes current, its cuDNN has to be swapped in again, or nobody confirmed it."""
        return self.share is None and (self.current != self.recipe.id or self.swaps or self.unconfirmed)

    @property
    def disturbs(self) -> bool:
        """Whether activation changes what programs may use now: the current generation, or a cuDNN."""
        return self.share is None and self.changes and bool(self.current or self.swaps)

    @property
    def changes(self) -> bool:
        """Whether anything has to be done at all."""
        return self.stages or self.activates or self.prepares

    def refused(self, *reasons: str) -> HostPlan:
        """The plan with further reasons not to start."""
        return replace(self, refusals=(*self.refusals, *reasons))

    def remarked(self, *remarks: str) -> HostPlan:
        """The plan with further remarks; empty ones are left out."""
        return replace(self, remark="\n".join(filter(None, (self.remark, *remarks))))

    def as_json(self) -> dict[str, Any]:
        """The plan as `--json` prints it."""
        return {
            "host": self.host,
            "platform": self.recipe.platform,
            "generation": "" if self.unclear else self.recipe.id,
            "current": self.current,
            "build": [{"component": s.component, "why": s.why} for s in self.steps if s.build],
            "unpack": self.unpack and self.unpack.as_json(),
            "keep": [s.component for s in self.steps if not s.build],
            "left_out": list(self.recipe.left_out),
            "activate": self.activates,
            "gpu": self.recipe.gpu and asdict(self.recipe.gpu),
            "swaps_cudnn": self.swaps,
            "built_by": self.share.builder if self.share else "",
            "same_as": self.share.same if self.share else "",
            "remark": self.remark,
            "untried": list(self.untried),
            "refusals": list(self.refusals),
        }


def plan(
    host: str,
    state: HostState,
    recipe: Recipe,
    *,
    orphaned: bool = False,
    refusals: tuple[str, ...] = (),
    remark: str = "",
    over: str = "",
    pushed: bool = True,
    share: Share | None = None,
    unpack: Unpack | None = None,
) -> HostPlan:
    """The plan for a host from its state and its recipe.

    `orphaned` means that the controller that builds there has ended: the processes that it left are then ended too.
    `refusals` and `remark` come from the choice of the recipe. `over` is the holder of its lease, if that has ended.
    `pushed` means that the controller sends the files, which pass through the directory for temporary files. With
    `share` another name builds: nothing is to be done here, or on another machine only what belongs to that machine.
    With `unpack` the generation is not built on the host: what only a build needs is no reason to refuse.
    """
    generation = state.stack.generation(recipe.id)
    missing = missing_packages(state, recipe, unpack)
    words = f"missing: {', '.join(missing)}" if missing else ""
    no_account = "" if state.account else "the account for runs does not exist yet"
    steps = [Step("packages", bool(missing), words), Step("account", bool(no_account), no_account)]
    for part in recipe.parts:
        stamp = generation.stamps.get(part.name)
        why = "" if stamp == part.digest else "its inputs changed" if stamp else "not built yet"
        steps.append(Step(part.name, bool(why), why))
    if share:
        done = f"done under the name {share.builder}"
        own = () if share.same else MACHINE
        steps = [step if step.component in own else replace(step, build=False, why=done) for step in steps]
    decided = HostPlan(
        host=host,
        recipe=recipe,
        current=state.stack.current or "",
        steps=tuple(steps),
        # Without its manifest, a generation stays usable for a rollback, but has to be sealed again.
        sealed=generation.sealed and generation.manifest,
        has_built=generation.sealed and generation.manifest and generation.lacks is None,
        refusals=refusals,
        take_over=bool(orphaned and share is None and any(not build.host for build in state.busy)),
        remark=remark,
        swaps=share is None and _swaps(state, recipe),
        cards="; ".join(filter(None, (state.gpu.evidence, remark.removeprefix(f"{host}: ")))),
        over=over,
        unconfirmed=state.activation.state == activations.UNCONFIRMED,
        local=frozenset(state.programs),
        skip_checks=tuple(state.inventory.skip_checks),
        versions={**tried.versions_of(state), **({"cuda": recipe.gpu.cuda} if recipe.gpu else {})},
        share=share,
        unpack=unpack,
    )
    former, cuda = _before(state, decided)
    decided = replace(decided, former=former, cuda=cuda).refused(*_refusals(host, state, decided, pushed))
    return decided.remarked(_package_users(host, state, steps), _activation(host, state, decided))


def _before(state: HostState, decided: HostPlan) -> tuple[str, str]:
    """(the generation, the CUDA directory) to which a return leads, also if the new generation is current already."""
    found = state.activation
    if found.state == activations.UNCONFIRMED and found.target == decided.recipe.id and not found.over:
        return found.former, found.cuda
    return decided.current, decided.recipe.gpu.toolkit if decided.swaps and decided.recipe.gpu else ""


def _activation(host: str, state: HostState, decided: HostPlan) -> str:
    """What is said of an activation that was not confirmed; empty if there is none, or if nothing is activated."""
    found = state.activation
    former = activations.generation(found.former)
    if found.state == activations.RETURNED and decided.activates:
        return f"{host}: {activations.describe(found.model_dump())}; log {found.log}"
    if found.state != activations.UNCONFIRMED:
        return ""
    begin = f"{host}: the activation of {activations.generation(found.target)} was not confirmed by its controller"
    if found.over or found.target != decided.recipe.id:
        late = ", and the host has not returned by itself" if found.over else ""
        return f"{begin}{late}: `provision site` returns it to {former} first"
    return f"{begin}: `provision site` activates it again; otherwise the host returns to {former} by itself"


def following(plans: Sequence[HostPlan], failed: Collection[str]) -> list[str]:
    """The names under which is verified what was built and activated under another name that has not failed."""
    changed = {plan.host for plan in plans if plan.changes}
    listed = [(plan.host, {plan.host, plan.builder}) for plan in plans if plan.share]
    return [host for host, both in listed if both & changed and not both & set(failed)]


def _cudnn(state: HostState, recipe: Recipe) -> Cudnn | None:
    """The cuDNN in the CUDA directory where the recipe swaps it; None if the recipe swaps nothing."""
    if recipe.gpu is None or not recipe.swaps:
        return None
    return {tree.path: tree.cudnn for tree in state.gpu.toolkits}[recipe.gpu.toolkit]


def _swaps(state: HostState, recipe: Recipe) -> bool:
    """Whether the CUDA directory contains another cuDNN than the recipe's branch."""
    cudnn = _cudnn(state, recipe)
    return bool(cudnn and recipe.gpu and not cudnns.is_in_place(cudnn.state, cudnn.library, recipe.gpu.cudnn))


def _foreign(host: str, state: HostState, recipe: Recipe) -> str:
    """Why its cuDNN is not swapped without --foreign; empty if it may be swapped."""
    cudnn = _cudnn(state, recipe)
    if cudnn is None or recipe.gpu is None or not cudnns.obstacle(cudnn.state, cudnn.library, recipe.gpu.cudnn):
        return ""
    found = f"header {cudnn.header or 'none'}, library {cudnn.library or 'none'}"
    return (
        f"{host}: the cuDNN in {recipe.gpu.toolkit} is newer than the mirror's, or a mix of versions ({found}). "
        "To replace it and keep a backup, run `provision cudnn swap --foreign`. To leave it as it is, set "
        "gpu_stack_cudnn_mode: private"
    )


def _refusals(host: str, state: HostState, decided: HostPlan, pushed: bool) -> tuple[str, ...]:
    if decided.share and decided.share.same:
        return ()  # they are given under the machine's first name
    refusals = [reason for reason in (_foreign(host, state, decided.recipe),) if reason]
    refusals += [f"{host}: {reason}" for reason in state.unsafe]
    machine = state.platform.machine
    if machine not in machines.SAME:
        refusals.append(
            f"{host}: its machine type is {machine}, but this version builds Torch only for {machines.BUILT_FOR}"
        )
    # Builds that a controller left on this machine are ended with `take_over`.
    builds = [build for build in state.busy if build.host or not decided.take_over]
    refusals += [f"{host}: {_of_build(build, state.controller)}" for build in builds]
    if decided.stages or decided.prepares:
        if decided.unpack:
            found = unpacks.obstacles(state, decided.recipe, decided.unpack, pushed)
        else:
            found = obstacles(state, decided.recipe, decided.builds, pushed, shares=decided.prepares)
        refusals += [f"{host}: {reason}" for reason in found]
        if "packages" in decided.builds and state.user.uid != 0:
            refusals.append(
                f"{host}: OS packages must be installed, but uid {state.user.uid} is not allowed to install packages: "
                "set ansible_become, or ask an administrator to install what is "
                + next(step.why for step in decided.steps if step.component == "packages")
            )
    return tuple(refusals)


def _of_build(build: Build, controller: str) -> str:
    who = controller or "another controller"
    if build.host:
        return (
            f"a build of {who} may still be running on {build.host}, which shares this directory (pid {build.pid}, log "
            f"{build.log}): wait until it ends, or end it on that host with `kill -9 -{build.pid}`. If that host no "
            f"longer runs, remove {build.log}.pid"
        )
    return (
        f"a build of {who} is already running there (pid {build.pid}, log {build.log}): wait until it ends, or end it "
        f"on that host with `kill -9 -{build.pid}`"
    )


def _package_users(host: str, state: HostState, steps: list[Step]) -> str:
    """What is said of programs that use the package manager now; empty if nothing has to be installed."""
    if not state.package_users or not any(step.build for step in steps if step.component == "packages"):
        return ""
    users = ", ".join(f"pid {user.pid} ({user.command})" for user in state.package_users)
    return f"{host}: the package manager is in use by {users}: `provision site` waits for its end, 10 minutes at most"
