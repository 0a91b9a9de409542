"""What was recorded in a network without a way out, as the module isolated_network returns it. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import Many, Result, Text


class NetworkResult(Result):
    """The interpreter for modules in the network, the lines of the recorder, OS packages, and pip's directory."""

    interpreter: Text
    lines: Annotated[Many[Text], Field(max_length=1_000)]
    packages: Annotated[Many[Text], Field(max_length=20_000)]
    wheels: Annotated[Many[Text], Field(max_length=5_000)]
