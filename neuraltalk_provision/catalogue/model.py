"""The rows of the catalogue's data files, as frozen objects."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Row(BaseModel):
    """A row of a data file; frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Artifact(Row):
    """A file that the mirror can contain, and (`holds`) what must be inside it."""

    name: str
    role: str
    matches: tuple[str, ...]
    holds: tuple[str, ...] = ()
    optional: bool = False
    archive: bool = True
    flat: bool = False
    per_platform: bool = False

    def file_name(self, platform: str = "PLATFORM") -> str:
        """The name under which a file is recognised as this artifact, for a platform if it is made per platform."""
        return f"{self.name}-{platform}.tar" if self.per_platform else self.matches[0].replace("*", "")


class Tell(Row):
    """A mark that tells an artifact from its usual wrong neighbours.

    `file` is a pattern for the files of an archive that must have the mark; empty for an artifact that is no archive.
    `has` and `lacks` are texts, `starts` and `ends` the first and last bytes (without white space) as Latin-1.
    `otherwise` says what the file probably is without the mark, and what to bring.
    """

    file: str = ""
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    starts: str = ""
    ends: str = ""
    otherwise: str


class Check(Row):
    """What an artifact is, in words, and how its file is known.

    `largest` is the most bytes of the file, `holds` are further files that the archive must contain.
    """

    what: str = ""
    largest: int = 64 << 30
    holds: tuple[str, ...] = ()
    tells: tuple[Tell, ...] = ()
    format: Literal["", "protobuf"] = ""


class Submodule(Row):
    """A repository that belongs at `path` of another one."""

    path: str
    address: str
    commit: Commit


class GitSource(Row):
    """A commit of a git repository, with its submodules.

    `sha256` and `size` (bytes) are those of the archive that mirror/source_archive.py makes of it; empty and 0 if
    nobody could compute them yet. The submodules at the paths `left_out` are not needed.
    """

    kind: Literal["git"]
    address: str
    commit: Commit
    submodules: tuple[Submodule, ...] = ()
    left_out: tuple[str, ...] = ()
    sha256: Sha256 | Literal[""] = ""
    size: int = 0


class UrlSource(Row):
    """A file at an address; `size` in bytes, 0 if it is not known."""

    kind: Literal["url"]
    address: str
    sha256: Sha256
    size: int = Field(default=0, ge=0)


class ByHandSource(Row):
    """A file that a person has to bring: where it is, and why no command can fetch it."""

    kind: Literal["by_hand"]
    where: str
    why: str


class PackageSource(Row):
    """OS packages or Python wheels, which are collected from the repositories of a platform or from an index."""

    kind: Literal["os_packages", "python_wheels"]
    profiles: tuple[str, ...] = ()


class MadeSource(Row):
    """A file that a pull writes itself, for the artifact `of` that the mirror then has."""

    kind: Literal["made"]
    of: str


Source = Annotated[GitSource | UrlSource | ByHandSource | PackageSource | MadeSource, Field(discriminator="kind")]


class Wheel(Row):
    """A wheel of a package: its file's name, SHA-256 and size in bytes."""

    name: str
    version: str
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,190}\.whl$")]
    sha256: Sha256
    size: int = Field(gt=0)


class Licence(Row):
    """The licence of an artifact; data/licences.yaml explains the fields."""

    licence: str = ""
    named: str = ""
    file: str = ""
    why: str = ""
    inside: bool = False
    parts: dict[str, Licence] = {}


class Component(Row):
    """A part of the stack that is built, tried and stamped as one.

    With `profiles` it is built only on hosts with these GPU profiles. If such a host has a card, the component is
    loaded; otherwise all symbols of its `libraries` (paths in the generation) must be resolved. With `cudnn` it is
    built only on those of the hosts that get a cuDNN. `python3` is the artifact that replaces `artifact` if the mirror
    has it and the host has Python 3. `extras` are artifacts that are also used if the mirror has them.
    """

    name: str
    role: str
    artifact: str
    companions: tuple[str, ...] = ()
    python3: str = ""
    extras: tuple[str, ...] = ()
    rockspec: str = ""
    requires: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    tries: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    cudnn: bool = False

    @property
    def artifacts(self) -> tuple[str, ...]:
        """The names of all artifacts that it can use; an empty name if nothing replaces `artifact` for Python 3."""
        return (self.artifact, self.python3, *self.companions, *self.extras)


class Edit(Row):
    """A change of an upstream source: `pattern` must occur in `file` exactly `count` times."""

    file: str
    pattern: str
    replacement: str
    count: int
    reason: str


class Need(Row):
    """An OS package, with its names on each package manager.

    With `artifacts` it is installed only if the mirror has one of them. `runs` means that it is needed when the stack
    is used, not only when it is built.
    """

    need: str
    role: str
    apt: tuple[str, ...] | dict[str, tuple[str, ...]]
    rpm: tuple[str, ...] | dict[str, tuple[str, ...]]
    optional: bool = False
    runs: bool = False
    artifacts: tuple[str, ...] = ()

    def names(self, manager: str, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The package names for `apt` or `rpm`; the first of the platform's keys that is listed wins."""
        names: Any = self.apt if manager == "apt" else self.rpm
        if not isinstance(names, dict):
            return tuple(names)
        return tuple(next((names[key] for key in keys if key in names), names["default"]))

    def every_name(self) -> set[str]:
        """All names, for apt and rpm."""
        both: set[str] = set()
        for names in (self.apt, self.rpm):
            for group in names.values() if isinstance(names, dict) else (names,):
                both.update(group)
        return both


class CudaRow(Row):
    """What a CUDA release works with; ranges are (lowest, highest)."""

    driver: str
    gcc: str
    capability: tuple[str, str]
    glibc: str


class CudnnRow(Row):
    """What a cuDNN branch works with, and the branch of the cudnn rock for it."""

    rock: str
    cuda: tuple[str, str]
    capability: tuple[str, str]


class ProfileRow(Row):
    """A profile's toolkits, and the artifacts that cutorch and cunn are built from."""

    cuda: tuple[str, str]
    cutorch: str
    cunn: str


class Compatibility(Row):
    """The table of versions that work together."""

    cuda: dict[str, CudaRow]
    cudnn: dict[str, CudnnRow]
    profiles: dict[str, ProfileRow]


class Option(Row):
    """An option of train.lua or eval.lua: its type, the program's own default, its bounds, and its meaning."""

    type: Literal["file", "folder", "text", "whole", "number", "flag", "choice"]
    default: str | int | float
    what: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    never: dict[int, str] = {}
    why: str = ""

    def problem(self, value: float) -> str:
        """The reason why a number cannot be its value; empty if it can."""
        bound = next((f"{word} {end:g}" for word, end, beyond in self._ends(value) if beyond), "")
        if not bound:
            return self.never.get(int(value), "") if value in self.never else ""
        return f"the value must be {bound}" + (f": {self.why}" if self.why else "")

    def _ends(self, value: float) -> tuple[tuple[str, float, bool], ...]:
        return (
            ("at least", self.least or 0, self.least is not None and not value >= self.least),
            ("at most", self.most or 0, self.most is not None and not value <= self.most),
            ("above", self.above or 0, self.above is not None and not value > self.above),
            ("below", self.below or 0, self.below is not None and not value < self.below),
        )


class Catalogue(Row):
    """The whole catalogue.

    It contains artifacts, components in build order, edits by artifact, compatibility, OS packages, and for the name of
    an artifact its source, its check (how its file is known) and its licence.
    """

    artifacts: tuple[Artifact, ...]
    components: tuple[Component, ...]
    edits: dict[str, tuple[Edit, ...]]
    compatibility: Compatibility
    needs: tuple[Need, ...]
    sources: dict[str, Source] = {}
    checks: dict[str, Check] = {}
    licences: dict[str, Licence] = {}

    def artifact(self, name: str) -> Artifact:
        """The artifact with that name. Raises KeyError if there is none."""
        return {artifact.name: artifact for artifact in self.artifacts}[name]

    def package_names(self) -> list[str]:
        """All package names, for apt and rpm, sorted: stack_state returns which of them a host has installed."""
        return sorted(set().union(*(need.every_name() for need in self.needs)))
