"""The results of the modules stack_verify and cudnn_swap. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from neuraltalk_provision.results.base import LongWords as LongText
from neuraltalk_provision.results.base import Many, Result, Version, Whole
from neuraltalk_provision.results.base import Words as Text
from neuraltalk_provision.rules.differences import KINDS, MOST_LISTED


class Check(Result):
    """One check of a host, with its evidence (`saw`)."""

    name: Text
    passed: bool
    saw: LongText


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)} expected")
    return kind


class ChangedFile(Result):
    """A file that differs from the manifest of its generation, with its owner and times (seconds since 1970).

    If it does not exist any more, they are those of the directory `of`, the nearest one above it that exists.
    """

    path: Text
    kind: Annotated[Text, AfterValidator(_known)]
    words: LongText
    of: Text = ""
    uid: Whole | None
    user: Text = ""
    mtime: Whole | None
    ctime: Whole | None


class Files(Result):
    """The files of a generation that differ from its manifest: how many, and the first ones.

    `compared` says whether they could be compared at all.
    """

    compared: bool = False
    differing: Whole = 0
    listed: Annotated[Many[ChangedFile], Field(max_length=MOST_LISTED)] = ()


class StackVerifyResult(Result):
    """The result of the module stack_verify, which fails if a check fails; `generation` is a directory."""

    checks: Annotated[Many[Check], Field(max_length=10_000)]
    generation: Text
    files: Files = Files()


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
