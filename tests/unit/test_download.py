"""Downloads by curl: resumed, bounded, checked, and a web page in place of the file is recognised."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neuraltalk_provision.catalogue.model import UrlSource
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.mirror import download

CONTENT = bytes(range(256)) * 1_000
PAGE = b"\n<!DOCTYPE html><html><title>Welcome to the proxy</title>"


@dataclass
class Server:
    """What the web server of a test does, and the ranges that it was asked for."""

    address: str = ""
    content: bytes = CONTENT
    cut: int = 0
    cuts: bool = False
    """Whether every answer is cut, and not only the first one."""
    tells_length: bool = True
    ranges: bool = True
    codes: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers.get("Range", ""))
            begin = int(state.asked[-1].removeprefix("bytes=").rstrip("-") or 0) if state.ranges else 0
            code = state.codes.pop(0) if state.codes else 206 if begin else 200
            code = 416 if begin >= len(state.content) else code
            body = state.content[begin:]
            self.send_response(code)
            if code == 206:
                self.send_header("Content-Range", f"bytes {begin}-{len(state.content) - 1}/{len(state.content)}")
            if state.tells_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut] if state.cut else body)
            state.cut *= state.cuts

        def log_message(self, *_words: object) -> None:
            pass

    web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{web.server_port}/w.bin"
    yield state
    web.shutdown()
    thread.join()
    web.server_close()


def source(address: str) -> UrlSource:
    return UrlSource(kind="url", address=address, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


def refused(cache: Path, address: str) -> ProvisionError:
    with pytest.raises(ProvisionError) as caught:
        download.fetch(cache, source(address))
    assert caught.value.advice
    return caught.value


def test_file_is_fetched_and_is_not_fetched_again(tmp_path: Path, server: Server) -> None:
    sizes: list[int] = []
    found = download.fetch(tmp_path, source(server.address), advance=sizes.append)
    assert found.read_bytes() == CONTENT
    assert sizes[-1] == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == [found.name]
    assert download.fetch(tmp_path, source(server.address)) == found
    assert server.asked == [""]


def test_transfer_that_is_cut_is_continued(tmp_path: Path, server: Server) -> None:
    server.cut = 100_000
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_transfer_that_is_cut_without_a_known_length_is_continued(tmp_path: Path, server: Server, ranges: bool) -> None:
    """A proxy that looks for viruses tells no length. What had arrived was removed, as another file."""
    server.tells_length, server.ranges, server.cut = False, ranges, 100_000
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-"] + [""] * (not ranges)


def test_transfer_that_is_always_cut_is_told_and_what_has_arrived_is_kept(tmp_path: Path, server: Server) -> None:
    server.tells_length, server.cut, server.cuts = False, 10, True
    error = refused(tmp_path, server.address)
    words = f"the connection was closed before the file was complete: 50 of {len(CONTENT):,} bytes arrived"
    assert error.message == f"{server.address}: {words}"
    assert (tmp_path / f"{source('x').sha256}.incomplete").read_bytes() == CONTENT[:50]


@pytest.mark.parametrize("ranges", [True, False])
def test_page_without_a_known_length_is_recognised(tmp_path: Path, server: Server, ranges: bool) -> None:
    server.tells_length, server.ranges, server.content = False, ranges, PAGE
    assert "what arrived is a web page" in refused(tmp_path, server.address).message
    assert server.asked == [""]


def test_settings_of_the_users_curl_do_not_change_the_file(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".curlrc").write_text('write-out = "\\n"\ninclude\ncompressed\nremote-name-all\n')
    assert download.fetch(tmp_path / "cache", source(server.address)).read_bytes() == CONTENT


def test_part_of_an_earlier_command_is_continued(tmp_path: Path, server: Server) -> None:
    (tmp_path / f"{source('x').sha256}.incomplete").write_bytes(CONTENT[:5_000])
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


def test_part_of_an_earlier_command_stays_if_curl_cannot_be_started(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many gigabytes were removed because a process could not be started."""
    part = tmp_path / f"{source('x').sha256}.incomplete"
    part.write_bytes(CONTENT[:5_000])
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ProvisionError, match="curl cannot be started"):
        download.fetch(tmp_path, source(server.address))
    assert part.read_bytes() == CONTENT[:5_000]


def test_server_without_ranges_is_asked_for_everything_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / f"{source('x').sha256}.incomplete").write_bytes(CONTENT[:5_000])
    server.ranges = False
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 1])
def test_part_that_is_wrong_is_not_used_for_ever(tmp_path: Path, server: Server, size: int) -> None:
    (tmp_path / f"{source('x').sha256}.incomplete").write_bytes(b"x" * size)
    if size == len(CONTENT):
        assert "what arrived is another file" in refused(tmp_path, server.address).message
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT


def test_busy_server_is_asked_again(tmp_path: Path, server: Server) -> None:
    server.codes = [503, 502]
    assert download.fetch(tmp_path, source(server.address)).read_bytes() == CONTENT


def test_web_page_with_code_200_is_recognised_and_removed(tmp_path: Path, server: Server) -> None:
    server.content = PAGE
    message = refused(tmp_path, server.address).message
    assert 'what arrived is a web page, titled "Welcome to the proxy", not the file' in message
    assert list(tmp_path.iterdir()) == []


def test_other_content_is_refused_with_both_digests(tmp_path: Path, server: Server) -> None:
    server.content = CONTENT[::-1]
    message = refused(tmp_path, server.address).message
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in message
    assert source("x").sha256 in message
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_too_large_is_not_fetched(tmp_path: Path, server: Server) -> None:
    server.content = CONTENT * 2
    assert "it is larger than it should be" in refused(tmp_path, server.address).message
    assert (
        not list(tmp_path.glob("*.incomplete")) or (tmp_path / f"{source('x').sha256}.incomplete").stat().st_size == 0
    )


@pytest.mark.parametrize("there", [b"", CONTENT[:5_000], CONTENT, CONTENT + b"x", b"x" * 5_000])
def test_file_of_unknown_size_is_fetched_and_continued(tmp_path: Path, server: Server, there: bytes) -> None:
    unknown = source(server.address).model_copy(update={"size": 0})
    (tmp_path / f"{unknown.sha256}.incomplete").write_bytes(there)
    if there[:1] == b"x":
        assert "what arrived is another file" in refused(tmp_path, server.address).message
    assert download.fetch(tmp_path, unknown).read_bytes() == CONTENT
    if there == CONTENT:
        assert server.asked == []


def test_file_of_unknown_size_has_a_limit(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST", 1_000)
    with pytest.raises(ProvisionError, match="it is larger than it should be"):
        download.fetch(tmp_path, source(server.address).model_copy(update={"size": 0}))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://nowhere.invalid/w", "cannot be"),
        ("http://127.0.0.1:1/w", "the server cannot be reached"),
        ("file:///nowhere/w", "there is no such file"),
        ("ftp://example.org/w", "files are fetched only from https://"),
    ],
)
def test_address_that_does_not_work_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    message = refused(tmp_path, address).message
    assert message.startswith(address)
    assert words in message


def test_file_that_the_server_does_not_have_is_told(tmp_path: Path, server: Server) -> None:
    server.codes = [404]
    assert "404" in refused(tmp_path, server.address).message
    assert "--addresses" in refused(tmp_path, "file:///nowhere/w").advice


def test_proxy_of_the_environment_is_used(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    assert download.fetch(tmp_path, source("http://nowhere.invalid/w.bin")).read_bytes() == CONTENT


def test_redirect_to_a_file_of_this_machine_is_not_followed(tmp_path: Path, server: Server) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", secret.as_uri())
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    web = http.server.HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    refused(tmp_path / "cache", f"http://127.0.0.1:{web.server_port}/w")
    web.shutdown()
    thread.join()
    web.server_close()


def test_full_disk_is_told_and_what_has_arrived_stays(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    (tmp_path / f"{source('x').sha256}.incomplete").symlink_to("/dev/full")
    message = refused(tmp_path, server.address).message
    assert "No space left on device" in message
