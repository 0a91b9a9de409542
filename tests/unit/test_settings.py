"""A site's settings: where each value comes from, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from neuraltalk_provision import paths
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.errors import UsageError


def write(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "provision.yml").write_text(text, encoding="utf-8")
    return directory / "provision.yml"


def refusal(file: Path, **overrides: object) -> str:
    with pytest.raises(UsageError) as caught:
        settings_file.load(file, **overrides)
    return caught.value.message


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is not the site's."""
    place = tmp_path / "else where"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def test_without_a_file_everything_has_a_default(elsewhere: Path) -> None:
    chosen = settings_file.load(None)
    assert chosen.mirror == elsewhere / "mirror"
    assert chosen.inventory == paths.local_inventory()
    assert chosen.stack_root == "/opt/neuraltalk"


@pytest.mark.parametrize("name", ["provision.yml", "inventory"])
def test_link_to_nothing_is_not_taken_as_nothing(elsewhere: Path, name: str) -> None:
    """Otherwise the command would work on this machine if the inventory is not mounted."""
    (elsewhere / name).symlink_to(elsewhere / "not mounted" / name)
    with pytest.raises(UsageError, match=f"{name} is a link to .*not mounted.*, which does not exist"):
        settings_file.load(None)


def test_directory_in_place_of_the_settings_is_refused(elsewhere: Path) -> None:
    (elsewhere / "provision.yml").mkdir()
    with pytest.raises(UsageError, match=r"provision\.yml is not an ordinary file"):
        settings_file.load(None)


def test_file_in_the_working_directory_is_read_unasked(elsewhere: Path) -> None:
    write(elsewhere, "forks: 7\n")
    assert settings_file.load(None).forks == 7


def test_relative_paths_count_from_the_file(elsewhere: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "my 'site'", "mirror: ../m\ninventory: hosts.yml\n")
    chosen = settings_file.load(file)
    assert chosen.mirror == tmp_path / "my 'site'" / "../m"
    assert chosen.inventory == tmp_path / "my 'site'" / "hosts.yml"


def test_home_directory_is_what_a_shell_makes_of_it(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "mirror: ~/m\nallowed_signers: ~/keys\nartifact_ca: ~/ca.pem\njournal: ~/j\ninventory: [~/hosts, more]\n"
    chosen = settings_file.load(write(tmp_path / "site", text))
    home = tmp_path / "home"
    assert (chosen.mirror, chosen.allowed_signers, chosen.artifact_ca) == (home / "m", home / "keys", home / "ca.pem")
    assert (chosen.journal, chosen.inventory) == (home / "j", (home / "hosts", tmp_path / "site" / "more"))


@pytest.mark.parametrize("name", ["mirror", "allowed_signers", "journal", "inventory"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("''", "is empty: write a path, or leave it out"),
        ("' '", "is empty: write a path, or leave it out"),
        ("$HOME/m", "variables are not replaced here: write the path itself; ~/ is the home directory"),
        ("~ops/m", "only ~/ is replaced, by the home directory: write the path itself"),
    ],
)
def test_path_that_would_be_another_directory_than_meant_is_refused(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    assert f"provision.yml: {name}: {words}" in refusal(write(tmp_path, f"{name}: {value}\n"))


def test_default_mirror_and_inventory_lie_beside_the_file(elsewhere: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "site", "forks: 2\n")
    (tmp_path / "site" / "inventory").mkdir()
    chosen = settings_file.load(file)
    assert (chosen.mirror, chosen.inventory) == (tmp_path / "site" / "mirror", tmp_path / "site" / "inventory")


def test_names_of_signers_and_their_keys_are_read(elsewhere: Path, tmp_path: Path) -> None:
    chosen = settings_file.load(write(tmp_path / "site", "mirror_trust: named\nmirror_signers: [alice@site, bob]\n"))
    assert (chosen.mirror_trust, chosen.mirror_signers) == ("named", ("alice@site", "bob"))
    assert chosen.allowed_signers == tmp_path / "site" / "allowed_signers"
    chosen = settings_file.load(write(tmp_path / "site", "mirror_trust: signed\nallowed_signers: ../keys\n"))
    assert chosen.allowed_signers == tmp_path / "site" / "../keys"


def test_command_line_wins_and_counts_from_the_working_directory(elsewhere: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "site", "mirror: m\nstack_root: /opt/a\n")
    chosen = settings_file.load(file, mirror=Path("other"), stack_root="/opt/b", inventory=None)
    assert (chosen.mirror, chosen.stack_root) == (elsewhere / "other", "/opt/b")


def test_empty_file_is_all_defaults(elsewhere: Path) -> None:
    assert settings_file.load(write(elsewhere, "# nothing yet\n")).keep_generations == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stack_rot: /opt/x\n", "stack_rot is not a setting; did you mean stack_root"),
        ("pip: {sorce: index}\n", "pip.sorce is not a setting; did you mean pip.source"),
        ("zzzz: 1\n", "zzzz is not a setting; did you mean mirror or mirror_trust or"),
        ("stack_root: /opt/my stack\n", "stack_root: contains a space, and Torch cannot be built in such a path"),
        ("stack_root: opt/x\n", "stack_root: must be an absolute path"),
        ("stack_root: /\n", "stack_root: must be an absolute path"),
        ("stack_root: /opt/../etc\n", "stack_root: must be an absolute path"),
        ("stack_root: '/opt/a$b'\n", "stack_root: can contain only letters, digits"),
        ('stack_root: "/opt/a\'b"\n', "stack_root: can contain only letters, digits"),
        ("profile: gpu\n", "profile: must be 'auto', 'cpu', 'legacy' or 'modern'"),
        ("keep_generations: 1\n", "keep_generations: must be at least 2"),
        ("forks: many\n", "forks: must be a whole number"),
        ("forks: 0\n", "forks: must be at least 1"),
        ("forks: true\n", "forks: must be a whole number"),
        ("forks: 2.0\n", "forks: must be a whole number"),
        ("forks: '2'\n", "forks: must be a whole number"),
        ('artifact_url: "http://a/\\nb"\n', "artifact_url: contains a space, a line break"),
        ("artifact_url: mirror.example.org\n", "artifact_url: must be https:// or http://, the name of a server"),
        ("artifact_url: ftp://mirror.example.org\n", "artifact_url: must be https:// or http://"),
        ("artifact_url: https://u:a/b@mirror.example.org\n", "in a password, encode /"),
        ("artifact_url: 'https://u:a#b@mirror.example.org'\n", "in a password, encode /"),
        ("artifact_url: http://u:a@mirror.example.org\n", "artifact_url: contains a user or password, which http://"),
        ('pip: {index_url: "http://a/ b"}\n', "pip.index_url: contains a space, a line break"),
        ("pip: {source: pypi}\n", "pip.source: must be 'auto', 'mirror', 'index', 'host' or 'none'"),
        ("mirror: [a]\n", "mirror: "),
        ("mirror_trust: yes\n", "yes: YAML can read this in another way"),
        ("mirror_trust: all\n", "mirror_trust: must be 'unsigned', 'signed' or 'named'"),
        ("mirror_trust: named\n", "mirror_signers: mirror_trust: named needs the names of the signers"),
        (
            "mirror_signers: [alice]\n",
            "mirror_signers: names have an effect only with mirror_trust: named, and it is un",
        ),
        ("mirror_trust: signed\nmirror_signers: [alice]\n", "and it is signed: change one of both"),
        ("mirror_trust: named\nmirror_signers: ['*']\n", "mirror_signers.0: must match"),
        ("mirror_trust: named\nmirror_signers: ['a b']\n", "mirror_signers.0: must match"),
        (
            "mirror_trust: named\nmirror_signers: alice\n",
            "mirror_signers: must be a list such as [a, b]",
        ),
        ("1: 2\n", "provision.yml: "),
        ("forks: [\n", "does not parse"),
        ("- forks\n", "must contain settings as `name: value` lines"),
    ],
)
def test_bad_setting_is_refused_with_its_file_and_place(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "my 'site'", text)
    message = refusal(file)
    assert message.startswith(str(file))
    assert words in message


def test_every_bad_setting_is_named_at_once(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "stack_rot: /x\nforks: 0\n"))
    assert len(message.splitlines()) == 2


def test_bad_value_of_the_command_line_is_not_blamed_on_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, "stack_root: /opt/good\n")
    assert refusal(file, stack_root="/opt/my stack").startswith("--stack-root: contains a space")


def test_missing_settings_file_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such settings file") as caught:
        settings_file.load(tmp_path / "none.yml")
    assert "provision init" in caught.value.advice


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "")
    file.write_bytes(b"\xff\xfe\x00")
    assert "does not parse" in refusal(file)


def test_example_says_what_the_defaults_are(tmp_path: Path) -> None:
    """Every setting stands in the example, with the value that it has without it (but for the inventory)."""
    example = paths.example_inventory() / "provision.yml"
    given = yaml.safe_load(example.read_text(encoding="utf-8"))
    assert list(given) == [name for name in settings_file.Settings.model_fields if name in given]
    assert set(given) == set(settings_file.Settings.model_fields)
    assert set(given["pip"]) == set(settings_file.Pip.model_fields)
    shown = settings_file.Settings.model_validate(given)
    assert shown.model_copy(update={"inventory": None}) == settings_file.Settings().model_copy(
        update={"inventory": None}
    )


def test_every_setting_of_the_example_has_a_line_that_says_what_it_is_for() -> None:
    lines = (paths.example_inventory() / "provision.yml").read_text(encoding="utf-8").splitlines()
    for name in settings_file.Settings.model_fields:
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{name}:"))
        assert lines[place - 1].startswith("# "), name


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBiTCCAS+g\n-----END CERTIFICATE-----\n"


def test_certificates_of_artifact_ca_are_read_beside_the_file_and_nothing_else_of_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(f"my CA\n{CERTIFICATE}-----BEGIN PRIVATE KEY-----\n{CERTIFICATE}")
    (tmp_path / "provision.yml").write_text("artifact_url: https://mirror.example.org/m\nartifact_ca: ca.pem\n")
    settings = settings_file.load(tmp_path / "provision.yml")
    assert settings.artifact_ca == tmp_path / "ca.pem"
    assert settings_file.certificates(settings) == 2 * CERTIFICATE
    assert settings_file.certificates(settings_file.Settings()) == ""


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff" * 10, CERTIFICATE.encode() * 9_000, None])
def test_artifact_ca_without_a_certificate_is_refused_with_its_path(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    settings = settings_file.Settings(artifact_ca=tmp_path / "ca.pem")
    with pytest.raises(UsageError, match=r"ca\.pem"):
        settings_file.certificates(settings)
