"""`provision mirror prove` in real containers without a network: green, and red by the name of what is wrong."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import engine, hosts, images, packages, proof
from tests.lab.spec import Lab
from tests.site import mirrors
from tests.site.command import Directory, Done
from tests.site.conftest import IMAGE
from tests.site.host import until

LABEL = "neuraltalk-provision.prove"
BARE = "debian12"
LEFT_OUT = ("coco-annotations", "install-provision", "provision-wheels", "score-wheels")
NOT_NEEDED = tuple(word for name in LEFT_OUT for word in ("--not-needed", name))
WANTS_MORE = """
execute_process(COMMAND bash -c "</dev/tcp/198.51.100.7/443")
execute_process(COMMAND getent hosts sources.invalid)
message(FATAL_ERROR "the sources cannot be fetched")
"""


@dataclass(frozen=True)
class Prover:
    """Where `provision mirror prove` is called, and for which image."""

    directory: Directory
    mirror: Path
    image: str

    def line(self, *words: str, mirror: Path | None = None) -> list[str]:
        """The words of the command."""
        place = ("--mirror", str(mirror or self.mirror))
        return ["mirror", "prove", "--for", images.find(IMAGE).platform, "--image", self.image, *place, *words]

    def prove(self, *words: str, mirror: Path | None = None) -> Done:
        """Run it to its end."""
        return self.directory.provision(*self.line(*NOT_NEEDED, *words, mirror=mirror))

    @property
    def containers(self) -> set[str]:
        """The containers of proofs that exist."""
        return set(engine.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split())


@pytest.fixture(scope="module")
def prover(work: Path, mirror: Path) -> Prover:
    """A copy of the mirror, because the record of a proof is written into it."""
    own = mirrors.copy(mirror, work / "proved")
    return Prover(Directory(work / "proving").configure(mirror=str(own)), own, images.ensure(IMAGE))


@pytest.fixture(scope="module")
def bare(prover: Prover, mirror: Path, work: Path) -> Prover:
    """The same for an image without compilers, with all OS packages that it needs."""
    own = mirrors.copy(mirror, work / "for-bare-hosts")
    content = packages.archive(BARE, work / "bare-packages").read_bytes()
    mirrors.force(own, f"packages-{images.find(BARE).platform}.tar", content)
    return Prover(prover.directory, own, images.ensure(BARE))


@pytest.fixture(scope="module")
def proved(prover: Prover) -> Done:
    return prover.prove("--json")


def test_mirror_is_proved(prover: Prover, proved: Done) -> None:
    document = proved.ended_with(0).document
    assert (document["passed"], document["problems"], document["attempted"]) == (True, [], [])
    assert {one["to"] for one in document["planted"]} >= {*proof.PROBE[:1], "planted-1.invalid", "planted-2.invalid"}
    assert {"packages", "torch", "nn", "hdf5", "python", "neuraltalk2"} <= set(document["installed"]["components"])
    assert "libpng-dev" in document["installed"]["packages"]
    assert {"h5py", "numpy", "pillow"} <= set(document["installed"]["wheels"])
    assert document["surplus"] == {"artifacts": [], "packages": [], "wheels": [], "gpu": [], "other": []}
    assert document["not_needed"] == list(LEFT_OUT)


def test_record_is_beside_the_lock_and_is_shown(prover: Prover, proved: Done) -> None:
    record = json.loads(Path(proved.ended_with(0).document["record"]).read_text(encoding="utf-8"))
    assert record["passed"]
    assert record["host"].startswith(f"container of {prover.image} (sha256:")
    prover.directory.provision("mirror", "list").ended_with(0).says(f"proof of {record['platform']}: passed on ")


def test_attempt_of_a_build_is_named_by_address_and_port(prover: Prover, mirror: Path, work: Path) -> None:
    other = mirrors.copy(mirror, work / "wants-more")
    mirrors.force(other, "nn.tgz", mirrors.repacked("nn", {"CMakeLists.txt": lambda text: text + WANTS_MORE}))
    done = prover.prove(mirror=other).ended_with(1)
    done.says(
        "the host attempted tcp to 198.51.100.7 port 443",
        "the host attempted a look-up of the name sources.invalid",
        "the sources cannot be fetched",
        "is not proved",
    )
    prover.directory.provision("mirror", "list", "--mirror", str(other)).ended_with(0).says("failed on")


def test_host_of_the_inventory_is_watched_in_a_network_of_its_own(prover: Prover, mirror: Path, work: Path) -> None:
    """Its own network stays, with the connection of Ansible. The steps of a whole proof are those of a container."""
    own = mirrors.copy(mirror, work / "proved-on-a-host")
    with hosts.with_lab(Lab("prove", IMAGE, capabilities=("SYS_ADMIN", "NET_ADMIN"))) as lab:
        place = ("--host", lab.containers[0], "--inventory", str(lab.inventory), "--mirror", str(own), "--quick")
        platform = ("--for", images.find(IMAGE).platform)
        done = prover.directory.provision("mirror", "prove", *platform, *place, *NOT_NEEDED, "--json")
        left = engine.docker("exec", lab.containers[0], "ls", "-A", "/run/neuraltalk-prove")
    document = done.ended_with(0).document
    assert (document["problems"], document["attempted"], document["record"]) == ([], [], None)
    assert document["host"] == f"host {lab.containers[0]}"
    assert {one["to"] for one in document["planted"]} >= {"192.0.2.1", "2001:db8::2", "planted-2.invalid"}
    assert left == ""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("libgcc-12-dev", "gcc-12 : Depends: libgcc-12-dev"),
        ("numpy", "No matching distribution found for numpy"),
    ],
)
def test_what_is_left_out_is_missed_by_its_name(bare: Prover, name: str, told: str) -> None:
    done = bare.prove("--quick", "--without", name).ended_with(1)
    done.says(f"{name} was left out", told, "nothing in the mirror was changed")


def test_container_of_a_proof_that_was_killed_is_removed_by_the_next_one(prover: Prover) -> None:
    before = prover.containers
    killed = prover.directory.start(*prover.line(*NOT_NEEDED, "--quick"))
    until("a container of a proof", lambda: bool(prover.containers - before), 120)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = prover.containers - before
    assert left
    prover.prove("--quick").ended_with(0).says("everything that", "could be installed")
    assert prover.containers & left == set()
