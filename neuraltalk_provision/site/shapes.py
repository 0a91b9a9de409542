"""The shapes of hosts' answers: what each module says, with types and bounds. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from neuraltalk_provision.site.answers import Number, Shape, Text, Version, Words


class Platform(Shape):
    """`stack_state`'s platform."""

    id: Text
    id_like: list[Text] = Field(max_length=100)
    version: Text
    name: Text
    machine: Text
    libc: Text
    python: Text
    executable: Text
    managers: list[Text] = Field(max_length=100)


class Generation(Shape):
    """One generation that is on the host."""

    stamps: dict[Text, Text] = Field(max_length=1000)
    sealed: bool


class Stack(Shape):
    """The generations, and which of them is current."""

    current: Text | None
    previous: Text | None
    generations: dict[Text, Generation] = Field(max_length=10_000)


class Disk(Shape):
    """Where the stack lies or will lie; bytes."""

    path: Text
    free: Number
    writable: bool


class Build(Shape):
    """A command that runs below the stack root."""

    log: Text
    pid: Number


class Lease(Shape):
    """Who has the host's lease."""

    holder: Text
    host: Text
    what: Text
    since: Number


class User(Shape):
    """Who the module ran as."""

    uid: Number
    luarocks: bool


class Card(Shape):
    """A card as nvidia-smi tells it; MiB."""

    index: Number | None
    uuid: Text
    name: Text
    memory: Number | None
    used: Number | None
    mode: Text | None
    utilization: Number | None
    driver: Version | None
    capability: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None


class Cudnn(Shape):
    """A CUDA directory's cuDNN, as its header and its library say."""

    state: Text
    header: Version | None
    library: Version | None


class Toolkit(Shape):
    """A CUDA directory."""

    path: Text
    link: Text
    version: Version
    lacks: list[Text] = Field(max_length=100)
    apart: bool
    cudnn: Cudnn


class Gpu(Shape):
    """What the host has for the GPU half."""

    driver: Version
    cards: list[Card] = Field(max_length=1000)
    problem: Words
    evidence: Words = ""
    toolkits: list[Toolkit] = Field(max_length=1000)
    gcc: Version


class State(Shape):
    """`stack_state`'s answer."""

    platform: Platform
    packages: dict[Text, Text] = Field(max_length=10_000)
    stack: Stack
    disk: Disk
    busy: list[Build] = Field(max_length=10_000)
    controller: Text
    account: bool = True
    lease: Lease | None = None
    unsafe: list[Text] = Field(default=[], max_length=10_000)
    cores: Annotated[int, Field(ge=1, le=1_000_000)]
    user: User
    gpu: Gpu
    inventory: dict[str, Any]
    variables: list[Text] = Field(max_length=10_000)
    build_space: int


class StackState(Shape):
    """The result of the module `stack_state`."""

    state: State


class Check(Shape):
    """One check of `stack_verify`, with what it saw."""

    name: Text
    passed: bool
    saw: Words


class Verified(Shape):
    """The result of the module `stack_verify`, which fails where a check does."""

    checks: list[Check] = Field(max_length=10_000)
    generation: Text


class Tree(Shape):
    """The cuDNN of a CUDA directory."""

    root: Text
    state: Text
    header: Version | None
    library: Version | None
    problem: Words
    backup: list[Text] = Field(max_length=10_000)


class Process(Shape):
    """A process that has a library mapped."""

    pid: Number
    command: Text


class Swapped(Shape):
    """The result of the module `cudnn_swap`."""

    before: Tree
    cudnn: Tree
    did: list[Text] = Field(max_length=10_000)
    users: list[Process] = Field(max_length=100_000)
    changed: bool
