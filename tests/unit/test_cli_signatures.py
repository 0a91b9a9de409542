"""The command line and the signed lock: `mirror sign`, and which commands refuse what."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import neuraltalk_provision
from neuraltalk_provision import catalogue
from neuraltalk_provision.cli import main
from neuraltalk_provision.mirror import store, trust
from neuraltalk_provision.site import host_state, playbook
from neuraltalk_provision.site.events import PlayResults
from neuraltalk_provision.site.host_state import HostStates
from tests.unit import archives, signed
from tests.unit.catalogue import SMALL
from tests.unit.plans import HOSTS, state_of
from tests.unit.signed import public

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site where we are, whose mirror has torch, nn and the weights; it demands a signature. One host is bare."""
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    place = tmp_path / "the operator's site"
    (tmp_path / "w.bin").write_bytes(b"weights")
    archives.pack(tmp_path / "torch.tgz", archives.TORCH)
    archives.pack(tmp_path / "nn.tgz", archives.NN)
    for name in ("torch.tgz", "nn.tgz", "w.bin"):
        store.add(place / "mirror", tmp_path / name, SMALL)
    monkeypatch.chdir(place)
    (place / "provision.yml").write_text("mirror_trust: named\nmirror_signers: [alice]\n")
    monkeypatch.setattr(host_state, "read", lambda *given: HostStates({"node1": state_of("bare")}))
    monkeypatch.setattr(host_state, "read_each", lambda *given: HostStates({"node1": state_of("bare")}))
    state = {"state": {**HOSTS["bare"]["state"]}}
    packages = {"lacks": [], "absent": [], "problem": ""}
    results = PlayResults((("node1", "stack_state", state), ("node1", "os_packages_info", packages)))
    monkeypatch.setattr(playbook, "run", lambda *given: playbook.Outcome(0, results))
    return place


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Alice's key, which allowed_signers of the site does not list yet."""
    return signed.new_key(tmp_path / "keys", "alice")


def allow(site: Path, line: str) -> None:
    (site / "allowed_signers").write_text(line + "\n")


def provision(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


USING = ["site --plan", "site", "site --check", "verify", "variables"]


@pytest.mark.parametrize("verb", USING)
def test_command_that_uses_the_mirror_refuses_an_unsigned_lock(
    capsys: Capture, site: Path, key: Path, verb: str
) -> None:
    allow(site, f"alice {public(key)}")
    code, out, err = provision(capsys, *verb.split())
    assert (code, out) == (2, "")
    assert "is not signed as provision.yml demands (mirror_trust: named): it needs a valid signature by alice" in err
    assert "provision mirror sign" in err
    code, out, _ = provision(capsys, *verb.split(), "--json")
    assert (code, json.loads(out)["kind"]) == (2, "MirrorError")


@pytest.mark.parametrize("verb", [*USING, "drift", "cache verify", "cudnn swap"])
@pytest.mark.parametrize(("more", "words"), [("", "is not signed as"), (" --mirror gone", "no such mirror directory")])
def test_mirror_that_cannot_be_used_is_an_error_before_hosts_are_asked(
    capsys: Capture, site: Path, monkeypatch: pytest.MonkeyPatch, verb: str, more: str, words: str
) -> None:
    """On a large fleet it was told only after some minutes, although it has nothing to do with the hosts."""
    for name in ("read", "read_each"):
        monkeypatch.setattr(host_state, name, lambda *_: pytest.fail("hosts were asked"))
    code, _, err = provision(capsys, *f"{verb}{more}".split())
    assert (code, words in err) == (2, True), err


@pytest.mark.parametrize("verb", ["site --plan", "variables"])
def test_signed_lock_is_used(capsys: Capture, site: Path, key: Path, verb: str) -> None:
    allow(site, f"alice {public(key)}")
    assert provision(capsys, "mirror", "sign", "--key", key)[0] == 0
    code, _, err = provision(capsys, *verb.split())
    assert (code, err) == (0, "")


def test_signing_is_planned_done_listed_and_verified(capsys: Capture, site: Path, key: Path) -> None:
    code, out, _ = provision(capsys, "mirror", "sign", "--key", key, "--plan")
    assert code == 0
    assert "would sign the lock of 3 artifacts" in out
    assert not (site / "mirror" / "mirror.lock.sig.d").exists()
    code, out, err = provision(capsys, "mirror", "sign", "--key", key)
    assert code == 0
    assert "signed with the key SHA256:" in out
    assert "touch the token" in err
    line = out.splitlines()[-1]
    assert line.startswith('NAME namespaces="mirror-lock@neuraltalk-provision" ssh-ed25519 ')
    assert provision(capsys, "mirror", "verify")[0] == 1
    allow(site, line.replace("NAME", "alice"))
    code, out, _ = provision(capsys, "mirror", "sign", "--key", key, "--json")
    assert (code, json.loads(out)["signed"], json.loads(out)["key"][:7]) == (0, True, "SHA256:")
    code, out, _ = provision(capsys, "mirror", "verify")
    assert code == 0
    assert "by alice, SHA256:" in out
    assert "valid without an end" in out
    assert "the lock is signed as provision.yml demands (mirror_trust: named)" in out
    assert out.splitlines()[-1].endswith("0 problems")
    code, out, _ = provision(capsys, "mirror", "list", "--json")
    (found,) = json.loads(out)["trust"]["signatures"]
    assert (code, found["state"], found["names"]) == (0, "valid", ["alice"])


def test_list_and_verify_show_why_a_lock_is_refused(capsys: Capture, site: Path, key: Path) -> None:
    allow(site, f'alice valid-before="20200101" {public(key)}')
    provision(capsys, "mirror", "sign", "--key", key)
    code, out, _ = provision(capsys, "mirror", "list")
    assert code == 0
    assert "by alice, SHA256:" in out
    assert "expired on 2020-01-01" in out
    assert "refused: " in out
    assert "next: " in out
    code, out, _ = provision(capsys, "mirror", "verify", "--json")
    assert code == 1
    assert (json.loads(out)["findings"], json.loads(out)["trust"]["level"]) == ([], "named")
    assert "needs a valid signature by alice" in json.loads(out)["trust"]["refusal"]


def test_adding_an_artifact_says_that_the_signature_no_longer_fits(
    capsys: Capture, site: Path, key: Path, tmp_path: Path
) -> None:
    allow(site, f"alice {public(key)}")
    archives.pack(tmp_path / "scorer-1.tgz", {"s/a": "a"})
    _, out, _ = provision(capsys, "mirror", "add", tmp_path / "scorer-1.tgz")
    assert "nobody has signed the lock: when the mirror is complete, sign it with `provision mirror sign`" in out
    provision(capsys, "mirror", "sign", "--key", key)
    archives.pack(tmp_path / "scorer-1.tgz", {"s/b": "b"})
    code, out, _ = provision(capsys, "mirror", "add", tmp_path / "scorer-1.tgz")
    assert code == 0
    assert "the signatures by alice are for the lock as it was before: when the mirror is complete, sign it" in out


@pytest.mark.parametrize("verb", ["add", "list", "verify"])
def test_unsigned_site_without_signatures_is_not_bothered(
    capsys: Capture, site: Path, tmp_path: Path, verb: str
) -> None:
    (site / "provision.yml").write_text("mirror_trust: unsigned\n")
    code, out, err = provision(capsys, "mirror", verb, *[tmp_path / "nn.tgz"] * (verb == "add"))
    assert code == 0
    assert "mirror sign" not in out + err
    assert ("signatures: none" in out) == (verb != "add")


def test_unsigned_site_shows_signatures_and_demands_none(capsys: Capture, site: Path, key: Path) -> None:
    (site / "provision.yml").write_text("mirror_trust: unsigned\n")
    provision(capsys, "mirror", "sign", "--key", key)
    code, out, _ = provision(capsys, "mirror", "verify")
    assert code == 0
    assert "by an unknown key, SHA256:" in out
    assert "allowed_signers: there is no such file" in out
    assert "refused" not in out


def test_lock_of_a_mirror_on_the_command_line_is_demanded_to_be_signed_too(
    capsys: Capture, site: Path, tmp_path: Path
) -> None:
    (site / "mirror").rename(tmp_path / "other")
    code, _, err = provision(capsys, "site", "--plan", "--mirror", tmp_path / "other")
    assert (code, f"{tmp_path / 'other' / 'mirror.lock'} is not signed" in err) == (2, True)


def calls(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


READERS = {
    "lock.read",
    "lock.load",
    "lock.parse",
    "trust.check",
    "trust.examine",
    "trust.open_lock",
    "trust.open_with_digest",
}


def test_no_command_reads_the_lock_but_by_the_function_that_checks_its_signature() -> None:
    """`examine` only shows: what it returns is not refused. Everything else has to call trust.open_lock."""
    package = Path(neuraltalk_provision.__file__).parent
    readers: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        for name in calls(file) & READERS:
            readers.setdefault(name, set()).add(str(file.relative_to(package)))
    assert readers["trust.open_lock"] == {"site/converge.py"}
    assert readers["trust.open_with_digest"] == {
        "fleet/command.py",
        "image/make.py",
        "proof/prove.py",
        "site/packing.py",
    }
    assert readers["trust.examine"] == {"cli/mirror.py", "cli/signatures.py"}
    # They change the lock, show it or pack it. Nothing that they read reaches a host or a mirror.
    assert readers["lock.read"] == {
        "cli/mirror_carry.py",
        *(f"mirror/{name}.py" for name in ("bundle_plan", "pull", "removal", "state", "store", "unbundle")),
    }
    assert readers["trust.check"] == {"mirror/unbundle.py"}
    # A proof hashes the lock once more at its end; the lock itself it gets from trust.open_with_digest.
    assert readers["lock.load"] == {"mirror/trust.py", "mirror/signing.py", "proof/prove.py"}
    assert readers["lock.parse"] == {"mirror/trust.py", "mirror/signing.py", "mirror/part_file.py"}
    assert trust.examine.__doc__
    assert "Only to show it" in trust.examine.__doc__
