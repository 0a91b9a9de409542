"""What a host's package manager says of the mirror's packages, as the module os_packages_info returns it. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import LongText, Many, Result, Text


class PackageVersion(Result):
    """A package that would be installed, with its version as the package manager writes it."""

    package: Text
    version: Text


class PackagesInfoResult(Result):
    """The required and the optional packages that the repository lacks, and why the others cannot be installed."""

    lacks: Annotated[Many[Text], Field(max_length=10_000)]
    absent: Annotated[Many[Text], Field(max_length=10_000)]
    problem: LongText
    broken: LongText = ""
    """Why dpkg of the host would install no package at all; empty if it would."""
    signatures: bool = False
    """Whether rpm of the host refuses packages without a signature of a key that it knows."""
    versions: Annotated[Many[PackageVersion], Field(max_length=10_000)] = ()
    """Those of the required packages that would be installed."""
