"""`provision data push`: what is asked of the hosts, what becomes of hosts that fail, and what is refused before."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from neuraltalk_provision import whole_file
from neuraltalk_provision.results.pushed import Place
from neuraltalk_provision.rules import codes, pieces
from neuraltalk_provision.rules.piece_server import ChangedError, Server
from neuraltalk_provision.site import limits, masters, playbook
from neuraltalk_provision.site.distribution import chain as chains
from neuraltalk_provision.site.distribution import checking, silent, source
from neuraltalk_provision.site.distribution import push as pushing
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.playbook import Outcome, Request
from plugins.module_utils.push import connection
from tests.unit import fake_ssh
from tests.unit.modules import ModuleError
from tests.unit.pushing import KEY, free_port
from tests.unit.test_cli import Capture, provision, site
from tests.unit.waiting import until

__all__ = ["site"]
Run = Callable[..., dict[str, Any]]


def place(**more: Any) -> dict[str, Any]:
    known = {"state": "absent", "have": 0, "reaches": True, "controller": "192.0.2.1", "rack": "", "connection": "0a1b"}
    return {"changed": False, "place": {"address": "192.0.2.2", **known, **more}}


class Hosts:
    """Hosts that answer as they are told; `asked` are the requests of playbooks."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.places: dict[str, Mapping[str, Any]] = {}
        self.later: list[dict[str, Mapping[str, Any]]] = []
        """What the hosts answer when they are asked again."""
        self.received: dict[str, Mapping[str, Any]] = {}
        self.failures: tuple[Failure, ...] = ()

    def run(self, request: Request, _note: Callable[[Any], None] | None = None) -> Outcome:
        self.asked.append(request)
        if request.playbook == "push_check.yml":
            places = self.places if tuple(request.limit) == ("all",) else self.later.pop(0)
            results = [(host, "pushed_file_info", result) for host, result in places.items()]
            return Outcome(0, PlayResults(tuple(results)))
        sha256 = request.variables["provision_push"]["sha256"]
        received = []
        for host, given in request.variables["provision_push_places"].items():
            file = {
                "sha256": sha256,
                "received": 5,
                "kept": 0,
                "seconds": 0.5,
                "sources": [{"number": given["number"] - 1, "bytes": 5}],
                "left": [],
                "served": 0,
            }
            if host not in {failure.host for failure in self.failures}:
                received.append(
                    (host, "pushed_file", {"changed": True, "file": {**file, **self.received.get(host, {})}})
                )
        return Outcome(0, PlayResults(tuple(received), self.failures))


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, site: Path) -> Hosts:
    made = Hosts()
    monkeypatch.setattr(playbook, "run", made.run)
    monkeypatch.setattr(pieces, "PORT", free_port())
    (site / "data.h5").write_bytes(b"12345")
    return made


def push(capsys: Capture, *words: object) -> tuple[int, str, str]:
    return provision(capsys, "data", "push", "data.h5", "--to", "all", "--port", free_port(), *words)


def test_hosts_get_the_file_from_each_other(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(), "b": place(state="present"), "c": place()}
    code, out, _ = push(capsys, "--limit-rate", "2M", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["present"] == ["b"]
    assert document["order"] == ["a", "c"]
    assert document["hosts"]["c"]["from"] == {"a": 5}
    assert Path(document["lists"]["done"]).read_text() == "a\nb\nc\n"
    check, transfer = hosts.asked
    assert transfer.limit == ["a", "c"]
    assert transfer.variables["provision_push"]["limit"] == 2_000_000
    assert transfer.variables["provision_push"]["path"] == "/opt/neuraltalk/data/data.h5"
    assert len(transfer.variables["provision_push_secret"]) == 64
    assert check.variables["provision_push_secret"] == transfer.variables["provision_push_secret"]


def test_every_transfer_has_another_key(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place()}
    push(capsys)
    push(capsys)
    keys = {one.variables["provision_push_secret"] for one in hosts.asked if one.playbook == "push.yml"}
    assert len(keys) == 2


def test_all_hosts_of_a_chain_work_at_once(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {f"h{number}": place() for number in range(120)}
    assert push(capsys)[0] == 0
    assert hosts.asked[1].forks == 120
    assert hosts.asked[1].variables["provision_push"]["patience"] == 56


def test_hosts_that_fail_are_listed_and_the_others_are_done(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(), "b": place(state="other"), "c": place()}
    hosts.failures = (Failure("c", "Receive the file", "no space", code=codes.DISK_FULL),)
    code, out, err = push(capsys)
    assert code == 1
    assert "1 host has /opt/neuraltalk/data/data.h5" in out
    assert "b: /opt/neuraltalk/data/data.h5 is there, and has other contents or can be" in err
    assert "use --replace" in err
    assert "the disk is full" in err
    assert "failed.txt" in err


def same(directory: str, machine: str = "") -> dict[str, Any]:
    """The identity of a host with that directory."""
    return {"machine": machine * 32, "directories": [directory * 32], "filesystem": "nfs4 on nas:/data"}


def test_hosts_with_one_directory_get_the_file_once_and_the_others_are_asked_again(
    capsys: Capture, hosts: Hosts
) -> None:
    hosts.places = {
        "a": place(identity=same("1"), reaches=False),
        "b": place(identity=same("1")),
        "c": place(identity=same("2", "e")),
        "d": place(identity=same("2", "e")),
        "e": place(identity=same("3", "e")),
    }
    hosts.later = [{"a": place(state="present"), "d": place(state="present")}]
    code, out, err = push(capsys, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["order"] == ["b", "c", "e"]
    assert document["shared"] == {"a": "b", "d": "c"}
    assert Path(document["lists"]["done"]).read_text() == "a\nb\nc\nd\ne\n"
    assert [(one.playbook, sorted(one.limit)) for one in hosts.asked[1:]] == [
        ("push.yml", ["b", "c", "e"]),
        ("push_check.yml", ["a", "d"]),
    ]


def test_name_that_seemed_to_share_the_directory_and_lacks_the_file_is_a_failure(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(checking, "_sleep", waited.append)
    hosts.places = {host: place(identity=same("1")) for host in "abc"}
    hosts.later = [{"b": place(), "c": place()}, {"b": place(state="present"), "c": place()}, {"c": place()}]
    hosts.later += [{"c": place()} for _ in checking.PAUSES[3:]]
    code, out, err = push(capsys)
    assert code == 1
    assert tuple(waited) == checking.PAUSES[1:]  # a shared disk can show it a minute late
    assert sum(waited) > 60
    assert "2 hosts have" in out
    assert "c: /opt/neuraltalk/data/data.h5 is not there, although a has it" in err
    assert "b: " not in err


def test_names_of_a_host_that_failed_fail_too(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(identity=same("1")), "b": place(identity=same("1"))}
    hosts.failures = (Failure("a", "Receive the file", "no space", code=codes.DISK_FULL),)
    code, _, err = push(capsys)
    assert code == 1
    assert "b: it shares the directory with a, which did not get the file" in err
    assert len(hosts.asked) == 2


def test_plan_says_which_hosts_have_one_directory(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {
        "a": place(identity=same("1", "e")),
        "b": place(identity=same("1", "e")),
        "c": place(identity=same("1")),
        "d": place(state="present", identity=same("2")),
        "e": place(identity=same("2")),
    }
    code, out, _ = push(capsys, "--plan")
    assert code == 0
    assert "b is the same machine as a: nothing is sent to it" in out
    assert "c shares the directory (nfs4 on nas:/data) with a: nothing is sent to it" in out
    assert "e shares the directory (nfs4 on nas:/data) with d" in out
    assert len(hosts.asked) == 1


def test_lists_that_cannot_be_written_do_not_hide_what_became_of_the_hosts(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(whole_file, "write", fail)
    hosts.places = {"a": place(), "b": place()}
    assert push(capsys)[0] == 0
    hosts.failures = (Failure("b", "Receive the file", "no space", code=codes.DISK_FULL),)
    code, out, err = push(capsys)
    assert code == 1
    assert "1 host has" in out
    assert "b, Receive the file: " in err
    assert "no lists of the hosts were written: " in err
    assert "No space left on device" in err


def test_replace_is_passed_on(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"b": place(state="other")}
    assert push(capsys, "--replace")[0] == 0
    assert hosts.asked[1].variables["provision_push"]["replace"] is True


def test_port_that_is_closed_between_hosts_is_named(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(), "b": place()}
    hosts.received = {"b": {"left": [{"number": 1, "why": "unreachable"}], "sources": [{"number": 0, "bytes": 5}]}}
    code, out, err = push(capsys)
    assert code == 0
    assert "b: a could not be reached at port" in out + err
    assert "open this port between the hosts" in out + err


def test_answer_of_another_digest_is_a_failure(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place()}
    hosts.received = {"a": {"sha256": "0" * 64}}
    code, _, err = push(capsys)
    assert code == 1
    assert "a: " in err


@pytest.mark.parametrize(
    "wrong", [{"received": -1}, {"sources": [{"number": 0}]}, {"left": [{"number": 0, "why": "x"}]}]
)
def test_hostile_answer_fails_alone(capsys: Capture, hosts: Hosts, wrong: dict[str, Any]) -> None:
    hosts.places = {"a": place(), "b": place()}
    hosts.received = {"a": wrong}
    code, out, err = push(capsys)
    assert code == 1
    assert "1 host has" in out
    assert "a, pushed_file: its result is not as expected" in err


def test_plan_says_the_order_and_changes_nothing(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(rack="x"), "b": place(rack="y"), "c": place(rack="x", have=2_000_000)}
    code, out, _ = push(capsys, "--plan")
    assert code == 0
    assert "a from controller" in out
    assert "c from a, has 2 MB" in out
    assert "b from c" in out
    assert "from one rack to another: 1 of 3" in out
    assert [one.playbook for one in hosts.asked] == ["push_check.yml"]


def test_hosts_that_cannot_reach_the_controller_get_it_over_ssh(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(masters, "forward", lambda name, port: asked.append(name) or 4711)
    hosts.places = {"a": place(reaches=False, connection="s1"), "b": place(reaches=False, connection="s2")}
    assert push(capsys)[0] == 0
    assert asked == ["s1", "s2"]
    places = hosts.asked[1].variables["provision_push_places"]
    assert places["a"]["candidates"] == [{"number": 0, "address": "127.0.0.1", "listen": 4711}]


@pytest.mark.parametrize(
    ("reaching", "forwarded"),
    [("a", ["b", "c", "d"]), ("b", ["a", "c", "d"]), ("ab", ["c", "d", "e"]), ("abc", []), ("abcde", [])],
)
def test_fleet_does_not_depend_on_one_host_that_reaches_the_controller(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, reaching: str, forwarded: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(masters, "forward", lambda name, port: asked.append(name) or 4711)
    hosts.places = {host: place(reaches=host in reaching, connection=host) for host in "abcde"}
    assert push(capsys)[0] == 0
    assert asked == forwarded
    places = hosts.asked[1].variables["provision_push_places"]
    ways = {
        host: [one["address"] for one in given["candidates"] if not one["number"]] for host, given in places.items()
    }
    wanted = {
        host: ["192.0.2.1"] if host in reaching else ["127.0.0.1"] if host in forwarded else [] for host in "abcde"
    }
    assert ways == wanted


def test_no_way_to_the_controller_is_said_with_the_port(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masters, "forward", lambda name, port: 0)
    hosts.places = {"a": place(reaches=False)}
    code, _, err = push(capsys)
    assert code == 2
    assert "no host reaches this machine" in err
    assert "192.0.2.1" in err
    assert "AllowTcpForwarding" in err


def test_file_that_changes_is_said_and_not_the_hosts(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.places = {"a": place()}
    before = hosts.run

    def run(request: Request, _note: Callable[[Any], None] | None = None) -> Outcome:
        if request.playbook == "push.yml":
            Path("data.h5").write_bytes(b"other")
            address = ("127.0.0.1", request.variables["provision_push"]["controller_port"])
            with socket.create_connection(address) as asking:
                nonce = asking.recv(pieces.NONCE + 1, socket.MSG_WAITALL).decode().rstrip()
                line = pieces.line(request.variables["provision_push_secret"], (nonce, nonce), pieces.Request(0, 1, 0))
                asking.sendall(line + b"\n")
                assert asking.recv(1) == pieces.CHANGED
        return before(request)

    monkeypatch.setattr(playbook, "run", run)
    code, _, err = push(capsys)
    assert code == 2
    assert "was changed while it was pushed" in err


def test_disk_of_this_machine_that_fails_is_not_a_file_that_was_changed(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.places = {"a": place()}
    before = hosts.run

    def fail(*_given: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    def run(request: Request, _note: Callable[[Any], None] | None = None) -> Outcome:
        if request.playbook == "push.yml":
            monkeypatch.setattr(source, "_read", fail)
            port = request.variables["provision_push"]["controller_port"]
            server = pieces.Server(0, "127.0.0.1", port)
            key = request.variables["provision_push_secret"]
            with (
                pytest.raises(connection.LostError) as caught,
                connection.Connection(server, 1, key, 0, lambda: 5) as one,
            ):
                one.answer(5)
            assert caught.value.why == connection.CHANGED  # the hosts stop
        return before(request)

    monkeypatch.setattr(playbook, "run", run)
    code, _, err = push(capsys)
    assert code == 2
    assert "data.h5 cannot be read: Input/output error" in err
    assert "was changed" not in err


def test_port_of_this_machine_that_is_in_use_is_said(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuraltalk_provision.rules.piece_server.BIND_SECONDS", 0)
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1] - 1
        code, _, err = provision(capsys, "data", "push", "data.h5", "--to", "all", "--port", port)
    assert code == 2
    assert f"port {port + 1} is in use" in err
    assert "net.ipv4.ip_local_port_range" in err
    assert hosts.asked == []


@pytest.mark.parametrize(
    "name", ["a b.h5", "-rf", ".hidden", "a\nb", "ä.h5", "a;b", "a'b", "x" * 201, "a{{b}}", "\udcff"]
)
def test_hostile_name_is_refused_before_anything_is_asked(capsys: Capture, hosts: Hosts, site: Path, name: str) -> None:
    code, _, err = provision(capsys, "data", "push", "--to", "all", "--", site / name)
    assert code == 2
    assert "is not a name for a file that is pushed" in err
    assert hosts.asked == []


@pytest.mark.parametrize("directory", ["data", "/a/../etc", "/a b", "/a\nb", "/{{ lookup('pipe', 'id') }}", "~/x"])
def test_hostile_directory_is_refused(capsys: Capture, hosts: Hosts, directory: str) -> None:
    code, _, err = push(capsys, "--into", directory)
    assert (code, hosts.asked) == (2, [])
    assert "must be an absolute path" in err


@pytest.mark.parametrize(("text", "value"), [("", 0), ("1M", 10**6), ("12.5M", 12_500_000), ("2G", 2 * 10**9)])
def test_rates_are_bytes_per_second(text: str, value: int) -> None:
    from neuraltalk_provision.cli.push import rate

    assert rate(text) == value


@pytest.mark.parametrize(("option", "limit"), [("", 50_000_000), ("2M", 2_000_000), ("0", 0)])
def test_rate_of_the_settings_is_the_default(
    capsys: Capture, hosts: Hosts, site: Path, option: str, limit: int
) -> None:
    with (site / "provision.yml").open("a") as settings:
        settings.write("push_rate: 50M\n")
    hosts.places = {"a": place()}
    push(capsys, *(["--limit-rate", option] if option else []))
    assert [one.variables["provision_push"]["limit"] for one in hosts.asked] == [limit, limit]


@pytest.mark.parametrize("text", ["1K", "999999", "50Mbit", "-1M", "1e9", "1 M", "M", "9" * 30])
def test_wrong_rates_are_refused(capsys: Capture, hosts: Hosts, text: str) -> None:
    code, _, err = push(capsys, f"--limit-rate={text}")
    assert (code, hosts.asked) == (2, [])
    assert "1 Mbit/s is 125K" in err


def test_what_is_not_a_file_is_refused(capsys: Capture, hosts: Hosts, site: Path) -> None:
    os.mkfifo(site / "pipe")
    (site / "folder").mkdir()
    for name, words in (("pipe", "not an ordinary file"), ("folder", "with tar"), ("missing", "No such file")):
        code, _, err = provision(capsys, "data", "push", name, "--to", "all")
        assert (code, hosts.asked) == (2, [])
        assert words in err


def test_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x")
    with source.opened(file) as handle, file.open("ab") as more:
        described = source.describe(file, handle)
        more.write(b"y")
        more.flush()
        assert source.Store(handle, described).piece(0, 0) == b"x"
        os.truncate(file, 0)
        with pytest.raises(ChangedError):
            source.Store(handle, described).piece(0, 0)


def test_host_knows_what_it_has(run_module: Run, tmp_path: Path) -> None:
    path = tmp_path / "data"
    sha256 = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    given = {"path": path, "size": 5, "sha256": sha256, "address": "a", "key": KEY, "listen": free_port()}
    assert run_module("pushed_file_info", **given)["place"]["state"] == "absent"
    (tmp_path / f".data.{sha256[:16]}.part").write_bytes(b"123")
    assert run_module("pushed_file_info", **given)["place"]["have"] == 3
    path.write_bytes(b"12345")
    assert run_module("pushed_file_info", **given)["place"]["state"] == "present"
    path.write_bytes(b"12346")
    assert run_module("pushed_file_info", **given)["place"]["state"] == "other"
    path.unlink()
    path.symlink_to("nowhere")
    assert run_module("pushed_file_info", **given)["place"]["state"] == "other"


def test_host_says_which_machine_and_directory_it_has(run_module: Run, tmp_path: Path) -> None:
    first = run_module("pushed_file_info", **checked(tmp_path / "new" / "data"))["place"]["identity"]
    (tmp_path / "link").symlink_to(tmp_path)
    assert run_module("pushed_file_info", **checked(tmp_path / "link" / "new" / "data"))["place"]["identity"] == first
    other = run_module("pushed_file_info", **checked(tmp_path / "other" / "data"))["place"]["identity"]
    assert first["machine"] == other["machine"]
    assert not set(first["directories"]) & set(other["directories"])


@pytest.mark.slow
def test_host_says_whether_it_reaches_the_controller(run_module: Run, tmp_path: Path) -> None:
    given = {"path": tmp_path / "x", "size": 5, "sha256": "0" * 64, "address": "a", "controller": "127.0.0.1"}
    (tmp_path / "data").write_bytes(b"12345")
    with source.opened(tmp_path / "data") as handle:
        server = Server(source.Store(handle, source.describe(tmp_path / "data", handle)), KEY, pieces.SOURCE)
        port = server.start(0)
        assert run_module("pushed_file_info", key=KEY, listen=port, **given)["place"]["reaches"] is True
        assert run_module("pushed_file_info", key="00" * 32, listen=port, **given)["place"]["reaches"] is False
        server.stop()
    assert run_module("pushed_file_info", key=KEY, listen=port, **given)["place"]["reaches"] is False
    none = {**given, "controller": ""}
    assert run_module("pushed_file_info", key=KEY, listen=port, **none)["place"]["reaches"] is False


def test_host_with_too_little_space_says_so_before(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="--into") as caught:
        run_module(
            "pushed_file_info", path=tmp_path / "x", size=1 << 44, sha256="0" * 64, address="a", key=KEY, listen=1
        )
    assert caught.value.result["code"] == codes.DISK_FULL


@pytest.mark.parametrize(
    ("facts", "words", "code"),
    [
        ({"writable": False}, "cannot be written", codes.FILE_DENIED),
        ({"files": 0}, "no inodes left", codes.DISK_FULL),
        ({"files": None}, "", ""),
    ],
)
def test_plan_sees_a_disk_on_which_no_file_can_be_created(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], words: str, code: str
) -> None:
    from plugins.module_utils.host import disk

    usual = disk.facts
    monkeypatch.setattr(disk, "facts", lambda root: {**usual(root), **facts})
    missing = checked(tmp_path / "new" / "data")
    if words:
        with pytest.raises(ModuleError, match=words) as caught:
            run_module("pushed_file_info", **missing)
        assert caught.value.result["code"] == code
    else:
        assert run_module("pushed_file_info", **missing)["place"]["state"] == "absent"
    (tmp_path / "data").write_bytes(b"12345")
    assert run_module("pushed_file_info", **checked(tmp_path / "data"))["place"]["state"] == "present"


def test_directory_that_others_can_replace_is_refused(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    given = {"size": 5, "sha256": "0" * 64, "list_sha256": "0" * 64, "key": "k", "number": 1, "candidates": []}
    with pytest.raises(ModuleError, match="chmod go-w"):
        run_module("pushed_file", path=tmp_path / "open" / "x", listen=free_port(), **given)
    assert run_module("pushed_file", check=True, path=tmp_path / "x", listen=1, **given)["changed"] is True


def test_address_of_this_machine_is_the_one_on_the_way(load: Callable[[str], ModuleType]) -> None:
    from plugins.action.pushed_file_info import own_address

    assert own_address("127.0.0.1") == "127.0.0.1"
    assert own_address("no such host.invalid") == ""
    assert own_address("") in ("", "127.0.0.1", "::1")


def test_ssh_forwards_only_over_a_connection_of_this_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "ssh"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$@" >>"$0.asked"\necho 4711\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    (masters.directory() / "0a1b2c").touch()
    assert masters.forward("0a1b2c", 5) == 4711
    assert masters.forward("../0a1b2c", 5) == 0
    assert masters.forward("", 5) == 0
    assert masters.forward("missing", 5) == 0
    assert masters.close("0a1b2c")
    assert not masters.close("missing")
    asked = (tmp_path / "bin" / "ssh.asked").read_text().splitlines()
    assert [line.partition("-O ")[2] for line in asked] == ["forward -R 127.0.0.1:0:127.0.0.1:5 shared", "exit shared"]
    script.write_text("#!/bin/sh\necho 4711\nexit 255\n")
    assert masters.forward("0a1b2c", 5) == 0
    assert not masters.close("0a1b2c")
    masters.end()
    assert masters.forward("0a1b2c", 5) == 0


@pytest.mark.slow
def test_this_machine_receives_a_file_by_ansible(site: Path, tmp_path: Path, capsys: Capture) -> None:
    (site / "data.h5").write_bytes(os.urandom(3_000_000))
    into = tmp_path / "into"
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = site / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"here": {**variables, "ansible_host": "127.0.0.1"}}}}))
    code, out, err = push(capsys, "--into", into, "-i", inventory, "--json")
    assert code == 0, err
    assert json.loads(out)["hosts"]["here"]["received"] == 3_000_000
    assert (into / "data.h5").read_bytes() == (site / "data.h5").read_bytes()
    code, out, _ = push(capsys, "--into", into, "-i", inventory)
    assert (code, "has it" in out) == (0, True)


def test_check_may_take_as_long_as_a_large_file_needs_and_connections_last_longer() -> None:
    assert playbook.TASK_LIMITS["push_check.yml"] == 3600
    persist = re.search(r"ControlPersist=([0-9]+)s", checking.SSH)
    assert persist
    assert int(persist[1]) > playbook.TASK_LIMITS["push_check.yml"]


@pytest.mark.slow
def test_ssh_arguments_of_the_inventory_come_before_those_of_the_push(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """node1 has arguments in the inventory, node2 has none."""
    ssh = fake_ssh.put_on_path(tmp_path, monkeypatch)
    inventory = fake_ssh.inventory(tmp_path / "hosts.yml", 2)
    content = yaml.safe_load(inventory.read_text(encoding="utf-8"))
    content["all"]["hosts"]["node1"] = {"ansible_ssh_args": "-o ProxyJump=gate.example.org"}
    inventory.write_text(yaml.safe_dump(content), encoding="utf-8")
    variables = {"path": "/x/y", "size": 1, "sha256": "0" * 64, "controller": "", "controller_port": free_port()}
    secret = {"provision_push_secret": KEY}
    playbook.run(
        Request(
            "push_check.yml", inventory, {"provision_push": variables, **secret}, ssh_args="-o ServerAliveInterval=5"
        )
    )
    for host, own in (("node1", True), ("node2", False)):
        asked = " ".join(call for call in ssh.calls if f" {host} " in call)
        assert ("ServerAliveInterval=5" in asked, "gate.example.org" in asked) == (not own, own)


def checked(path: Path, content: bytes = b"12345") -> dict[str, Any]:
    """What the module is asked about a file that should have these contents."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": path, "size": len(content), "sha256": sha256, "address": "a", "key": KEY, "listen": free_port()}


def test_file_that_another_user_can_change_does_not_count_as_the_file(run_module: Run, tmp_path: Path) -> None:
    path, own = tmp_path / "data", tmp_path / "own"
    own.write_bytes(b"12345")
    path.symlink_to(own)
    assert run_module("pushed_file_info", **checked(path))["place"]["state"] == "other"
    path.unlink()
    path.write_bytes(b"12345")
    path.chmod(0o664)
    assert run_module("pushed_file_info", **checked(path))["place"]["state"] == "other"
    path.chmod(0o644)
    assert run_module("pushed_file_info", **checked(path))["place"]["state"] == "present"
    if os.geteuid() == 0:
        os.chown(path, 1234, -1)
        assert run_module("pushed_file_info", **checked(path))["place"]["state"] == "other"
    path.unlink()
    os.mkfifo(path)
    assert run_module("pushed_file_info", **checked(path))["place"]["state"] == "other"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_plan_sees_a_directory_in_which_others_can_write(run_module: Run, tmp_path: Path, mode: int) -> None:
    place = tmp_path / "open"
    place.mkdir()
    os.chown(place, -1, 12345)
    place.chmod(mode)
    with pytest.raises(ModuleError, match="chmod go-w it, or use another --into"):
        run_module("pushed_file_info", **checked(place / "x"))
    given = {"size": 5, "sha256": "0" * 64, "list_sha256": "0" * 64, "key": "k", "number": 1, "candidates": []}
    with pytest.raises(ModuleError, match="use another --into"):
        run_module("pushed_file", path=place / "x", listen=free_port(), **given)


def test_directory_of_that_name_is_refused_before_anything_is_sent(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ModuleError, match="is a directory") as caught:
        run_module("pushed_file_info", **checked(tmp_path / "x"))
    assert caught.value.result["code"] == codes.FILE_TAKEN
    given = {"size": 5, "sha256": "0" * 64, "list_sha256": "0" * 64, "key": "k", "number": 1, "candidates": []}
    with pytest.raises(ModuleError, match="is a directory"):
        run_module("pushed_file", path=tmp_path / "x", listen=free_port(), replace=True, **given)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_in_the_place_of_the_directory_is_named_before_anything_is_sent(
    kind: str, run_module: Run, tmp_path: Path
) -> None:
    if kind == "link":
        (tmp_path / "data").symlink_to("/mnt/not-mounted/data")
    else:
        (tmp_path / "data").write_text("x")
    given = {"size": 5, "sha256": "0" * 64, "list_sha256": "0" * 64, "key": KEY, "number": 1, "candidates": []}
    for path in (tmp_path / "data" / "x", tmp_path / "data" / "below" / "x"):
        with pytest.raises(ModuleError, match=f"{tmp_path}/data is a {kind}.* directory"):
            run_module("pushed_file_info", **checked(path))
        with pytest.raises(ModuleError, match=f"{tmp_path}/data is a {kind}.* directory"):
            run_module("pushed_file", path=path, listen=free_port(), **given)


def test_host_that_hangs_does_not_make_the_command_wait_for_ever(capsys: Capture, hosts: Hosts) -> None:
    hosts.places = {"a": place(), "b": place()}
    hosts.failures = (Failure("b", "Receive the file", "Timed out after 1821 second(s).", code=codes.HOST_HANGS),)
    code, out, err = push(capsys)
    assert code == 1
    assert "did not end in the time that it may take" in err
    assert "1 host has" in out
    given = hosts.asked[1].variables["provision_push"]
    assert hosts.asked[1].task_limit > given["patience"] + silent.TIMES * given["wait"]


@pytest.mark.parametrize(("size", "limit", "seconds"), [(0, 0, 0), (10**9, 0, 4000), (10**9, 10**8, 40)])
def test_time_in_which_a_host_must_end_follows_from_the_size(size: int, limit: int, seconds: int) -> None:
    request = checking.Request(Path("x"), "x", "/x", ("a",), limit)
    assert pushing.longest(request, size, 20, 600) == 20 + 2400 + seconds


def links(**more: Any) -> dict[str, chains.Link]:
    return chains.make({host: Place.model_validate(place(**more)["place"]) for host in ("a", "b", "c")})


def test_host_is_silent_if_it_has_not_ended_and_did_not_tell_that_it_gets_on() -> None:
    heard = {1: 150.0, 2: 100.0}
    assert silent.silent(links(), (), heard, 50, 190, 60) == ["b", "c"]
    assert silent.silent(links(), ("b",), heard, 50, 190, 60) == ["c"]
    assert silent.silent(links(), (), heard, 150, 190, 60) == []  # not all need to have begun
    assert silent.silent(links(reaches=False), (), heard, 50, 190, 60) == []  # they cannot tell


def test_connection_of_a_silent_host_is_closed_and_the_others_are_waited_for(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a program that is stopped: its connection is alive, and nothing else ends."""
    hosts.places = {"a": place(connection="0a"), "b": place(connection="0b")}
    hosts.failures = (Failure("b", "Receive the file", "Shared connection to b closed.", unreachable=True),)
    closed = list[str]()
    monkeypatch.setattr(silent, "POLL", 0.01)
    monkeypatch.setattr(silent, "TIMES", 0)
    monkeypatch.setattr(pushing, "PATIENCE", 0)
    monkeypatch.setattr(pushing, "PATIENCE_PER_HOST", 0)
    monkeypatch.setattr(masters, "close", lambda name: closed.append(name) or True)

    def run(request: Request, note: Callable[[Any], None] = lambda _event: None) -> Outcome:
        if request.playbook == "push.yml":
            note({"event": "runner_on_ok", "event_data": {"host": "a"}})
            until(lambda: "0b" in closed)
        return hosts.run(request)

    monkeypatch.setattr(playbook, "run", run)
    code, out, err = push(capsys)
    assert (code, closed[-1]) == (1, "0b")
    assert "1 host has" in out
    assert "(push_wait), and was given up: its program is stopped" in err


def test_more_hosts_than_this_machine_has_open_files_for_are_refused(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "forks", lambda wanted: wanted - 1)
    hosts.places = {"a": place(), "b": place()}
    code, _, err = push(capsys)
    assert code == 2 and "2 hosts must receive at the same time" in err and "ulimit -Hn" in err
    assert [request.playbook for request in hosts.asked] == ["push_check.yml"]
