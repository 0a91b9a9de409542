"""After swap, refusal, kill and restoration: header and library agree, and what was there before is back."""

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
    """What the library itself says."""
    ask = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).cudnnGetVersion())"
    return str(host.check_output(f"python3 -c '{ask}' {TREE}/lib64/libcudnn.so"))


def test_everything_is_back_or_was_never_touched(host: Host) -> None:
    if name(host) not in UNTOUCHED:
        pytest.skip("this host keeps v5")
    now = [line for line in host.check_output(f"bash -c {LIST!r}").splitlines() if not line.startswith("./filling")]
    assert now == host.file("/var/tmp/before").content_string.splitlines()


def test_v4_was_kept_where_the_seed_keeps_it(host: Host) -> None:
    if name(host) != "cudnn-v4":
        pytest.skip("only one host had v4 swapped and brought back")
    kept = set(host.file("/var/tmp/kept").content_string.split())
    libraries = ("libcudnn.so", "libcudnn.so.4", "libcudnn.so.4.0.7", "libcudnn_static.a")
    assert kept == {f"{TREE}/include/cudnn_v4/cudnn.h", *(f"{TREE}/lib64/cudnn_v4/{file}" for file in libraries)}
    assert host.file(f"{TREE}/lib64/libcudnn.so").is_file
    assert not host.file(f"{TREE}/lib64/libcudnn.so").is_symlink
    assert not host.file(f"{TREE}/lib64/cudnn_v4").exists
    assert version(host) == "4007"


def test_loader_knew_v5_and_knows_it_no_more(host: Host) -> None:
    if name(host) not in ("cudnn-v4", "cudnn-none"):
        pytest.skip("nothing was swapped and brought back here")
    assert f"libcudnn.so.5 (libc6,x86-64) => {TREE}/lib64/libcudnn.so.5" in host.file("/var/tmp/loader").content_string
    assert "libcudnn.so.5" not in host.check_output("/sbin/ldconfig -p")
    assert "neuraltalk" not in " ".join(host.file("/etc/ld.so.conf.d").listdir())


def test_v5_that_was_there_is_as_it_was(host: Host) -> None:
    if name(host) != "cudnn-v5":
        pytest.skip("only one host had v5")
    now = host.check_output(f"bash -c {LIST!r}").splitlines()
    assert now == host.file("/var/tmp/before").content_string.splitlines()
    assert version(host) == "5005"


@pytest.mark.parametrize(
    ("which", "words"), [("cudnn-v6", "contains cuDNN 6.0.21, which is newer"), ("cudnn-full", "free some space")]
)
def test_refusal_says_why(host: Host, which: str, words: str) -> None:
    if name(host) != which:
        pytest.skip("another host was refused so")
    assert words in host.file("/var/tmp/refused").content_string


def test_disk_that_filled_in_the_middle_changed_nothing(host: Host) -> None:
    if name(host) != "cudnn-full":
        pytest.skip("only one disk was full")
    assert "could not be unpacked" in host.file("/var/tmp/full").content_string
    assert "No space left on device" in host.file("/var/tmp/full").content_string
    assert not host.file(f"{TREE}/.neuraltalk-cudnn").exists


def test_it_was_killed_at_every_step(host: Host) -> None:
    if name(host) != "cudnn-killed":
        pytest.skip("only one host was")
    said = host.file("/var/tmp/killed").content_string.splitlines()
    assert [line.split(":")[0] for line in said] == ["swap", "swap", "restore", "restore"]
    assert all(line.endswith("whole every time") for line in said)


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
