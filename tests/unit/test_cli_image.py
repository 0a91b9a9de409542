"""`provision image`: the whole command with apt itself, and another program in the place of mmdebstrap."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.cli import main
from neuraltalk_provision.image import base, make
from neuraltalk_provision.mirror import cache
from neuraltalk_provision.rules import pack
from tests.unit import images
from tests.unit.apt_repository import Package
from tests.unit.images import ID, PLATFORM, Site
from tests.unit.programs import program
from tests.unit.waiting import until

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt-get")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A mirror at a path with a space and a quote; we are beside it."""
    made = Site(tmp_path / "the operator's site").make()
    monkeypatch.chdir(made.place)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(base, "PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return made


def image(capsys: Capture, *arguments: str, to: str = "out.tar", platform: str = PLATFORM) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `provision image`."""
    code = main.boundary(["image", "--for", platform, "--to", to, "--mirror", "mirror", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def refused(capsys: Capture, site: Site, *arguments: str, **more: str) -> str:
    """What the command says when it refuses; then it has left nothing."""
    before = sorted(site.place.rglob("*"))
    code, _out, err = image(capsys, *arguments, **more)
    assert code == 2
    assert sorted(site.place.rglob("*")) == before
    return err


def made(capsys: Capture, *arguments: str, to: str = "out.tar") -> dict[str, Any]:
    code, out, err = image(capsys, *arguments, "--json", to=to)
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_image_has_the_packages_below_the_generation(site: Site, capsys: Capture) -> None:
    document = made(capsys)
    oci, docker = images.load(site.place / "out.tar")
    assert oci.names == docker.names == [f"neuraltalk2:{ID}"]
    assert oci.configuration == docker.configuration
    assert list(oci.files) == list(docker.files)
    assert sorted(member.name for member in oci.layers[0]) == [
        "base-files_1-1_amd64.deb",
        "libc6_2.36-9_amd64.deb",
        "libjpeg62-turbo_1-1_amd64.deb",
        "python3.11_1-1_amd64.deb",
        "python3_1-1_amd64.deb",
    ]
    assert f"{images.HOME}/neuraltalk2/model/weights" in oci.files
    assert oci.configuration["config"]["Labels"] == document["plan"]["labels"]
    assert json.loads(document["plan"]["labels"]["neuraltalk.provision.versions"]) == {"vgg16": "7"}
    told = site.told.read_text()
    assert "--include=libc6,libjpeg62-turbo,python3,python3.11\n" in told
    assert f"SOURCE_DATE_EPOCH={pack.DATE}\n" in site.told.with_name("told.environment").read_text()
    assert "Packages\n" in site.told.with_name("told.packages").read_text()
    assert document["image"]["sha256"] == images.digest(site.place / "out.tar")


def test_same_inputs_give_the_same_bytes_and_replace_the_file(site: Site, capsys: Capture) -> None:
    first = made(capsys)["image"]
    assert made(capsys)["image"] == first
    assert made(capsys, to="other.tar")["image"] == first
    assert images.digest(site.place / "out.tar") == images.digest(site.place / "other.tar")
    assert sorted(file.name for file in site.place.iterdir()) == ["made.tar", "mirror", "other.tar", "out.tar"]


def test_package_that_is_asked_for_is_added(site: Site, capsys: Capture) -> None:
    assert "less_1-1_all.deb" in made(capsys, "--package", "less")["plan"]["packages"]
    err = refused(capsys, site, "--package", "vim")
    assert "packages-debian-12-x86_64 lacks packages that the image needs: vim" in err


def test_plan_shows_what_would_be_in_the_image_and_writes_nothing(site: Site, capsys: Capture) -> None:
    before = sorted(site.place.rglob("*"))
    code, out, _err = image(capsys, "--plan")
    assert code == 0
    assert f"generation {ID}: {PLATFORM}, without a GPU, built on node1" in out
    assert "5 OS packages" in out
    assert "vgg.caffemodel" in out
    assert sorted(site.place.rglob("*")) == before
    assert not site.told.exists()


def test_versions_are_left_out_if_the_lock_was_changed_after_the_build(site: Site, capsys: Capture) -> None:
    site.publish(site.place / "made.tar", lock="e" * 64)
    code, out, err = image(capsys, "--plan")
    assert code == 0
    assert "will not name the versions" in out + err


def test_generation_that_is_not_there_is_named(site: Site, capsys: Capture) -> None:
    assert "does not have a generation for debian-11-x86_64" in refused(capsys, site, platform="debian-11-x86_64")
    err = refused(capsys, site, "--generation", "f" * 16)
    assert f"does not have the generation {'f' * 16}" in err
    assert "`provision site --mirror mirror` packs what it builds" in err
    assert "'../x' is not the id of a generation" in refused(capsys, site, "--generation", "../x")
    assert "was built for debian-12-x86_64" in refused(capsys, site, "--generation", ID, platform="ubuntu-22-x86_64")


def test_one_of_several_generations_has_to_be_chosen(site: Site, capsys: Capture) -> None:
    other = "1" * 16
    site.publish(site.place / "made.tar", id=other, gpu="modern: CUDA 12.4 for 9.0")
    err = refused(capsys, site)
    assert "the cache has 2 packed generations for debian-12-x86_64" in err
    assert f"{other}  modern: CUDA 12.4 for 9.0" in err
    assert image(capsys, "--generation", other, "--plan")[0] == 0


def test_damaged_entry_and_damaged_files_of_the_mirror_are_refused(site: Site, capsys: Capture) -> None:
    (site.mirror / "vgg.caffemodel").write_bytes(b"x" * len(images.WEIGHTS))
    assert "vgg.caffemodel" in refused(capsys, site)
    (site.mirror / "vgg.caffemodel").write_bytes(images.WEIGHTS)
    tar = site.mirror / "cache" / ID / f"generation-{ID}.tar"
    content = tar.read_bytes()
    tar.write_bytes(content.replace(b"-- eval", b"-- evil"))
    assert "is not as it was packed" in refused(capsys, site)
    tar.write_bytes(content + b"x")
    assert "cannot be used" in refused(capsys, site)
    tar.write_bytes(content)
    (tar.parent / "entry.json").write_text("{}")
    assert "cannot be used" in refused(capsys, site)


def test_archive_that_lacks_what_every_host_has_is_refused(site: Site, capsys: Capture) -> None:
    site.write_packages(images.PACKAGES[1:])
    assert "has no package that is essential" in refused(capsys, site)
    site.write_packages((Package("base-files", more="Essential: yes\n", depends="lost"), *images.PACKAGES[1:]))
    assert "cannot be installed into an empty image: base-files: Depends: lost" in refused(capsys, site)
    shutil.rmtree(site.mirror / "cache")
    site.write_packages(())
    site.publish(site.place / "made.tar")
    assert "provision mirror" in refused(capsys, site)


def test_package_that_was_changed_or_is_missing_in_the_archive_is_refused(site: Site, capsys: Capture) -> None:
    package = images.PACKAGES[1]
    site.write_packages(images.PACKAGES, {package.name: b"changed"})
    assert "libc6_2.36-9_amd64.deb is not the package that its index lists" in refused(capsys, site)
    site.write_packages(images.PACKAGES, {package.name: None})
    assert "lacks libc6_2.36-9_amd64.deb, which its index lists" in refused(capsys, site)


def test_mirror_without_packages_or_weights_is_refused(site: Site, capsys: Capture) -> None:
    lock = site.mirror / "mirror.lock"
    text = lock.read_text()
    lock.write_text(text.replace("name: packages-debian-12-x86_64", "name: packages-debian-13-x86_64"))
    assert "the mirror has no packages-debian-12-x86_64.tar" in refused(capsys, site)
    lock.write_text(text)
    site.publish(site.place / "made.tar", left_out=("c" * 64,))
    assert "needs files that the mirror does not have" in refused(capsys, site)


def test_platform_without_apt_is_not_built_yet(site: Site, capsys: Capture) -> None:
    assert "only for platforms with apt" in refused(capsys, site, platform="rocky-9-x86_64")


def test_program_that_is_missing_is_named(site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PROGRAM", "no-such-program")
    err = refused(capsys, site)
    assert "it does not have no-such-program" in err
    assert "apt-get install mmdebstrap" in err


def test_failure_of_the_installer_is_shown_and_leaves_nothing(site: Site, capsys: Capture) -> None:
    (site.place / "out.tar").write_text("an earlier image")
    failing = "#!/bin/sh\necho 'E: dpkg: cannot configure python3' >&2\nexit 7\n"
    program(site.place.parent / "bin" / "mmdebstrap", failing)
    err = refused(capsys, site)
    assert "mmdebstrap ended with 7" in err
    assert "cannot configure python3" in err
    denied = "unshare: write failed /proc/self/uid_map: Operation not permitted"
    program(site.place.parent / "bin" / "mmdebstrap", f"#!/bin/sh\necho '{denied}' >&2\nexit 1\n")
    assert "next: This user may not use user namespaces. Run the same command as root" in refused(capsys, site)
    program(site.place.parent / "bin" / "mmdebstrap", "#!/bin/sh\necho 'tar: No space left on device' >&2\nexit 1\n")
    assert "Free space below" in refused(capsys, site)
    assert (site.place / "out.tar").read_text() == "an earlier image"


def test_reason_is_shown_although_the_installer_wrote_much_after_it(site: Site, capsys: Capture) -> None:
    reason = "update-alternatives: error: error creating symbolic link '/usr/share/man/man1/java.1.gz.dpkg-tmp'"
    failing = f'#!/bin/sh\necho "{reason}" >&2\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i >&2; done\nexit 25\n'
    program(site.place.parent / "bin" / "mmdebstrap", failing)
    assert reason in refused(capsys, site)


def test_disk_that_is_too_small_is_refused_before_anything_is_written(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 9, 1))
    err = refused(capsys, site)
    assert "GB free, but making the image needs about" in err
    assert not site.told.exists()


def test_disk_that_fills_while_the_image_is_made_is_named(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(
        make, "_refuse_full_disk", lambda *given: resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    )
    try:
        err = refused(capsys, site)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written: File too large" in err
    assert ".out.tar.image-" in err


def test_place_where_no_image_can_be_written_is_refused(site: Site, capsys: Capture) -> None:
    assert "is not a regular file" in refused(capsys, site, to=".")
    assert "there is no directory" in refused(capsys, site, to="none/out.tar")
    assert "is in the mirror" in refused(capsys, site, to="mirror/out.tar")


def test_kill_leaves_the_earlier_image_and_the_next_command_removes_the_rest(site: Site, capsys: Capture) -> None:
    (site.place / "out.tar").write_text("an earlier image")
    waiting = site.place.parent / "waiting"
    script = f"#!/bin/sh\ntouch '{waiting}'\nsleep 60\n"
    program(site.place.parent / "bin" / "mmdebstrap", script)
    code = "import sys\nfrom neuraltalk_provision.cli import main\nfrom neuraltalk_provision.image import base\n"
    code += "import os\nbase.PATH = os.environ['PATH']\nsys.exit(main.boundary(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "image", "--for", PLATFORM, "--to", "out.tar", "--mirror", "mirror"]
    running = subprocess.Popen(command, start_new_session=True)
    until(lambda: waiting.exists() or running.poll() is not None)
    assert running.poll() is None
    left = [file for file in site.place.iterdir() if file.name.startswith(".out.tar.image-")]
    for process in _children(running.pid):
        os.kill(process, signal.SIGKILL)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert len(left) == 1
    assert left[0].exists()
    assert (site.place / "out.tar").read_text() == "an earlier image"
    program(site.place.parent / "bin" / "mmdebstrap", images.MMDEBSTRAP.replace("{told}", str(site.told)))
    made(capsys)
    assert not left[0].exists()
    assert cache.folder(site.mirror, ID).is_dir()


def _children(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]
