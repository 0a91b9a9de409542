"""Invalid input gives an error message before anything is changed on a host."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.site import mirrors
from tests.site.command import Directory
from tests.site.host import Snapshot
from tests.site.sites import Site

VICTIM = "loadcaffe.tgz"
NO_LONGER = "SetTotalBytesLimit(1073741824, 1)"


@pytest.fixture(scope="module")
def snapshots() -> dict[str, Snapshot]:
    """The state of the hosts before the first test; filled by `untouched`."""
    return {}


@pytest.fixture(autouse=True)
def untouched(converged: Site, snapshots: dict[str, Snapshot]) -> Iterator[None]:
    """Check that a test of this file does not change the hosts."""
    if not snapshots:
        snapshots.update(converged.snapshots())
    yield
    after = converged.snapshots()
    assert {name: snapshots[name].differences(after[name]) for name in after} == {name: [] for name in after}


@pytest.fixture
def other(converged: Site) -> Path:
    """A mirror with a new archive of torch, so that every component would be built."""
    other = mirrors.copy(converged.mirror, converged.directory.path / "refused")
    mirrors.force(other, "torch.tgz", mirrors.repacked("torch", {"NEWS": lambda text: text + "new\n"}))
    return other


def test_the_changed_mirror_would_build_loadcaffe(converged: Site, other: Path) -> None:
    result = converged.directory.provision("site", "--plan", "--json", "--mirror", str(other)).ended_with(0).document
    assert all("loadcaffe" in [step["component"] for step in plan["build"]] for plan in result["plans"])


def test_a_missing_artifact(converged: Site, other: Path) -> None:
    (other / VICTIM).unlink()
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says(f"{VICTIM} is missing", "Nothing was changed", "mirror add")


def test_a_truncated_artifact(converged: Site, other: Path) -> None:
    mirrors.replace(other, VICTIM, (other / VICTIM).read_bytes()[:1000])
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says(f"{VICTIM} is truncated", "1,000 of", "Nothing was changed")


def test_an_altered_artifact(converged: Site, other: Path) -> None:
    content = bytearray((other / VICTIM).read_bytes())
    content[100] ^= 1
    mirrors.replace(other, VICTIM, bytes(content))
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says(f"{VICTIM} is altered", "sha256", "Nothing was changed")


def test_an_artifact_that_the_lock_does_not_list(converged: Site, other: Path) -> None:
    text = (other / mirrors.LOCK).read_text(encoding="utf-8")
    (other / mirrors.LOCK).write_text(text.replace("name: loadcaffe", "name: something"), encoding="utf-8")
    converged.directory.provision("site", "--mirror", str(other)).ended_with(2).says("loadcaffe", "mirror add")


@pytest.mark.parametrize("lock", ["artifacts: [", "artifacts: 3", "schema_version: 9", "\0"])
def test_a_lock_that_does_not_parse(converged: Site, other: Path, lock: str) -> None:
    (other / mirrors.LOCK).write_text(lock, encoding="utf-8")
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says(str(other / mirrors.LOCK), "does not parse", "Restore the lock")


def climbing(archive: tarfile.TarInfo) -> None:
    archive.name = "loadcaffe/../../../etc/cron.d/evil"


def pointing_out(archive: tarfile.TarInfo) -> None:
    archive.type, archive.linkname = tarfile.SYMTYPE, "/etc"


@pytest.mark.parametrize(
    ("spoil", "message"), [(climbing, "contains '..'"), (pointing_out, "points out of the archive, to /etc")]
)
def test_an_archive_that_leaves_its_directory(
    converged: Site, other: Path, spoil: Callable[[tarfile.TarInfo], None], message: str
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(other / VICTIM) as good, tarfile.open(fileobj=buffer, mode="w:gz") as bad:
        for member in good:
            bad.addfile(member, good.extractfile(member))
        member = tarfile.TarInfo("loadcaffe/extra")
        spoil(member)
        bad.addfile(member)
    mirrors.force(other, VICTIM, buffer.getvalue())
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says(VICTIM, message, "Nothing was changed")


def test_sources_that_an_edit_does_not_fit(converged: Site, other: Path, tmp_path: Path) -> None:
    """Refused by `mirror add`, and again by `site` if somebody edits the lock by hand."""

    def newer(text: str) -> str:
        return text.replace("SetTotalBytesLimit(1073741824, 536870912)", NO_LONGER)

    newest = mirrors.repacked("loadcaffe", {"loadcaffe.cpp": newer})
    (tmp_path / VICTIM).write_bytes(newest)
    lock = mirrors.read_lock(other)
    refused = converged.directory.provision("mirror", "add", "--mirror", str(other), str(tmp_path / VICTIM))
    refused.ended_with(2).says("loadcaffe.cpp", "0 times, expected 1", NO_LONGER, "line ")
    assert mirrors.read_lock(other) == lock
    mirrors.force(other, VICTIM, newest)
    refused = converged.directory.provision("site", "--mirror", str(other)).ended_with(2)
    refused.says("loadcaffe.cpp", "0 times, expected 1", NO_LONGER, "Nothing was changed")


def test_an_unreachable_host(converged: Site) -> None:
    """An unused address of the lab's network. With --limit the other hosts continue."""
    address = converged.unused_address
    inventory = converged.inventory("gone", {"gone": {"ansible_host": address, "ansible_ssh_retries": 0}})
    refused = converged.directory.provision("site", "--inventory", str(inventory)).ended_with(1)
    refused.says("gone", address, "cannot be reached by SSH", "Nothing was changed", "--limit '!HOST'")
    limited = converged.directory.provision("site", "--inventory", str(inventory), "--limit", "!gone")
    limited.ended_with(0).says("3 hosts, nothing to change")


def test_a_login_that_is_refused(converged: Site) -> None:
    inventory = converged.inventory("stranger", {"site-2": {"ansible_user": "stranger"}})
    refused = converged.directory.provision("site", "--inventory", str(inventory)).ended_with(1)
    refused.says("site-2", "ansible_user", "Nothing was changed")


@pytest.mark.parametrize("limit", ["nosuch", "site-1,nosuch", "!site-*"])
def test_a_pattern_that_matches_no_host(converged: Site, limit: str) -> None:
    converged.directory.provision("site", "--limit", limit).ended_with(2).says("no host or group called", limit)


def test_a_variable_that_nothing_reads(converged: Site) -> None:
    inventory = converged.inventory("misspelt", torch_prefixx="/opt/torch", provision_stack_rot="/opt/x")
    refused = converged.directory.provision("site", "--inventory", str(inventory)).ended_with(2)
    refused.says("torch_prefixx", "provision_stack_rot", "did you mean stack_root?", "provision.yml")


def test_an_inventory_that_does_not_parse(converged: Site) -> None:
    broken = converged.directory.path / "broken.yml"
    broken.write_text("all: {hosts: [", encoding="utf-8")
    converged.directory.provision("site", "--inventory", str(broken)).ended_with(2).says(str(broken))


def test_a_missing_inventory(converged: Site) -> None:
    converged.directory.provision("site", "--inventory", "nowhere.yml").ended_with(2).says("nowhere.yml", "init")


def test_a_stack_root_with_a_space(converged: Site, tmp_path: Path) -> None:
    refused = converged.directory.provision("site", "--stack-root", "/opt/neural talk").ended_with(2)
    refused.says("--stack-root", "space")
    settings = Directory(tmp_path).configure(stack_root="/opt/neural talk")
    settings.provision("site").ended_with(2).says("provision.yml", "stack_root", "space")


def test_an_unknown_setting(converged: Site, tmp_path: Path) -> None:
    Directory(tmp_path).configure(stackroot="/opt/x").provision("site").ended_with(2).says("stackroot", "stack_root")
