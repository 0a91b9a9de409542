"""The state of a host, as the module stack_state returns it. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from neuraltalk_provision.results.base import LongWords as LongText
from neuraltalk_provision.results.base import Many, Result, Version, Whole
from neuraltalk_provision.results.base import Words as Text
from neuraltalk_provision.rules import activation as rules

_LONGEST = 4096
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")]


class HostPlatform(Result):
    """The system of the host, from os-release and its Python."""

    id: Text
    id_like: Annotated[Many[Text], Field(max_length=100)]
    version: Text
    codename: Text = ""
    base: Text = ""
    """Codenames: its own (Debian testing has no version, only this), and of the Ubuntu or Debian that it is made of."""
    name: Text
    machine: Text
    kernel: Text = ""
    libc: Text
    python: Text
    executable: Text = ""
    pip: bool = True
    """`executable` is the Python of the stack, `python` its version, and `pip` whether it has pip."""
    managers: Annotated[Many[Text], Field(max_length=100)]


class Generation(Result):
    """One generation on the host: {component: digest} of the built components, and whether it is sealed."""

    stamps: Annotated[dict[Text, Text], Field(max_length=1000)]
    sealed: bool
    manifest: bool = True
    """Whether it has a manifest of its files."""
    lacks: Annotated[Many[Text], Field(max_length=1000)] | None = None
    """The OS packages that it needs and the host lacks, if it was unpacked; None if it was built on the host."""


class Program(Result):
    """A program of builds that does not start, with its last words."""

    name: Text
    path: Text
    words: Text


class Stack(Result):
    """The generations; `current` and `previous` are ids, or None, and `since` is when the current one was activated."""

    current: Text | None
    previous: Text | None
    since: Whole | None = None
    generations: Annotated[dict[Text, Generation], Field(max_length=10_000)]

    @property
    def current_generation(self) -> Generation:
        """The current generation; an empty one if there is none."""
        return self.generation(self.current or "")

    def generation(self, name: str) -> Generation:
        """The generation with that id; an empty one if it does not exist."""
        return self.generations.get(name, Generation(stamps={}, sealed=False))


class Disk(Result):
    """The file system of the stack root; `free` in bytes."""

    path: Text
    free: Whole
    writable: bool
    files: Whole | None = None
    """How many files can still be created; None if there is no limit."""


class Directory(Result):
    """A directory outside the stack root; `free` in bytes, `files` as of the disk."""

    free: Whole
    files: Whole | None = None
    writable: bool = True
    executable: bool = True
    """Whether programs in it can be run: its file system is not mounted with noexec."""
    mount: Text = ""
    """The mount point of its file system."""


class Temporary(Result):
    """The directory in which Ansible creates its temporary directories; `problem` says why it cannot be used."""

    path: Text = ""
    free: Whole | None = None
    problem: Text = ""


class Build(Result):
    """A command that runs below the stack root. `host` is the machine, if it is another one that shares the disk.

    Whether such a command still runs can be determined only there.
    """

    log: Text
    pid: Whole
    host: Text = ""


class Lease(Result):
    """The holder of the host's lease; `since` in seconds since 1970."""

    holder: Text
    host: Text
    what: Text
    since: Whole


def _known_state(value: str) -> str:
    if value not in rules.STATES:
        raise ValueError(f"must be one of {', '.join(rules.STATES)}")
    return value


class Activation(Result):
    """The activation that was not confirmed, or from which the host has returned; `limit` in seconds."""

    state: Annotated[Text, AfterValidator(_known_state)]
    """One of rules/activation.py."""
    target: Text = ""
    former: Text = ""
    """Ids of generations; `former` is empty if there was none."""
    cuda: Text = ""
    """The CUDA directory whose cuDNN a return restores; empty if it restores none."""
    holder: Text = ""
    """The controller that activates."""
    limit: Whole = 0
    over: bool = False
    """Whether it cannot be confirmed any more, and the host has not returned yet."""
    cause: Text = ""
    when: Whole = 0
    """When the host returned, in seconds since 1970."""
    problem: LongText = ""
    log: Text = ""


class Identity(Result):
    """Digests by which hosts are compared: `machine` is that of all its names, `directories` that of the stack root.

    Two hosts with one of the directories in common share the stack root. `filesystem` says in words where it is.
    """

    machine: Digest = ""
    directories: Annotated[Many[Digest], Field(max_length=10)] = ()
    filesystem: Text = ""


class PackageUser(Result):
    """A process that holds the lock `file` of a package manager; its pid is 0 if it belongs to another container."""

    pid: Whole
    command: Text
    file: Text


class User(Result):
    """The user as whom the module ran."""

    uid: Whole


class Card(Result):
    """A card as nvidia-smi reports it; memory in MiB. Values that a driver does not report are None."""

    index: Whole | None
    uuid: Text
    name: Text
    memory: Whole | None = None
    used: Whole | None = None
    mode: Text | None = None
    utilization: Whole | None = None
    driver: Version | None = None
    capability: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None = None


class Cudnn(Result):
    """The cuDNN of a CUDA directory: `state` is absent, whole, mixed or unfinished; the next two are versions.

    `phase` is the phase of the last swap, and `changed` is when the library was written, in seconds since 1970.
    """

    state: Text
    header: Version | None
    library: Version | None
    phase: Text = ""
    changed: Whole | None = None


class Toolkit(Result):
    """A CUDA directory; `lacks` lists the missing parts that cutorch needs."""

    path: Text
    version: Version
    lacks: Annotated[Many[Text], Field(max_length=100)]
    apart: bool
    """Whether its headers and libraries lie in different directories."""
    cudnn: Cudnn
    problem: LongText = ""
    """Why another user could replace what is in it; empty if none could. Then its versions are not known."""


class GpuFacts(Result):
    """The cards, driver, toolkits and gcc of the host."""

    driver: Version
    cards: Annotated[Many[Card], Field(max_length=1000)]
    problem: LongText
    """The reason why it is unknown whether there is a card; empty if it is known."""
    evidence: LongText = ""
    toolkits: Annotated[Many[Toolkit], Field(max_length=1000)]
    gcc: Version
    """The one that nvcc uses: the inventory's, or else that of the host."""
    gcc_problem: LongText = ""
    """Why another user could replace the compiler that the inventory names; then it was not executed."""


def _as_text(value: Any) -> str:
    """The value of an inventory variable as text: YAML reads a version as a number."""
    return "" if value is None else str(value)[:_LONGEST]


def _as_names(value: Any) -> Any:
    """A list of names; a single name becomes a list with one item."""
    return [_as_text(name) for name in value] if isinstance(value, list | tuple) else [_as_text(value)] * bool(value)


Variable = Annotated[Text, BeforeValidator(_as_text)]


class HostVariables(Result):
    """What the inventory says of the host, which the module returns unchanged; empty if it is not set."""

    profile: Variable = ""
    arch_list: Variable = ""
    cuda: Variable = ""
    gcc: Variable = ""
    cudnn_mode: Variable = ""
    skip_checks: Annotated[Many[Text], BeforeValidator(_as_names), Field(max_length=100)] = ()
    groups: Annotated[Many[Text], BeforeValidator(_as_names), Field(max_length=1000)] = ()
    """The groups of the host, with those that contain its groups."""
    address: Variable = ""
    """The address and port by which it is reached."""


class HostState(Result):
    """The state of a host, from which the controller decides what to do."""

    platform: HostPlatform
    packages: Annotated[dict[Text, Text], Field(max_length=10_000)]
    programs: Annotated[dict[Text, Version], Field(max_length=100)] = Field(default_factory=dict)
    """{program or library: its version} in /usr/local, which builds use instead of the distribution's."""
    broken: Annotated[Many[Program], Field(max_length=100)] = ()
    """The programs that builds would use and that do not start."""
    gcc: Version = ""
    """The gcc that builds find; `gpu.gcc` is the inventory's, if it names one."""
    cc: Version = ""
    """The compiler of CMake."""
    limits: Annotated[dict[Text, Whole | None], Field(max_length=100)] = Field(default_factory=dict)
    """Limits of processes (ulimit), in bytes, seconds or as a number; None without a limit."""
    stack: Stack
    disk: Disk
    busy: Annotated[Many[Build], Field(max_length=10_000)]
    controller: Text
    account: bool = True
    lease: Lease | None = None
    activation: Activation = Activation(state=rules.NONE)
    identity: Identity = Identity()
    unsafe: Annotated[Many[Text], Field(max_length=10_000)] = ()
    outside: Annotated[dict[Text, Directory], Field(max_length=100)] = Field(default_factory=dict)
    """The directories outside the stack root in which compilers and package managers write."""
    obstacles: Annotated[Many[Text], Field(max_length=10_000)] = ()
    package_users: Annotated[Many[PackageUser], Field(max_length=1000)] = ()
    temporary: Temporary = Temporary()
    user: User
    gpu: GpuFacts
    inventory: HostVariables
    variables: Annotated[Many[Text], Field(max_length=10_000)]
    build_space: int


class StackStateResult(Result):
    """The result of the module stack_state."""

    state: HostState
