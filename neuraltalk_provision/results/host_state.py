"""The state of a host, as the module stack_state returns it. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from neuraltalk_provision.results.base import Many, Result, Text, Version, Whole, Words

_LONGEST = 4096


class HostPlatform(Result):
    """What os-release and the host's Python say of the system."""

    id: Text
    id_like: Annotated[Many[Text], Field(max_length=100)]
    version: Text
    name: Text
    machine: Text
    libc: Text
    python: Text
    managers: Annotated[Many[Text], Field(max_length=100)]


class Generation(Result):
    """One generation on the host: {component: digest} of what was built, and whether it is whole."""

    stamps: Annotated[dict[Text, Text], Field(max_length=1000)]
    sealed: bool
    manifest: bool = True
    """Whether its files were listed when it was sealed."""


class Stack(Result):
    """The generations, and which of them is current."""

    current: Text | None
    previous: Text | None
    generations: Annotated[dict[Text, Generation], Field(max_length=10_000)]

    def generation(self, name: str) -> Generation:
        """The generation of that id; one in which nothing was built where there is none."""
        return self.generations.get(name, Generation(stamps={}, sealed=False))


class Disk(Result):
    """Where the stack lies or will lie; bytes."""

    path: Text
    free: Whole
    writable: bool


class Build(Result):
    """A command that runs below the stack root."""

    log: Text
    pid: Whole


class Lease(Result):
    """Who has the host's lease; `since` in seconds since 1970."""

    holder: Text
    host: Text
    what: Text
    since: Whole


class User(Result):
    """Who the module ran as."""

    uid: Whole


class Card(Result):
    """A card as nvidia-smi reports it; memory in MiB. What a driver does not tell is None."""

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
    """A CUDA directory's cuDNN: `state` is absent, whole, mixed or unfinished; the versions of header and library."""

    state: Text
    header: Version | None
    library: Version | None


class Toolkit(Result):
    """A CUDA directory; `lacks` are the parts that cutorch needs and that are not there."""

    path: Text
    version: Version
    lacks: Annotated[Many[Text], Field(max_length=100)]
    apart: bool
    """Whether its headers and libraries lie in different directories."""
    cudnn: Cudnn


class GpuFacts(Result):
    """What the host has for the GPU half."""

    driver: Version
    cards: Annotated[Many[Card], Field(max_length=1000)]
    problem: Words
    """Why it cannot be told whether there is a card; empty where it can."""
    evidence: Words = ""
    toolkits: Annotated[Many[Toolkit], Field(max_length=1000)]
    gcc: Version


def _as_text(value: Any) -> str:
    """What an inventory says, as text: YAML makes a number of a version."""
    return "" if value is None else str(value)[:_LONGEST]


def _as_names(value: Any) -> Any:
    """A list of names; one name alone is a list of one."""
    return [_as_text(name) for name in value] if isinstance(value, list | tuple) else [_as_text(value)] * bool(value)


Variable = Annotated[Text, BeforeValidator(_as_text)]


class HostVariables(Result):
    """What the inventory says of the host's GPU half, which the host hands back; empty where it says nothing."""

    profile: Variable = ""
    arch_list: Variable = ""
    cuda: Variable = ""
    gcc: Variable = ""
    cudnn_mode: Variable = ""
    skip_checks: Annotated[Many[Text], BeforeValidator(_as_names), Field(max_length=100)] = ()


class HostState(Result):
    """All that a host is asked before anything is decided."""

    platform: HostPlatform
    packages: Annotated[dict[Text, Text], Field(max_length=10_000)]
    stack: Stack
    disk: Disk
    busy: Annotated[Many[Build], Field(max_length=10_000)]
    controller: Text
    account: bool = True
    lease: Lease | None = None
    unsafe: Annotated[Many[Text], Field(max_length=10_000)] = ()
    user: User
    gpu: GpuFacts
    inventory: HostVariables
    variables: Annotated[Many[Text], Field(max_length=10_000)]
    build_space: int


class StackStateResult(Result):
    """The result of the module stack_state."""

    state: HostState
