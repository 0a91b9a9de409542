"""What hosts return about a file that is pushed to them. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from neuraltalk_provision.results.base import Finite, Many, Result, Text, Whole
from neuraltalk_provision.results.cache import Sha256
from neuraltalk_provision.results.host_state import Identity

MOST_HOSTS = 10**6
Number = Annotated[int, Field(ge=0, lt=MOST_HOSTS)]
"""The place of a host in the chain; 0 is the controller."""
Why = Literal["refused", "unreachable", "silent", "closed", "stalled", "wrong", "changed", "slow"]


class Place(Result):
    """Whether a host has the file (present, absent, or other: another one of its name), and `have` bytes of it.

    `reaches` says whether it reaches the controller at `controller`; `address` and `rack` are those of the inventory.
    `connection` is the name of the socket of the connection to it, in site.masters.directory(). `identity` says which
    machine and directory it is: hosts that have the directory in common have the file in common.
    """

    state: Literal["present", "absent", "other"]
    have: Whole
    reaches: bool
    controller: Text
    address: Text
    rack: Text
    connection: Text
    identity: Identity = Identity()


class PushedFileInfoResult(Result):
    """The result of the module pushed_file_info."""

    place: Place


class Sent(Result):
    """How many bytes a host got from another one."""

    number: Number
    bytes: Whole


class Left(Result):
    """Whom a host has given up, and why."""

    number: Number
    why: Why


class Received(Result):
    """How a host got the file: bytes received now and kept from before, seconds, from whom, and who was given up."""

    sha256: Sha256
    received: Whole
    kept: Whole
    seconds: Annotated[Finite, Field(ge=0)]
    sources: Annotated[Many[Sent], Field(max_length=1000)]
    left: Annotated[Many[Left], Field(max_length=1000)]
    served: Whole


class PushedFileResult(Result):
    """The result of the module pushed_file."""

    file: Received
