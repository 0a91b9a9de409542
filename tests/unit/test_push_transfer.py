"""Hosts that pass a file on: every byte is verified, and whatever happens to one of them, the others get the file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.rules import codes, pieces
from neuraltalk_provision.rules.piece_server import Rate, Server
from neuraltalk_provision.site.distribution import source
from plugins.module_utils.push import asking, connection, part_file, receiver, transfer
from tests.unit.pushing import KEY, PYTHON2, STARTED, Host, chain_of, content, free_port, serving
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
NONCE = "ab" * 16


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().end()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.h5"
    path.write_bytes(content(8.5))
    return path


def test_file_goes_from_host_to_host(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        hosts = chain_of(tmp_path, described, server.port, 4)
        results = [host.result() for host in hosts]
    for host, result in zip(hosts, results, strict=True):
        assert host.path.read_bytes() == file.read_bytes()
        assert stat.S_IMODE(host.path.stat().st_mode) == 0o644
        assert [one.name for one in host.directory.iterdir()] == ["file"]
        assert result["sha256"] == described.sha256
        assert result["sources"] == [{"number": host.number - 1, "bytes": described.size}]
        assert result["left"] == []
    assert server.sent < 1.1 * described.size


def test_host_that_gets_on_tells_the_controller_so_also_if_another_one_serves_it(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        first = Host(tmp_path, 1, described).start([(0, server.port)])
        second = Host(tmp_path, 2, described).start([(1, first.port), (0, server.port)], is_last=True, wait=4)
        results = [host.result() for host in (first, second)]
    assert results[1]["sources"] == [{"number": 1, "bytes": described.size}]
    assert set(server.heard_of) == {1, 2}


def test_incomplete_file_can_be_read_only_by_its_owner(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        host.wait_for(MEGABYTE)
        assert stat.S_IMODE(host.part.stat().st_mode) == 0o600
        assert host.result()["received"] == described.size


def test_slow_host_in_the_middle_does_not_hold_the_others_back(tmp_path: Path) -> None:
    large = tmp_path / "data.h5"
    large.write_bytes(content(32))
    with serving(large, limit=4 * MEGABYTE) as (server, described):
        hosts = [Host(tmp_path, number, described) for number in (1, 2, 3, 4)]
        for place, host in enumerate(hosts):
            before = [(one.number, one.port) for one in reversed(hosts[:place])]
            limit = MEGABYTE // 4 if host.number == 2 else 0
            host.start([*before, (0, server.port)], limit=limit, is_last=host is hosts[-1])
        results = {host.number: host.result() for host in hosts}
    assert {"number": 2, "why": "slow"} in results[3]["left"]
    assert max(result["seconds"] for result in results.values()) < 60  # over the slow one it would be 128


def test_hosts_that_are_all_slow_keep_their_order(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=2 * MEGABYTE) as (server, described):
        results = [host.result() for host in chain_of(tmp_path, described, server.port, 4)]
    assert [result["left"] for result in results] == [[]] * 4


@pytest.mark.parametrize(
    ("own", "others", "reaches", "slow_at"),
    [
        ([4, 8, 12], [40, 80, 120], True, 2),  # a slow link, or a low --limit-rate
        ([38, 76, 114, 152], [40, 80, 120, 160], True, None),
        ([3000, 6000, 9000], [4000, 8000, 12000], True, None),  # ahead, but not two times as fast
        ([1000, 2000, 3000], [4000, 8000, 12000], True, 2),
        ([0, 1, 1, 2], [1, 2, 3, 4], True, None),  # too little to say anything
        ([4, 5, 40, 44, 48], [40, 41, 80, 120, 160], True, 5),  # in a row
        ([4, 8, 12], [40, 10**5, 10**5], True, 2),
        ([4, 8, 12], [10**5] * 3, True, 2),
        ([99_960, 99_980, 99_999], [10**5] * 3, True, None),  # it is done in a moment
        ([40, 80, 120, 160], [200, 240, 10**5, 10**5], True, None),  # it only began later
        ([20, 24, 28, 32, 36], [40, 80, None, None, None], True, 3),  # one look before and one after the other is gone
        ([20, 24, 28, 32, 36], [40, 80, None, None, None], False, None),  # and there is nobody else
        ([20, 60, 95, 130], [40, 80, None, None], True, None),
        ([4, 8, 12], [None, None, None], True, None),
    ],
)
def test_slow_host_is_seen_by_comparison_at_every_rate(
    monkeypatch: pytest.MonkeyPatch, own: list[int], others: list[int | None], reaches: bool, slow_at: int | None
) -> None:
    states = [other if other is None else pieces.Had(other, 0) for other in others]
    assert looked_at(monkeypatch, own, states, reaches=reaches) == slow_at


@pytest.mark.parametrize(
    ("own", "others", "slow_at"),
    [
        # It verifies what it has, ten times as fast as the link, and then receives the rest at the rate of all.
        ([40, 80, 120, 160, 200], [(400, 400), (800, 800), (1200, 1200), (1240, 1200), (1280, 1200)], None),
        ([40, 80, 120, 160], [(400, 400), (10**5, 10**5), (10**5, 10**5), (10**5, 10**5)], None),  # it has everything
        ([40, 80, 120, 160], [(10**5, 10**5), (10**5, 10**5), (10**5, 10**5), (10**5, 10**5)], None),
        ([4, 8, 12, 16], [(440, 400), (480, 400), (520, 400), (560, 400)], 2),  # the one between is slow all the same
        ([4, 8, 12, 16], [(10**5, 99_000), (10**5, 99_000), (10**5, 99_000), (10**5, 99_000)], 2),
    ],
)
def test_host_that_verifies_what_it_has_does_not_make_the_next_one_look_slow(
    monkeypatch: pytest.MonkeyPatch, own: list[int], others: list[tuple[int, int]], slow_at: int | None
) -> None:
    assert looked_at(monkeypatch, own, [pieces.Had(*other) for other in others], reaches=True) == slow_at


def looked_at(monkeypatch: pytest.MonkeyPatch, own: list[int], others: list[Any], *, reaches: bool) -> int | None:
    """The look in which a host leaves the one before it as slow, from the pieces that it and the one before have."""
    now = [0.0]
    monkeypatch.setattr(receiver.clock, "seconds", lambda: now[0])
    numbers = (2, 1, pieces.SOURCE) if reaches else (2, 1)
    candidates = [pieces.Server(number, "192.0.2.1", 1) for number in numbers]
    part = types.SimpleNamespace(path="/x", list=b"", have=0, count=10**5)
    made = receiver.Receiver(part, KEY, 3, candidates, 1, lambda: True)
    asked = iter(others)
    everything = pieces.Had(10**5, 10**5)
    monkeypatch.setattr(receiver.asking, "state", lambda server, *_given: next(asked) if server.number else everything)
    left = None
    for look, have in enumerate(own, 1):
        now[0], part.have = now[0] + receiver.LOOK_SECONDS, have
        try:
            made._look(candidates[0])
        except connection.LostError as error:
            assert error.why == connection.SLOW
            left = look
            break
    return left


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_host_that_dies_or_hangs_in_the_middle_is_passed_over(file: Path, tmp_path: Path, how: signal.Signals) -> None:
    with serving(file, limit=3 * MEGABYTE) as (server, described):
        hosts = chain_of(tmp_path, described, server.port, 4)
        hosts[1].wait_for(2 * MEGABYTE)
        assert hosts[1].process
        hosts[1].process.send_signal(how)
        results = {host.number: host.result() for host in hosts if host is not hosts[1]}
    assert all(host.path.read_bytes() == file.read_bytes() for host in hosts if host is not hosts[1])
    assert [one["number"] for one in results[3]["sources"]] == [1, 2]
    assert results[3]["left"][0]["number"] == 2
    assert results[4]["sources"] == [{"number": 3, "bytes": described.size}]


def test_host_continues_where_it_was_killed(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        host.wait_for(3 * MEGABYTE)
        assert host.process
        host.process.kill()
        host.process.communicate()
        result = host.start([(0, server.port)], is_last=True).result()
    assert result["kept"] >= 2 * MEGABYTE
    assert result["kept"] + result["received"] == described.size
    assert host.path.read_bytes() == file.read_bytes()


def test_host_that_has_everything_says_so_and_asks_while_it_verifies(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "KEEP_SECONDS", 0)
    lives: list[int] = []
    asked: list[object] = []
    monkeypatch.setattr(receiver.asking, "state", lambda *given: asked.append(given))
    with serving(file) as (server, described):
        part = part_file.PartFile(str(tmp_path / "x"), described.size, described.sha256, described.list_sha256)
        Path(part.part).write_bytes(file.read_bytes())
        candidates = [pieces.Server(0, "127.0.0.1", server.port)]
        made = receiver.Receiver(part, KEY, 1, candidates, 1, lambda: lives.append(1) is None)
        made.receive()
        until(lambda: server.done)
        assert server.done == {1}
    assert made.got == {}
    assert len(asked) == 34
    assert len(lives) > 34


class Asked:
    """A server of a host that has everything; what it was asked depends on the time."""

    def __init__(self, now: list[float], *, heard: float = 0, sending: tuple[float, float] = (0, 0)) -> None:
        self.now, self.until, self.sending = now, heard, sending
        self.done: frozenset[int] = frozenset()

    @property
    def heard(self) -> float:
        return min(self.now[0], self.until)

    @property
    def sent(self) -> float:
        first, last = self.sending
        return max(min(self.now[0], last) - first, 0)

    def active(self) -> bool:
        return self.now[0] < self.sending[1]


@pytest.mark.parametrize(
    ("server", "ready", "ends"),
    [
        ({"heard": 100}, 0, 100 + transfer.LINGER_SECONDS),
        ({}, 50, 50 + transfer.LINGER_SECONDS),  # until then another host may begin
        ({"sending": (0, 5000)}, 0, 5000 + transfer.LINGER_SECONDS),
        ({"heard": 10**9}, 0, 1000),
        ({"heard": 10**9}, 620, 1620),
        ({"heard": 10**9, "sending": (100, 200)}, 0, 1200),
    ],
)
def test_complete_file_is_offered_until_all_have_begun_and_while_somebody_gets_on(
    monkeypatch: pytest.MonkeyPatch, server: dict[str, Any], ready: float, ends: float
) -> None:
    now = [0.0]
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 1))
    monkeypatch.setattr(transfer.clock, "seconds", lambda: now[0])
    transfer._linger(Asked(now, **server), ready, 1000, lambda: True)
    assert now[0] == pytest.approx(ends, abs=2)


def test_host_whose_disk_does_not_answer_ends_by_itself_and_the_others_get_the_file(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        first, second = Host(tmp_path, 1, described), Host(tmp_path, 2, described)
        first.start([(0, server.port)], hangs=True)
        second.start([(1, first.port), (0, server.port)], is_last=True)
        assert second.result()["sha256"] == described.sha256
        result = first.result(20)
    assert result["code"] == codes.HOST_HANGS
    assert "the transfer has not got on for 1 s" in result["failed"]
    assert "What arrived is kept" in result["failed"]


def test_what_was_damaged_while_the_host_was_down_is_fetched_again(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 1, described)
        host.directory.mkdir()
        damaged = bytearray(file.read_bytes())
        damaged[3 * MEGABYTE + 7] ^= 1
        host.part.write_bytes(damaged)
        result = host.start([(0, server.port)], is_last=True).result()
    assert result["kept"] == 3 * MEGABYTE
    assert host.path.read_bytes() == file.read_bytes()


class Liar:
    """A host of the chain that sends wrong pieces."""

    def __init__(self, honest: source.Store, wrong: Callable[[bytes], bytes]) -> None:
        self.honest, self.wrong, self.count, self.have = honest, wrong, honest.count, honest.have

    def digests(self, seconds: float) -> bytes:
        return self.honest.digests(seconds)

    def piece(self, index: int, seconds: float) -> bytes:
        piece = self.honest.piece(index, seconds)
        return self.wrong(piece) if index == 20 else piece


def test_wrong_piece_is_never_kept_or_passed_on(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        liar = Server(Liar(server.store, lambda piece: b"x" + piece[1:]), KEY, 1)
        port = liar.start(0)
        host = Host(tmp_path, 2, described).start([(1, port), (0, server.port)], is_last=True)
        result = host.result()
        liar.stop()
    assert result["left"] == [{"number": 1, "why": "wrong"}]
    assert result["sources"] == [
        {"number": 0, "bytes": described.size - 5 * MEGABYTE},
        {"number": 1, "bytes": 5 * MEGABYTE},
    ]
    assert host.path.read_bytes() == file.read_bytes()


@pytest.fixture
def talker() -> Iterator[Callable[[bytes], int]]:
    """Starts a server that says something to everybody; returns its port."""
    listeners = []

    def start(words: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                listeners.append(connection)
                with contextlib.suppress(OSError):
                    connection.sendall(words)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for one in listeners:
        one.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (b"HTTP/1.0 200 OK\r\nServer: something\r\n\r\n", "wrong"),
        (f"{NONCE}\n".encode() + b"P" + b"x" * MEGABYTE, "wrong"),
        (b"", "silent"),
        (f"{NONCE}\n".encode() + b"C" + b"0" * 64, "wrong"),
    ],
)
def test_another_program_on_the_port_of_a_host_is_left(
    file: Path, tmp_path: Path, talker: Callable[[bytes], int], words: bytes, why: str
) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 2, described).start([(1, talker(words)), (0, server.port)], is_last=True)
        result = host.result()
    assert result["left"] == [{"number": 1, "why": why}]
    assert host.path.read_bytes() == file.read_bytes()


def ask(port: int, line: bytes | pieces.Request, nonce: str = "") -> bytes:
    """What a server answers to a line, or to a request with its proof."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(10)
        given = connection.recv(pieces.NONCE + 1, socket.MSG_WAITALL).decode().rstrip()
        if isinstance(line, pieces.Request):
            line = pieces.line(KEY, (nonce or given, NONCE), line) + b"\n"
        connection.sendall(line)
        return connection.recv(10)


def test_nobody_without_the_key_gets_a_byte(file: Path) -> None:
    with serving(file) as (server, _described):
        assert ask(server.port, pieces.Request(0, 1, 0))[:1] == b"P"
        for line in (
            pieces.line("00" * 32, (NONCE, NONCE), pieces.Request(0, 1, 0)) + b"\n",
            pieces.line(KEY, (NONCE, NONCE), pieces.Request(0, 1, 0)) + b"\n",
            pieces.Request(2, 1, 0),
            b"GET / HTTP/1.1\r\n\r\n",
            b"x" * 100_000,
            b"\xff\xfe\n",
            b"\n",
        ):
            with contextlib.suppress(ConnectionResetError):
                assert ask(server.port, line) == b""
        assert server.refused == 7


def test_question_ends_in_its_time_whatever_the_server_sends(talker: Callable[[bytes], int]) -> None:
    server = pieces.Server(0, "127.0.0.1", talker(f"{NONCE}\n".encode() + pieces.WAITING * 3_000_000))
    began = time.monotonic()
    assert asking.state(server, 1, KEY, 0.3) is None
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["gpu..lan", "x" * 64 + ".lan", "gpu\0lan", "no-such-host.invalid", ""])
def test_address_that_is_none_costs_only_this_candidate(file: Path, tmp_path: Path, address: str) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 2, described).start([(1, 1, address), (0, server.port)], is_last=True, patience=0)
        result = host.result()
        assert asking.state(pieces.Server(1, address, 1), 2, KEY, 1) is None
    assert result.get("received") == described.size, result
    assert result["left"][0]["number"] == 1


def test_proof_for_one_host_is_worthless_at_another() -> None:
    line = pieces.line(KEY, (NONCE, "cd" * 16), pieces.Request(3, 4, 0))
    assert pieces.asked(KEY, NONCE, line) == (pieces.Request(3, 4, 0), "cd" * 16)
    assert pieces.asked(KEY, NONCE, line.replace(b"cdcd", b"cdce")) is None
    assert pieces.asked(KEY, NONCE, line.replace(b" 3 4 0 ", b" 2 4 0 ")) is None
    assert pieces.asked(KEY, NONCE, line.replace(b" 3 4 0 ", b" 3 4 3 ")) is None
    assert pieces.asked(KEY, "cd" * 16, line) is None
    assert KEY.encode() not in line


@pytest.mark.parametrize(
    "answer",
    [
        b"P000000001",
        b"P000000001" + b"0" * 64,
        pieces.answer("00" * 32, (NONCE, NONCE), pieces.PIECE, b"000000001"),
        pieces.answer(KEY, (NONCE, NONCE), pieces.PIECE, b"000000001"),  # recorded on another connection
        pieces.CHANGED + b"0" * 64,
        pieces.answer(KEY, (NONCE, NONCE), pieces.CHANGED, b""),
    ],
)
def test_program_that_does_not_know_the_key_is_not_the_controller(
    talker: Callable[[bytes], int], file: Path, answer: bytes
) -> None:
    server = pieces.Server(pieces.SOURCE, "127.0.0.1", talker(f"{NONCE}\n".encode() + answer))
    assert asking.state(server, 1, KEY, 0.5) is None
    part = types.SimpleNamespace(path="/x", list=b"x", have=0, count=1, size=1)
    made = receiver.Receiver(part, KEY, 3, [server], 1, lambda: True)
    with pytest.raises(connection.LostError) as caught, made._connected(server, 0) as one:
        one.answer(1 << 20)
    assert caught.value.why != connection.CHANGED


def test_server_proves_that_it_knows_the_key_and_what_it_says(file: Path) -> None:
    with serving(file) as (server, _described):
        known = pieces.Server(0, "127.0.0.1", server.port)
        assert asking.state(known, 1, KEY, 5) == pieces.Had(have=34, kept=34)
        assert asking.state(known, 1, "00" * 32, 5) is None
    nonces = (NONCE, "cd" * 16)
    answer = pieces.answer(KEY, nonces, pieces.PIECE, pieces.state_text(pieces.Had(34, 34)))
    assert pieces.is_proven(KEY, nonces, answer)
    assert not pieces.is_proven(KEY, nonces, answer.replace(b"34", b"35", 1))
    assert not pieces.is_proven(KEY, nonces[::-1], answer)
    assert not pieces.is_proven(KEY, nonces, b"\xff" * 74)
    assert not pieces.is_proven(KEY, nonces, b"")


def test_request_that_was_recorded_is_worthless_on_another_connection(file: Path) -> None:
    with serving(file) as (server, _described):
        assert ask(server.port, pieces.Request(0, 1, 0), nonce=NONCE) == b""
        assert ask(server.port, pieces.Request(0, 1, pieces.STATE)) == b"P000000034"


def test_clients_that_say_nothing_are_few_and_do_not_stay(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuraltalk_provision.rules.piece_server.MOST_UNPROVED", 4)
    # Two, because the second connection of the host can come before the server has ended its first one.
    monkeypatch.setattr("neuraltalk_provision.rules.piece_server.MOST_CONNECTIONS", 2)
    with serving(file) as (server, described):
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
        time.sleep(0.3)
        assert (len(server.unproved), len(server.open), server.active()) == (4, 0, 0)
        host = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        result = host.result()
        assert (result["received"], result["left"]) == (described.size, [])
        for one in idle:
            one.close()


def test_bandwidth_is_limited(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        began = time.monotonic()
        hosts = chain_of(tmp_path, described, server.port, 2, limit=4 * MEGABYTE)
        results = [host.result() for host in hosts]
    assert time.monotonic() - began > 2
    assert all(result["seconds"] > 1.9 for result in results)


def test_limit_holds_for_all_connections_together() -> None:
    now = [100.0]
    rate = Rate(1000, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    for _ in range(10):
        rate.wait(500)
    assert now[0] == pytest.approx(104.5)


def test_file_that_changes_at_its_source_ends_the_transfer(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        hosts = chain_of(tmp_path, described, server.port, 2)
        hosts[0].wait_for(MEGABYTE)
        with file.open("r+b") as opened:
            opened.seek(7 * MEGABYTE)
            opened.write(b"other")
        result = hosts[0].result()
        assert server.changed
        assert result["code"] == codes.SOURCE_CHANGED
        hosts[1].result()
    assert [host.path.exists() for host in hosts] == [False, False]


def test_file_that_becomes_shorter_at_its_source_ends_the_transfer(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        host.wait_for(MEGABYTE)
        os.truncate(file, 4 * MEGABYTE)
        assert host.result()["code"] == codes.SOURCE_CHANGED


def test_nobody_listens_after_the_controller_has_ended(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=MEGABYTE) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)])
        host.wait_for(MEGABYTE)
        assert host.process
        assert host.process.stdout
        host.process.stdout.close()  # as when the SSH session ends
        assert host.process.wait(10) is not None
    assert host.part.stat().st_size >= MEGABYTE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", host.port))


def test_last_host_and_one_whose_follower_never_comes_end_by_themselves(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], patience=0)
        assert host.result(10)["served"] == 0


def test_host_is_told_when_nobody_has_the_file(file: Path, tmp_path: Path) -> None:
    with serving(file) as (_server, described):
        pass
    host = Host(tmp_path, 1, described)
    host.start([(0, free_port())], is_last=True, patience=0)
    result = host.result(60)
    assert result["code"] == codes.PIECES_LOST
    assert "nobody accepts a connection" in result["failed"]
    assert "refused" in result["failed"]


def test_host_that_can_ask_nobody_says_so(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        assert server.store.have == 34
        result = Host(tmp_path, 1, described).start([], is_last=True).result()
        assert (result["code"], "there is nobody" in result["failed"]) == (codes.PIECES_LOST, True)
        liar = Server(Liar(server.store, lambda piece: b"x" + piece[1:]), KEY, 1)
        result = Host(tmp_path, 2, described).start([(1, liar.start(0))], is_last=True).result()
        liar.stop()
    assert (result["code"], "nobody is left" in result["failed"]) == (codes.PIECES_LOST, True)


def test_port_that_is_in_use_is_named(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described), socket.create_server(("", 0)) as other:
        host = Host(tmp_path, 1, described)
        host.port = other.getsockname()[1]
        result = host.start([(0, server.port)]).result()
    assert result["code"] == codes.PORT_IN_USE
    assert f"port {host.port} is in use" in result["failed"]
    assert "net.ipv4.ip_local_port_range" in result["failed"]


def test_ports_are_none_that_linux_gives_to_outgoing_connections_or_kubernetes_to_its_services() -> None:
    assert 1024 < pieces.PORT < 30_000 - 1


def test_file_of_that_name_with_other_contents_stays(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 1, described)
        host.directory.mkdir()
        host.path.write_text("mine")
        assert host.start([(0, server.port)], is_last=True).result()["code"] == codes.FILE_TAKEN
        assert host.path.read_text() == "mine"
        host.given["replace"] = True
        assert host.start([(0, server.port)], is_last=True).result()["received"] == described.size
    assert host.path.read_bytes() == file.read_bytes()


def test_link_that_was_planted_for_the_incomplete_file_is_not_followed(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 1, described)
        host.directory.mkdir()
        (tmp_path / "victim").write_text("mine")
        host.part.symlink_to(tmp_path / "victim")
        host.start([(0, server.port)], is_last=True).result()
    assert (tmp_path / "victim").read_text() == "mine"
    assert host.path.read_bytes() == file.read_bytes()


def test_two_commands_do_not_write_one_file(file: Path, tmp_path: Path) -> None:
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        first = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        first.wait_for(MEGABYTE)
        second = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        assert second.result()["code"] == codes.BUSY
        assert first.result()["received"] == described.size


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=755", "none", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_host_whose_disk_is_full_leaves_and_the_others_go_on(file: Path, small_disk: Path, tmp_path: Path) -> None:
    with serving(file, limit=3 * MEGABYTE) as (server, described):
        full, other = Host(small_disk, 1, described), Host(tmp_path, 2, described)
        full.start([(0, server.port)])
        other.start([(1, full.port), (0, server.port)], is_last=True)
        full.wait_for(2 * MEGABYTE)
        with (small_disk / "somebody").open("wb") as filler, pytest.raises(OSError, match="No space left"):
            for _ in range(60):
                filler.write(bytes(MEGABYTE))
                filler.flush()
        result = full.result()
        assert result["code"] == codes.DISK_FULL
        assert "What arrived is kept" in result["failed"]
        assert other.result()["sha256"] == described.sha256


def test_disk_that_is_too_small_is_known_before(small_disk: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(content(20))
    with serving(large) as (server, described):
        result = Host(small_disk, 1, described).start([(0, server.port)]).result()
    assert result["code"] == codes.DISK_FULL
    assert "--into" in result["failed"]


def test_empty_file_is_a_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with serving(empty) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], is_last=True)
        assert host.result()["received"] == 0
    assert host.path.read_bytes() == b""


@pytest.mark.skipif(not PYTHON2.exists(), reason="there is no Python 2.7 here")
def test_python_2_7_and_3_pass_a_file_on_to_each_other(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        hosts = [Host(tmp_path, number, described) for number in (1, 2, 3)]
        for host, before, python in zip(hosts, [None, *hosts], (PYTHON2, sys.executable, PYTHON2), strict=False):
            candidates = [(before.number, before.port)] if before else []
            host.start([*candidates, (0, server.port)], python=python, is_last=host is hosts[-1])
        results = [host.result() for host in hosts]
    assert all(host.path.read_bytes() == file.read_bytes() for host in hosts)
    assert [result["sources"][0]["number"] for result in results] == [0, 1, 2]


@pytest.mark.parametrize(
    ("size", "count", "piece"),
    [(0, 0, 1), (1, 1, 1), (1 << 18, 1, 1), ((1 << 18) + 1, 2, 1), (23_000_000_000, 43870, 2), (1 << 40, 65536, 64)],
)
def test_pieces_are_small_and_not_too_many(size: int, count: int, piece: int) -> None:
    assert pieces.count(size) == count
    assert pieces.piece_size(size) == piece * MEGABYTE // 4
    assert sum(pieces.length(size, index) for index in range(count)) == size


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(errno.EAGAIN, codes.BUSY, "another command"), (errno.ENOLCK, None, "cannot be locked: No locks available")],
)
def test_file_system_without_locks_is_not_another_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str | None, words: str
) -> None:
    def fail(*_given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(part_file.fcntl, "flock", fail)
    with pytest.raises(part_file.StackError, match=words) as caught:
        part_file.PartFile(str(tmp_path / "x"), 1, "0" * 64, "0" * 64)
    assert caught.value.details.get("code") == code


def test_another_file_in_the_place_of_the_incomplete_one_does_not_get_the_name(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    part = part_file.PartFile(str(tmp_path / "x"), 0, digest, digest)
    part.use_list(b"")
    Path(part.part).unlink()
    Path(part.part).write_bytes(b"other")
    with pytest.raises(part_file.StackError, match="was removed or replaced"):
        part.finish(False)
    assert not (tmp_path / "x").exists()


def test_file_that_does_not_get_its_name_can_still_be_read_only_by_its_owner(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    part = part_file.PartFile(str(tmp_path / "x"), 0, digest, digest)
    part.use_list(b"")
    (tmp_path / "x").write_text("mine")
    with pytest.raises(part_file.StackError, match="has other contents"):
        part.finish(False)
    assert stat.S_IMODE(Path(part.part).stat().st_mode) == 0o600
    part.finish(True)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def incomplete(path: Path, text: bytes) -> Any:
    """A file of which everything was written when its host was killed, and the list of its pieces."""
    listed = hashlib.sha256(text).digest()
    part = part_file.PartFile(str(path), len(text), listed.hex(), hashlib.sha256(listed).hexdigest())
    os.write(part.handle, text)
    return part, listed


def test_incomplete_file_that_a_broken_disk_does_not_return_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No push to this host could have succeeded until somebody removed it."""
    part, listed = incomplete(tmp_path / "x", b"content")

    def broken(*_given: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", broken)
        part.use_list(listed)
    assert (part.have, Path(part.part).stat().st_size) == (0, 0)
    part.add(b"content")
    part.finish(False)
    assert (tmp_path / "x").read_bytes() == b"content"


@pytest.mark.parametrize("call", ["ftruncate", "fsync", "fchmod", "rename"])
def test_error_of_a_disk_names_the_file_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    part, listed = incomplete(tmp_path / "x", b"content")

    def broken(*_given: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched, pytest.raises(part_file.StackError, match="check the disk") as caught:
        patched.setattr(os, call, broken)
        part.use_list(listed)
        part.finish(False)
    assert f"{part.part} cannot be written: Input/output error" in str(caught.value)
    assert caught.value.details["code"] == codes.DISK_BROKEN


def test_incomplete_files_of_other_versions_are_removed_unless_they_are_in_use(file: Path, tmp_path: Path) -> None:
    with serving(file) as (server, described):
        host = Host(tmp_path, 1, described)
        host.directory.mkdir()
        old, used = (host.directory / f".file.{digit * 16}.part" for digit in "0a")
        others = [host.directory / name for name in (".file.0.part", ".file2.0000000000000000.part", ".file.part")]
        link = host.directory / f".file.{'1' * 16}.part"
        link.symlink_to(others[0])
        for one in (old, used, *others):
            one.write_bytes(b"x")
        with used.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            assert host.start([(0, server.port)], is_last=True).result()["received"] == described.size
    left = {one.name for one in host.directory.iterdir()}
    assert left == {"file", used.name, link.name, *(one.name for one in others)}


@pytest.mark.parametrize(
    ("patience", "quiet", "asked", "fails"),
    [(20, 119, (1, 2), False), (20, 121, (1, 2), True), (20, 500, (1,), False), (380, 439, (1, 2), False)],
)
def test_transfer_fails_only_after_everybody_was_asked_and_all_could_have_begun(
    monkeypatch: pytest.MonkeyPatch, patience: int, quiet: int, asked: tuple[int, ...], fails: bool
) -> None:
    monkeypatch.setattr(receiver.time, "sleep", lambda seconds: None)
    now = [1000.0]
    monkeypatch.setattr(receiver.clock, "seconds", lambda: now[0])
    candidates = [pieces.Server(number, "192.0.2.1", 1) for number in (1, 2)]
    part = types.SimpleNamespace(path="/x", list=None, have=0, count=1)
    made = receiver.Receiver(part, KEY, 3, candidates, patience, lambda: True)
    now[0] += quiet
    with pytest.raises(receiver.StackError, match="no new piece") if fails else contextlib.nullcontext():
        for number in asked:
            made._next(0, candidates[number - 1], connection.LostError(connection.CLOSED))


@pytest.mark.parametrize("python", [sys.executable, PYTHON2])
def test_step_of_the_time_of_day_does_not_end_a_transfer(file: Path, tmp_path: Path, python: str | Path) -> None:
    if not Path(python).exists():
        pytest.skip("there is no Python 2.7 here")
    with serving(file, limit=4 * MEGABYTE) as (server, described):
        host = Host(tmp_path, 1, described).start([(0, server.port)], python, steps=True, is_last=True)
        result = host.result()
    assert result["received"] == described.size
    assert result["left"] == []
    assert 1 < result["seconds"] < 30
