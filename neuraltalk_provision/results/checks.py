"""The results of the modules stack_verify and cudnn_swap. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import LongText, Many, Result, Text, Version, Whole


class Check(Result):
    """One check of a host, with its evidence (`saw`)."""

    name: Text
    passed: bool
    saw: LongText


class StackVerifyResult(Result):
    """The result of the module stack_verify, which fails if a check fails; `generation` is a directory."""

    checks: Annotated[Many[Check], Field(max_length=10_000)]
    generation: Text


class CudnnTree(Result):
    """The cuDNN of a CUDA directory: `state` is absent, whole, mixed or unfinished; `backup` lists the kept files."""

    root: Text
    state: Text
    header: Version | None
    library: Version | None
    problem: LongText
    files: Annotated[Many[Text], Field(max_length=10_000)] = ()
    phase: Text = ""
    backup: Annotated[Many[Text], Field(max_length=10_000)]


class LibraryUser(Result):
    """A process that has a cuDNN library mapped."""

    pid: Whole
    command: Text
    file: Text = ""


class CudnnSwapResult(Result):
    """The result of the module cudnn_swap."""

    before: CudnnTree
    cudnn: CudnnTree
    did: Annotated[Many[Text], Field(max_length=10_000)]
    users: Annotated[Many[LibraryUser], Field(max_length=100_000)]
    changed: bool
