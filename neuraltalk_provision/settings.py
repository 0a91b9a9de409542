"""A site's settings: `provision.yml`, beside its inventory."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from neuraltalk_provision import access_lists, durations, field_words, inventories, paths, rates, wave_rules, yaml_file
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.field_words import Strict
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.wave_rules import Size, WaveRule

FILE_NAME = paths.SETTINGS_FILE


def _stack_root(value: str) -> str:
    if re.search(r"\s", value):
        raise ValueError("contains a space, and Torch cannot be built in such a path: choose a path without spaces")
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError("must be an absolute path below / without '..', for example /opt/neuraltalk")
    if re.search(r"[^A-Za-z0-9_./+-]", value):
        raise ValueError("can contain only letters, digits and _ . / + -, because it is written into scripts")
    return str(path)


def _address(value: str) -> str:
    if re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError("contains a space, a line break or a control character")
    return value


def _path(value: object, info: ValidationInfo) -> object:
    """What the file says as a path, relative to the file's directory; what the command line says as it is."""
    return Path(info.context or "", paths.written(value)) if isinstance(value, str) else value


def _seconds(value: object) -> int:
    return durations.read(value, "it", LONGEST_WAIT)


def _return_after(value: int) -> int:
    if 0 < value < SHORTEST_RETURN:
        raise ValueError(
            f"must be 0 or at least {SHORTEST_RETURN} s: everything has to be loaded twice in this time, or the host "
            "returns each time"
        )
    return value


SHORTEST_RETURN = 60
"""Seconds."""
LONGEST_WAIT = 30 * 86_400
Seconds = Annotated[int, BeforeValidator(_seconds)]
Address = Annotated[str, AfterValidator(_address)]
SitePath = Annotated[Path, BeforeValidator(_path)]
StackRoot = Annotated[str, AfterValidator(_stack_root)]
LARGEST_CERTIFICATES = 1 << 18


def _mirror_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://([^/@?#]+@)?[^/@?#]+(/[^@?#]*)?", value):
        raise ValueError(
            "must be https:// or http://, the name of a server and a path; in a password, encode / @ % # and ?"
        )
    if value.startswith("http://") and "@" in value.split("/")[2]:
        raise ValueError("contains a user or password, which http:// would send unencrypted: use https://")
    return value


MirrorUrl = Annotated[Address, AfterValidator(_mirror_url)]
Signer = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s,\"*?!\x00-\x1f\x7f]+$")]


def _variable(name: str) -> str:
    if name.startswith(("ANSIBLE_", "PYTHON", "LD_")):
        raise ValueError(f"{name} would change what Ansible itself does: list only variables that your inventory reads")
    return name


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"), AfterValidator(_variable)]


Busy = Literal["wait", "skip", "refuse"]
"""What is done with hosts that are in use."""
OnFailure = Literal["stop", "rollback"]
"""What is done when a rollout must stop."""


class Pip(Strict):
    """The source of h5py, ipython and Pillow."""

    source: Literal["auto", "mirror", "index", "host", "none"] = "auto"
    index_url: Address = ""

    @property
    def public_index_url(self) -> str:
        """The URL of the index without user and password: a new token must not cause a rebuild of all hosts."""
        return re.sub(r"://[^/\s]*@", "://", self.index_url)


class Settings(Strict):
    """The settings of a site; inventory/example/provision.yml explains each of them."""

    mirror: SitePath = Path("mirror")
    mirror_trust: Literal["unsigned", "signed", "named"] = "unsigned"
    mirror_signers: tuple[Signer, ...] = Field(default=(), validate_default=True)
    allowed_signers: SitePath = Path("allowed_signers")
    inventory: Inventory = Path("inventory")
    inventory_environment: tuple[Variable, ...] = ()
    stack_root: StackRoot = "/opt/neuraltalk"
    profile: Literal["auto", "cpu", "legacy", "modern"] = "auto"
    cudnn_mode: Literal["swap", "private"] = "swap"
    keep_generations: int = Field(default=3, ge=2, strict=True)
    return_after: Annotated[Seconds, AfterValidator(_return_after)] = Field(default=900, le=86_400)
    build_jobs: int = Field(default=0, ge=0, strict=True)
    artifact_url: MirrorUrl = ""
    artifact_ca: Literal[""] | SitePath = ""
    distribution: Literal["auto", "relay"] = "auto"
    push_rate: Annotated[int, BeforeValidator(rates.read)] = 0
    push_wait: Seconds = Field(default=600, ge=60, le=86_400)
    forks: int = Field(default=50, ge=1, strict=True)
    cache: bool = Field(default=True, strict=True)
    builders: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    journal: SitePath = Path(".provision/journal.sqlite")
    waves: tuple[WaveRule, ...] = wave_rules.DEFAULT
    max_failures: Size = wave_rules.HALF
    on_failure: OnFailure = "stop"
    busy: Busy = "skip"
    busy_wait: Seconds = Field(default=86_400, ge=1)
    busy_poll: Seconds = Field(default=60, ge=5, le=3600)
    slurm: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")] = "auto"
    run_user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = "neuraltalk"
    pip: Pip = Pip()

    @field_validator("waves", mode="before")
    @classmethod
    def _waves(cls, given: Any) -> Any:
        return wave_rules.read(given)

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures(cls, given: Any) -> Any:
        return given if isinstance(given, Size) else wave_rules.read_size(given, "it")

    @field_validator("inventory", mode="before")
    @classmethod
    def _paths(cls, given: Any) -> Any:
        several = given if isinstance(given, list | tuple) else (given,)
        if not several or not all(isinstance(one, str | Path) for one in several):
            raise ValueError("must be the path of an inventory, or a list of paths")
        found = tuple(paths.written(one) if isinstance(one, str) else one for one in several)
        return found if len(found) > 1 else found[0]

    @field_validator("mirror_signers")
    @classmethod
    def _level_and_names(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        level = info.data.get("mirror_trust", "named" if names else "unsigned")
        if level == "named" and not names:
            raise ValueError(
                "mirror_trust: named needs the names of the signers that are accepted, for example [alice]"
            )
        if names and level != "named":
            raise ValueError(
                f"names have an effect only with mirror_trust: named, and it is {level}: change one of both"
            )
        return names


def load(file: Path | None, **overrides: Any) -> Settings:
    """The settings from `file`, otherwise from ./provision.yml, otherwise the defaults; all paths are absolute.

    Relative paths in the file are relative to its directory. Overrides that are neither None nor empty replace the
    file's values.
    Raises UsageError for a file that does not parse, an unknown name (with the nearest valid names) or a bad value.
    """
    with naming("the current directory", "used"):
        Path.cwd()
    with naming(file or FILE_NAME, "read"):
        return _load(file, overrides)


def _load(file: Path | None, overrides: Mapping[str, Any]) -> Settings:
    chosen = file or Path(FILE_NAME)
    if file is not None and not file.is_file():
        raise UsageError(f"{file}: there is no such settings file", advice="`provision init DIR` writes one.")
    _refuse_dangling(chosen)
    if chosen.is_file() and (reason := access_lists.open_to_all(chosen)):
        raise UsageError(f"{chosen} is not read, because {reason}", advice=access_lists.CLOSE)
    given = _read(chosen) if chosen.is_file() else {}
    base = chosen.resolve().parent
    given_options = {name: value for name, value in overrides.items() if value not in (None, (), [])}
    from_here = "inventory" in given_options
    given = {"mirror": base / "mirror", "allowed_signers": base / "allowed_signers", **given, **given_options}
    if "journal" not in given:
        given["journal"] = _journal(chosen if chosen.is_file() else base)
    if "inventory" not in given:
        _refuse_dangling(base / "inventory")
        given["inventory"] = base / "inventory" if (base / "inventory").exists() else paths.local_inventory()
    try:
        settings = Settings.model_validate(given, context=base)
    except ValidationError as error:
        raise UsageError(explain(error, str(chosen), given_options)) from None
    found = [inventories.located(one, Path() if from_here else base) for one in inventories.listed(settings.inventory)]
    return settings.model_copy(
        update={
            **{name: getattr(settings, name).absolute() for name in ("mirror", "allowed_signers")},
            "inventory": _inventory(found, settings.inventory_environment),
        }
    )


def _inventory(found: list[Path], variables: tuple[str, ...]) -> Inventory:
    if variables:
        return inventories.Reading(found, variables)
    return tuple(found) if len(found) > 1 else found[0]


def _refuse_dangling(path: Path) -> None:
    """UsageError for a link whose target is missing, or a provision.yml that is not a file.

    With the defaults in its place, the command would work on other hosts.
    """
    if path.is_symlink() and not path.exists():
        raise UsageError(
            f"{path} is a link to {path.readlink()}, which does not exist",
            advice="Mount or restore it, or remove the link. Nothing was done.",
        )
    if path.name == FILE_NAME and path.exists() and not path.is_file():
        raise UsageError(f"{path} is not an ordinary file", advice="`provision init DIR` writes a settings file.")


def _journal(site: Path) -> Path:
    try:
        return paths.journal_file(site)
    except RuntimeError:  # the user has no home directory
        return (site if site.is_dir() else site.parent) / ".provision" / "journal.sqlite"


def certificates(settings: Settings) -> str:
    """The certificates in the file artifact_ca, as text; empty if there is none. Raises UsageError."""
    file = settings.artifact_ca
    if not isinstance(file, Path):
        return ""
    with naming(file, "read"), file.open("rb") as opened:
        content = opened.read(LARGEST_CERTIFICATES + 1)
    found = re.findall(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", content)
    if not found or len(content) > LARGEST_CERTIFICATES:
        raise UsageError(
            f"{file} contains no certificate in the format PEM, or is larger than {LARGEST_CERTIFICATES:,} bytes",
            advice="artifact_ca in provision.yml must be the file of the CA that signed the web server's certificate.",
        )
    return "".join(block.decode("ascii") + "\n" for block in found)


def _read(file: Path) -> dict[str, Any]:
    given = yaml_file.read(file)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise UsageError(f"{file} must contain settings as `name: value` lines")
    return given


def explain(error: ValidationError, file: str, given_options: Collection[str] = ()) -> str:
    """A pydantic error as text: each problem with its place, unknown names with the nearest known ones.

    Values of the names in `given_options` came from the command line, all others from `file`.
    """
    lines = []
    for problem in field_words.problems(error):
        place = problem.name
        if problem.unknown:
            known = list(Settings.model_fields) + [f"pip.{name}" for name in Pip.model_fields]
            near = difflib.get_close_matches(place, known, n=2, cutoff=0.4)
            lines.append(f"{file}: {place} is not a setting; did you mean {' or '.join(near or known)}?")
        else:
            source = (
                f"--{place.replace('_', '-')}" if place in given_options else f"{file}: {place or 'the whole file'}"
            )
            lines.append(f"{source}: {problem.words}")
    return "\n".join(lines)
