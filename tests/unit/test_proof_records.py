"""The record of a proof: what it is worth, where it is shown, and that bundles carry it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.cli import main
from neuraltalk_provision.mirror import bundle, bundle_plan, lock, parts, proofs, trust, unbundle
from neuraltalk_provision.mirror.proofs import Attempt
from neuraltalk_provision.proof import judge
from neuraltalk_provision.proof.judge import Findings
from neuraltalk_provision.proof.recorded import Seen
from neuraltalk_provision.settings import Settings
from tests.unit import carrying, proving

PLANTED = (Attempt(kind="tcp", to="192.0.2.1", port=9),)
FILE = f"{lock.PROOFS}/{proving.PLATFORM}.json"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return carrying.make(tmp_path / "mirror", {"torch": 90_000, "nn": 10})


def read(mirror: Path) -> tuple[proofs.Found, ...]:
    return proofs.read(mirror, hashlib.sha256(lock.load(mirror)).hexdigest())


def only(mirror: Path) -> proofs.Found:
    (found,) = read(mirror)
    return found


def judged(found: Findings) -> proofs.Proof:
    return judge.record(
        found, platform="debian-12-x86_64", lock="0" * 64, made="2026-11-26T14:05:06Z", seconds=1.23, provision="1"
    )


def test_proof_of_this_lock_is_valid(mirror: Path) -> None:
    proofs.write(mirror, proving.proof(mirror))
    found = only(mirror)
    assert found.valid
    assert str(found) == (
        "proof of debian-12-x86_64: passed on 2026-11-26 14:05 UTC, container of debian:12 (sha256:ab)"
    )


def test_changed_lock_makes_a_proof_void(mirror: Path) -> None:
    proofs.write(mirror, proving.proof(mirror))
    lock.write(mirror, lock.read(mirror).with_entry(carrying.entry("image", b"new")))
    found = only(mirror)
    assert not found.valid
    assert found.words == "void: made on 2026-11-26 14:05 UTC for another lock; prove this mirror again"


def test_failed_proof_is_not_valid_and_says_why(mirror: Path) -> None:
    proofs.write(mirror, proving.proof(mirror, passed=False, problems=("nn is missing",)))
    assert not only(mirror).valid
    assert "failed on 2026-11-26 14:05 UTC: nn is missing" in only(mirror).words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "does not parse"),
        (b"", "does not parse"),
        (b"[]", "does not parse"),
        (b'{"passed": true}', "does not parse: platform"),
        (b"\xff\xfe", "does not parse"),
        (b" " * (proofs.LARGEST + 1), "cannot be read: it is larger than"),
    ],
)
def test_record_that_was_damaged_proves_nothing(mirror: Path, content: bytes, words: str) -> None:
    (mirror / lock.PROOFS).mkdir()
    (mirror / FILE).write_bytes(content)
    assert not only(mirror).valid
    assert words in only(mirror).words


def test_record_of_another_platform_or_of_no_file_proves_nothing(mirror: Path) -> None:
    file = proofs.write(mirror, proving.proof(mirror))
    file.rename(file.with_name("rocky-9-x86_64.json"))
    assert only(mirror).words == "its record is for debian-12-x86_64: the file was renamed"
    (mirror / lock.PROOFS / "rocky-9-x86_64.json").unlink()
    os.mkfifo(mirror / lock.PROOFS / "pipe.json")
    assert "cannot be read" in only(mirror).words


def test_number_of_records_is_limited(mirror: Path) -> None:
    (mirror / lock.PROOFS).mkdir()
    for number in range(proofs.MOST + 5):
        (mirror / lock.PROOFS / f"debian-{number}-x86_64.json").write_text("{}")
    found = read(mirror)
    assert len(found) == proofs.MOST + 1
    assert "more than 30 records" in found[-1].words


def test_what_a_kill_left_is_replaced(mirror: Path) -> None:
    (mirror / lock.PROOFS).mkdir()
    (mirror / lock.PROOFS / f".{proving.PLATFORM}.json.new").write_text("half")
    proofs.write(mirror, proving.proof(mirror))
    assert only(mirror).valid
    assert [path.name for path in (mirror / lock.PROOFS).iterdir()] == [f"{proving.PLATFORM}.json"]


@pytest.mark.parametrize("verb", ["list", "verify"])
def test_list_and_verify_show_it(mirror: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    main.boundary(["mirror", verb, "-m", str(mirror)])
    said = capsys.readouterr().out
    assert f"proofs: none; `provision mirror prove --mirror {mirror}` makes one for each platform" in said
    proofs.write(mirror, proving.proof(mirror))
    main.boundary(["mirror", verb, "-m", str(mirror)])
    assert "proof of debian-12-x86_64: passed on 2026-11-26" in capsys.readouterr().out
    main.boundary(["mirror", verb, "-m", str(mirror), "--json"])
    (found,) = json.loads(capsys.readouterr().out)["proofs"]
    assert (found["platform"], found["valid"]) == ("debian-12-x86_64", True)


def test_record_is_no_surplus_and_no_unlisted_file(mirror: Path) -> None:
    proofs.write(mirror, proving.proof(mirror))
    assert lock.unlisted(mirror, lock.read(mirror)) == []
    assert lock.is_reserved(lock.PROOFS)


def test_bundle_carries_it(mirror: Path, tmp_path: Path) -> None:
    proofs.write(mirror, proving.proof(mirror))
    carrying.pack(mirror, tmp_path / "parts")
    unbundle.unbundle(tmp_path / "other", [tmp_path / "parts"], carrying.quiet, Settings())
    assert only(tmp_path / "other").valid
    assert (tmp_path / "other" / FILE).read_bytes() == (mirror / FILE).read_bytes()


def test_largest_record_fits_into_a_bundle(mirror: Path, tmp_path: Path) -> None:
    record = proving.proof(mirror)
    packages = {f"package-with-a-long-name-{number}": "1:12.2.0-14+deb12u1" for number in range(3_000)}
    proofs.write(mirror, record.model_copy(update={"installed": proofs.Installed(packages=packages)}))
    assert (mirror / FILE).stat().st_size < parts.LARGEST_SIGNATURE
    assert only(mirror).valid
    bundle.write(bundle_plan.prepare(mirror, 10**6), tmp_path / "parts", carrying.quiet, catalogues.load())


def test_record_is_no_signature(mirror: Path, tmp_path: Path) -> None:
    """Where signatures are demanded, the record in a bundle is not taken for one that is damaged."""
    demand = Settings(mirror=mirror, mirror_trust="signed", allowed_signers=tmp_path / "allowed")
    with pytest.raises(Exception) as caught:
        trust.check(demand, lock.load(mirror), {FILE: b"{}"})
    assert "damaged" not in str(caught.value)


def test_proof_passes_only_if_everything_was_installed_and_the_recorder_saw_nothing() -> None:
    seen = Seen(planted=PLANTED, watched="the container")
    assert judged(Findings(complete=True, seen=seen)).passed
    assert not judged(Findings(complete=False, seen=seen)).passed
    assert not judged(Findings(complete=True, seen=None)).passed
    assert not judged(Findings(complete=True, seen=seen, problems=["x"])).passed


def test_attempt_makes_it_fail_by_address_and_port() -> None:
    tried = (Attempt(kind="tcp", to="198.51.100.7", port=443, at=1), Attempt(kind="name", to="x.invalid", port=53))
    proof = judged(Findings(complete=True, seen=Seen(attempts=tried, planted=PLANTED)))
    assert not proof.passed
    assert proof.problems == (
        "the host attempted tcp to 198.51.100.7 port 443, but it must need nothing outside the mirror",
        "the host attempted a look-up of the name x.invalid, but it must need nothing outside the mirror",
    )


def test_recorder_in_doubt_makes_it_fail() -> None:
    proof = judged(Findings(complete=True, seen=Seen(doubt="the recorder lost 3 packets")))
    assert not proof.passed
    assert proof.problems == ("whether something was attempted cannot be told: the recorder lost 3 packets",)


def test_problems_of_any_length_and_number_fit_into_the_record() -> None:
    proof = judged(Findings(problems=["x" * 100_000] * 1_000))
    assert proofs.Proof.model_validate_json(proof.model_dump_json()) == proof
    assert len(proof.model_dump_json()) < proofs.LARGEST
