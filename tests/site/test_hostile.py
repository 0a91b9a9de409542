"""Another user of the host, with a login and no rights, must get no access to our files nor to root's."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import engine
from tests.site import playbooks
from tests.site.command import Done
from tests.site.host import ROOT, Host
from tests.site.sites import Site
from tests.site.test_runs import DATA, HOST, data, options, run

__all__ = ["data", "run"]
SECRET = "root:$6$only-root-knows"


@pytest.fixture(scope="module")
def host(converged: Site) -> Host:
    """The host on which runs are started."""
    return converged.hosts[1]


def plain(host: Host, script: str) -> str:
    """Run a script as the other user; its output, also if it fails."""
    return engine.docker("exec", host.name, "su", "plain", "-s", "/bin/sh", "-c", f"{{ {script} ; }} 2>&1 || true")


@pytest.fixture(scope="module")
def trained(run: Callable[..., Done], data: str, host: Host) -> str:
    """The id of a training."""
    run("train", "whose", options()).ended_with(0)
    return "whose"


def test_runs_belong_to_an_account_without_a_login(host: Host, trained: str) -> None:
    entry = host.run("getent passwd neuraltalk").strip().split(":")
    assert entry[6].endswith("nologin")
    assert int(entry[2]) > 0
    owners = host.run(f"find {ROOT}/runs/{trained} -printf '%u %y\\n' | sort -u").split("\n")
    assert {line.split()[0] for line in owners if line} == {"neuraltalk"}


def test_other_user_can_neither_read_runs_nor_lock_the_lease(
    host: Host, trained: str, run: Callable[..., Done], data: str
) -> None:
    assert "Permission denied" in plain(host, f"ls {ROOT}/runs")
    assert "ermission denied" in plain(host, f"cat {ROOT}/runs/{trained}/log")
    assert "ermission denied" in plain(host, f"flock -w 1 {ROOT}/runs/.leases sleep 300")
    run("train", "goes-on", options()).ended_with(0)


def test_picture_with_a_quote_in_its_name_runs_nothing(
    run: Callable[..., Done], host: Host, trained: str, tmp_path: Path
) -> None:
    """Upstream's eval.lua passes the name to a shell."""
    document = json.loads(engine.docker("exec", HOST, "cat", f"{DATA}/cocotalk.json"))
    for entry in document["images"]:
        entry["file_path"] = f'x"; id > /tmp/seen-{entry["id"]}; touch {ROOT}/seen; echo "'
    (tmp_path / "evil.json").write_text(json.dumps(document))
    engine.docker("cp", str(tmp_path / "evil.json"), f"{HOST}:{DATA}/evil.json")
    engine.docker("exec", HOST, "chmod", "a+r", f"{DATA}/evil.json")
    model = f"{ROOT}/runs/{trained}/checkpoint/model_id{trained}.t7"
    arguments = ["-model", model, "-input_h5", f"{DATA}/cocotalk.h5", "-input_json", f"{DATA}/evil.json"]
    done = run("eval", "quoted", [*arguments, "-num_images", "2", "-dump_images", "1", "-image_root", "/"])
    done.ended_with(0).says("copy of /x")
    assert host.run("ls /tmp | grep seen || true").strip() == ""
    assert not host.has(f"{ROOT}/seen")


def test_picture_that_became_a_link_to_a_file_of_root_is_in_no_report(
    run: Callable[..., Done], converged: Site, host: Host, trained: str, tmp_path: Path
) -> None:
    """The other user owns the directory and replaces a picture after it was captioned."""
    host.run(f"cp -r {DATA}/images /data/theirs; chown -R plain: /data/theirs; chmod -R a+rX /data/theirs")
    host.run(f"printf '\\377\\330\\377\\340{SECRET}' > /root/secret; chmod 600 /root/secret")
    model = f"{ROOT}/runs/{trained}/checkpoint/model_id{trained}.t7"
    run("eval", "theirs", ["-model", model, "-image_folder", "/data/theirs"]).ended_with(0)
    plain(host, "cd /data/theirs; find . -type f -exec ln -sf /root/secret {} ';' ; ln -sf /etc/shadow red.jpg")
    page = tmp_path / "page.html"
    converged.directory.provision("runs", "report", "theirs", "--out", str(page)).ended_with(0)
    text = page.read_text()
    assert "red.jpg" in text
    assert "data:image/" not in text


def test_stack_root_that_another_user_could_create_or_owns_is_refused(converged: Site, host: Host) -> None:
    host.run("mkdir -m 1777 -p /srv/shared; rm -rf /srv/shared/*")
    arguments = ("site", "--plan", "--limit", host.name, "--stack-root", "/srv/shared/neuraltalk")
    converged.directory.provision(*arguments).ended_with(2).says(host.name, "/srv/shared")
    plain(host, "mkdir /srv/shared/neuraltalk")
    refused = converged.directory.provision(*arguments).ended_with(2).says("/srv/shared/neuraltalk", "plain")
    assert "would build" not in refused.out


def test_links_in_tmp_with_predictable_names_are_not_followed(run: Callable[..., Done], host: Host, data: str) -> None:
    """Earlier versions used predictable names for a trial's picture, a job's output and temporary files of runs."""
    host.run("echo untouched > /root/victim")
    names = " ".join(f"/tmp/neuraltalk-{name}" for name in ("linked", "linked.out", "x", "linked-1.out"))
    plain(host, f"for f in {names} /tmp/lua_000001.jpg; do ln -sf /root/victim $f; done")
    run("train", "linked", options()).ended_with(0)
    assert host.run("cat /root/victim").strip() == "untouched"


@pytest.fixture(scope="module")
def without_neuraltalk2(converged: Site, host: Host) -> Iterator[None]:
    """neuraltalk2 is not built any more on the host. After the last test, `provision site` builds it again."""
    yield
    converged.directory.provision("site", "--limit", host.name).ended_with(0)
    converged.directory.provision("verify", "--limit", host.name).ended_with(0)


@pytest.fixture
def altered(converged: Site, host: Host, without_neuraltalk2: None, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(variables of a plan that builds neuraltalk2, its archive in the mirror). The archive is restored afterwards."""
    archive, kept = converged.mirror / "neuraltalk2.tgz", tmp_path / "kept.tgz"
    shutil.copyfile(archive, kept)
    variables = tmp_path / "variables.yml"
    stamp = f"{ROOT}/current/stamps/neuraltalk2.json"
    host.run(f"rm -f {stamp}; rm -f {ROOT}/artifacts/*neuraltalk2*")
    converged.directory.provision("variables", str(variables), "--limit", host.name).ended_with(0)
    yield variables, archive
    shutil.copyfile(kept, archive)


def repack(archive: Path, change: Callable[[tarfile.TarInfo], None]) -> None:
    """Rewrite an archive with changed headers of its members."""
    beside = archive.with_suffix(".new")
    with tarfile.open(archive) as old, tarfile.open(beside, "w:gz") as new:
        for member in old:
            content = old.extractfile(member) if member.isreg() else None
            change(member)
            new.addfile(member, content)
    beside.replace(archive)


def test_archive_that_was_replaced_after_site_started_is_not_built(
    converged: Site, host: Host, altered: tuple[Path, Path]
) -> None:
    """With plain ansible-playbook, which does not hash files on the controller."""
    variables, archive = altered
    repack(archive, lambda member: setattr(member, "mtime", member.mtime + 1))
    inventory = converged.directory.path / "hosts.yml"
    done = playbooks.run("site.yml", inventory, variables, "--limit", host.name)
    assert done.code == 2, done.output
    assert "neuraltalk2.tgz" in done.output
    assert "sha256" in done.output
    assert not host.has(f"{ROOT}/current/stamps/neuraltalk2.json")
    converged.directory.provision("verify", "--limit", host.name).ended_with(1).says("neuraltalk2")
    converged.directory.provision("site", "--limit", host.name).ended_with(2).says("neuraltalk2.tgz is altered")


def test_archive_with_unsafe_modes_is_refused_and_unpacked_with_safe_ones(
    converged: Site, host: Host, altered: tuple[Path, Path], tmp_path: Path
) -> None:
    variables, archive = altered
    evil = tmp_path / "neuraltalk2.tgz"
    shutil.copyfile(archive, evil)
    repack(evil, lambda member: setattr(member, "mode", 0o6777 if member.isreg() else 0o777))
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    refused = converged.directory.provision("mirror", "add", "--mirror", str(mirror), str(evil)).ended_with(2)
    refused.says("neuraltalk2.tgz", "can be written by every user (mode 0777)", "chmod")

    # As if somebody edited the lock by hand and ran the playbooks without `provision`.
    def trust(parts: playbooks.Parts) -> playbooks.Parts:
        entry = {"sha256": hashlib.sha256(evil.read_bytes()).hexdigest(), "size": evil.stat().st_size}
        for part in parts:
            if part["name"] == "neuraltalk2":
                part["files"] = [{**part["files"][0], **entry}]
        return parts

    shutil.copyfile(evil, archive)
    changed = playbooks.change_parts(variables, trust, tmp_path / "changed.yml")
    playbooks.run("site.yml", converged.directory.path / "hosts.yml", changed, "--limit", host.name)
    found = f"find {ROOT}/current/neuraltalk2 ! -type l -perm /6022 -print"
    assert host.run(found).strip() == ""
    assert "ermission denied" in plain(host, f"echo 'os.execute(\"id\")' >> {ROOT}/current/neuraltalk2/train.lua")
    host.run(f"rm -f {ROOT}/current/stamps/neuraltalk2.json")
