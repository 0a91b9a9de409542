"""After swap, refusal, kill and restore, header and library have the same version, and the old files are restored."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

TREE = "/usr/local/cuda-7.5"
LIST = (
    f"cd {TREE} && find . ! -type d -printf '%p %y %m %U %G %TY-%Tm-%TdT%TH:%TM:%TS %l ' "
    r"\( -type f -exec sha256sum {} \; -o -printf '\n' \) | sort"
)
UNTOUCHED = ("cudnn-v4", "cudnn-none", "cudnn-v6", "cudnn-killed", "cudnn-full")


def name(host: Host) -> str:
    return str(host.check_output("hostname"))


def version(host: Host) -> str:
    """The version that the library itself returns."""
    ask = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).cudnnGetVersion())"
    return str(host.check_output(f"python3 -c '{ask}' {TREE}/lib64/libcudnn.so"))


def test_every_file_was_restored_or_never_changed(host: Host) -> None:
    if name(host) not in UNTOUCHED:
        pytest.skip("this host keeps v5")
    now = [line for line in host.check_output(f"bash -c {LIST!r}").splitlines() if not line.startswith("./filling")]
    assert now == host.file("/var/tmp/before").content_string.splitlines()


def test_the_backup_of_v4_is_where_the_manual_procedure_puts_it(host: Host) -> None:
    if name(host) != "cudnn-v4":
        pytest.skip("only one host had v4, which was restored")
    kept = set(host.file("/var/tmp/kept").content_string.split())
    libraries = ("libcudnn.so", "libcudnn.so.4", "libcudnn.so.4.0.7", "libcudnn_static.a")
    assert kept == {f"{TREE}/include/cudnn_v4/cudnn.h", *(f"{TREE}/lib64/cudnn_v4/{file}" for file in libraries)}
    assert host.file(f"{TREE}/lib64/libcudnn.so").is_file
    assert not host.file(f"{TREE}/lib64/libcudnn.so").is_symlink
    assert not host.file(f"{TREE}/lib64/cudnn_v4").exists
    assert version(host) == "4007"


def test_loader_found_v5_after_the_swap_and_not_after_the_restore(host: Host) -> None:
    if name(host) not in ("cudnn-v4", "cudnn-none"):
        pytest.skip("nothing was restored on this host")
    assert f"libcudnn.so.5 (libc6,x86-64) => {TREE}/lib64/libcudnn.so.5" in host.file("/var/tmp/loader").content_string
    assert "libcudnn.so.5" not in host.check_output("/sbin/ldconfig -p")
    assert "neuraltalk" not in " ".join(host.file("/etc/ld.so.conf.d").listdir())


def test_v5_that_was_there_before_is_unchanged(host: Host) -> None:
    if name(host) != "cudnn-v5":
        pytest.skip("only one host had v5")
    now = host.check_output(f"bash -c {LIST!r}").splitlines()
    assert now == host.file("/var/tmp/before").content_string.splitlines()
    assert version(host) == "5005"


@pytest.mark.parametrize(
    ("which", "message"), [("cudnn-v6", "contains cuDNN 6.0.21, which is newer"), ("cudnn-full", "free some space")]
)
def test_refusal_gives_the_reason(host: Host, which: str, message: str) -> None:
    if name(host) != which:
        pytest.skip("another host has this refusal")
    assert message in host.file("/var/tmp/refused").content_string


def test_a_disk_that_became_full_during_the_swap_changed_nothing(host: Host) -> None:
    if name(host) != "cudnn-full":
        pytest.skip("only one host has a full disk")
    assert "could not be unpacked" in host.file("/var/tmp/full").content_string
    assert "No space left on device" in host.file("/var/tmp/full").content_string
    assert not host.file(f"{TREE}/.neuraltalk-cudnn").exists


def test_swap_and_restore_were_killed_at_every_step(host: Host) -> None:
    if name(host) != "cudnn-killed":
        pytest.skip("only one host has the kills")
    lines = host.file("/var/tmp/killed").content_string.splitlines()
    assert [line.split(":")[0] for line in lines] == ["swap", "swap", "restore", "restore"]
    assert all(line.endswith("whole every time") for line in lines)


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
