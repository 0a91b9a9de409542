"""The recorder of attempts: what a packet tries to reach, and real attempts in a network namespace of its own."""

from __future__ import annotations

import io
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision import paths

PROGRAM = paths.plugins() / "module_utils" / "host" / "traffic.py"
NAMESPACE = ("unshare", "--map-root-user", "--net")
ISOLATE = """
ip link set lo up
for f in all lo; do echo 0 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null
ip route add local default dev lo; ip -6 route add local default dev lo

"""
TRY = """
import socket, subprocess, sys
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "127.0.0.1")):
    with socket.socket(family) as link:
        link.connect_ex((address, 443))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    for port in (123, 123):
        link.sendto(b"x", ("192.0.2.7", port))
    query = b"\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\5plant\\7invalid\\0\\0\\1\\0\\1"
    link.sendto(query, ("192.0.2.53", 53))
    link.sendto(query, ("127.0.0.53", 53))
"""


@pytest.fixture
def traffic(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.traffic")


def ipv4(protocol: int, to: str, rest: bytes, options: bytes = b"") -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 0, 0, 0, 64, protocol, 0)
    return head + socket.inet_aton("198.51.100.1") + socket.inet_aton(to) + options + rest


def ipv6(following: int, to: str, rest: bytes) -> bytes:
    pair = socket.inet_pton(socket.AF_INET6, "2001:db8::9") + socket.inet_pton(socket.AF_INET6, to)
    return struct.pack("!IHBB", 0x60000000, len(rest), following, 64) + pair + rest


def ports(to: int) -> bytes:
    return struct.pack("!HH", 40_000, to) + bytes(4)


def query(*labels: bytes) -> bytes:
    return bytes(12) + b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"


@pytest.mark.parametrize(
    ("packet", "protocol", "found"),
    [
        (ipv4(6, "192.0.2.1", ports(443)), 0x0800, ("tcp", "192.0.2.1", 443)),
        (ipv4(6, "192.0.2.1", ports(443), bytes(8)), 0x0800, ("tcp", "192.0.2.1", 443)),
        (ipv4(17, "192.0.2.1", ports(123)), 0x0800, ("udp", "192.0.2.1", 123)),
        (ipv4(17, "192.0.2.53", ports(53) + query(b"a", b"example")), 0x0800, ("name", "a.example", 53)),
        (ipv4(17, "127.0.0.53", ports(53) + query(b"a")), 0x0800, ("name", "a", 53)),
        (ipv4(17, "192.0.2.53", ports(53) + b"short"), 0x0800, ("name", "(a query that cannot be read)", 53)),
        (ipv4(17, "192.0.2.53", ports(53) + query(b'\x1b[2J"')), 0x0800, ("name", "??2J?", 53)),
        (ipv4(6, "127.0.0.1", ports(443)), 0x0800, None),
        (ipv4(1, "192.0.2.1", b"\x08\0\0\0"), 0x0800, ("icmp", "192.0.2.1", 0)),
        (ipv4(1, "192.0.2.1", b"\x03\x03\0\0"), 0x0800, None),
        (ipv4(132, "192.0.2.1", b"xxxx"), 0x0800, ("protocol 132", "192.0.2.1", 0)),
        (ipv6(6, "2001:db8::1", ports(443)), 0x86DD, ("tcp", "2001:db8::1", 443)),
        (ipv6(6, "::1", ports(443)), 0x86DD, None),
        (ipv6(58, "2001:db8::1", b"\x80\0\0\0"), 0x86DD, ("icmp", "2001:db8::1", 0)),
        (ipv6(58, "ff02::2", b"\x85\0\0\0"), 0x86DD, None),
        (ipv6(17, "2001:db8::53", ports(53) + query(b"b")), 0x86DD, ("name", "b", 53)),
        (b"", 0x0800, None),
        (b"\x45", 0x0800, None),
        (ipv4(6, "192.0.2.1", b""), 0x0800, ("tcp", "192.0.2.1", 0)),
    ],
)
def test_packet_tells_what_is_tried(traffic: ModuleType, packet: bytes, protocol: int, found: object) -> None:
    assert traffic.attempt(packet, protocol) == found


def test_attempt_is_printed_once_and_their_number_is_limited(
    traffic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "MOST", 2)
    record = traffic.Record(io.StringIO())
    for port in (1, 1, 2, 3, 4):
        record.add(("tcp", "192.0.2.1", port), 5.0)
    lines = [json.loads(line) for line in record.output.getvalue().splitlines()]
    assert [line["port"] for line in lines] == [1, 2]
    assert record.more == 2


def test_filter_of_the_kernel_jumps_only_forward_to_steps_that_exist(traffic: ModuleType) -> None:
    steps = traffic.program()
    for number, (_code, yes, no, _value) in enumerate(steps):
        assert 0 <= yes < 256
        assert 0 <= no < 256
        assert number + 1 + max(yes, no) <= len(steps)


@pytest.fixture
def namespace() -> None:
    done = subprocess.run([*NAMESPACE, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine allows no network namespace")


@pytest.mark.slow
@pytest.mark.usefixtures("namespace")
def test_real_attempts_are_recorded_each_once_and_nothing_is_lost() -> None:
    script = f'{ISOLATE}\n( sleep 1; "$1" -c "$3" ) | "$1" "$2"'
    done = subprocess.run(
        [*NAMESPACE, "bash", "-c", script, "bash", sys.executable, str(PROGRAM), TRY],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines[0] == {"begin": True}, done.stderr
    assert {(line["kind"], line["to"], line["port"]) for line in lines[1:-1]} == {
        ("tcp", "192.0.2.1", 443),
        ("tcp", "2001:db8::1", 443),
        ("udp", "192.0.2.7", 123),
        ("name", "plant.invalid", 53),
    }
    assert len(lines) == 6
    assert lines[-1]["end"]
    assert (lines[-1]["dropped"], lines[-1]["more"]) == (0, 0)


def test_recorder_that_may_not_see_packets_says_so(traffic: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    printed = io.StringIO()
    monkeypatch.setattr(traffic, "opened", refused)
    monkeypatch.setattr(sys, "stdout", printed)
    assert traffic.main() == 1
    assert "packets cannot be recorded" in json.loads(printed.getvalue())["problem"]
