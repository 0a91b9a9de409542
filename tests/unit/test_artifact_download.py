"""Downloads of artifacts: continued after a cut, and whatever else a server sends is refused with both digests."""

from __future__ import annotations

import hashlib
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.rules import codes
from plugins.module_utils.host import download, web
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
GOOD = bytes(range(256)) * 2_000
SHA256 = hashlib.sha256(GOOD).hexdigest()
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Sends `content`; `cuts` are after how many bytes the connections end, one for each, and `answer` replaces all."""

    content, tag, ranges = GOOD, '"one"', True
    cuts: tuple[int, ...] = ()
    answer: Callable[[http.server.BaseHTTPRequestHandler], None] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/nn.tgz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *given: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server, asked = self.server, dict(self.headers)
        server.asked.append(asked)
        if server.answer:
            server.answer(self)
            return
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", asked.get("Range", ""))) and server.ranges else 0
        if asked.get("If-Range", server.tag) != server.tag:
            start = 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        cut = server.cuts[len(server.asked) - 1] if len(server.asked) <= len(server.cuts) else len(body)
        self.wfile.write(body[:cut])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "the 'stack'" / "artifacts"
    folder.mkdir(parents=True)
    return folder / f"{SHA256[:16]}-nn.tgz"


@pytest.fixture
def part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@pytest.fixture
def fetch(run_module: Run, path: Path, server: Server) -> Run:
    """The module, asked for that file."""

    def fetch(**more: Any) -> dict[str, Any]:
        given = {"artifact": "nn", "file": "nn.tgz", "url": server.url, "path": path, "sha256": SHA256}
        return run_module("artifact_download", **{**given, "size": len(GOOD), **more})

    return fetch


def refused(fetch: Run, *words: str, **more: Any) -> str:
    with pytest.raises(ModuleError) as caught:
        fetch(**more)
    said = str(caught.value)
    assert [word for word in ("artifact nn", "nn.tgz", *words) if word not in said] == [], said
    assert caught.value.result["code"] == codes.DOWNLOAD_FAILED
    return said


@pytest.mark.parametrize("size", [len(GOOD), 0])
def test_file_is_downloaded_whole_and_readable_by_all_users(fetch: Run, path: Path, size: int) -> None:
    assert fetch(size=size).items() >= {"tries": 1, "received": len(GOOD), "continued": 0}.items()
    assert path.read_bytes() == GOOD
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_proxies_of_the_host_are_not_used(fetch: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo can keep the proxies of a login. They are for other networks than that of the mirror."""
    monkeypatch.delenv("no_proxy")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetch()
    assert path.read_bytes() == GOOD


def test_download_that_is_cut_off_continues(fetch: Run, path: Path, server: Server) -> None:
    server.cuts = (100_000, 1, 0, 70_000)
    said = fetch()
    assert (said["tries"], said["received"]) == (5, len(GOOD))
    assert path.read_bytes() == GOOD
    assert [asked.get("Range") for asked in server.asked] == [
        None, "bytes=100000-", "bytes=100001-", "bytes=100001-", "bytes=170001-",
    ]  # fmt: skip
    assert {asked.get("If-Range") for asked in server.asked[1:]} == {'"one"'}


def test_what_arrived_is_kept_and_a_later_command_continues(fetch: Run, path: Path, part: Path, server: Server) -> None:
    server.cuts = (100_000, 0, 0, 0)
    refused(fetch, server.url, "failed 4 times", "after 100000 of 512000 bytes", "it continues")
    assert (part.read_bytes(), path.exists()) == (GOOD[:100_000], False)
    assert part.stat().st_mode & 0o777 == 0o600
    said = fetch()
    assert (said["tries"], said["received"], said["continued"]) == (1, len(GOOD) - 100_000, 100_000)
    assert path.read_bytes() == GOOD


@pytest.mark.parametrize("left", [b"x" * 1_000, GOOD[:-1] + b"x", GOOD + b"more", GOOD])
def test_whatever_an_earlier_command_left_the_file_is_right(fetch: Run, path: Path, part: Path, left: bytes) -> None:
    part.write_bytes(left)
    part.chmod(0o600)
    said = fetch()
    assert path.read_bytes() == GOOD
    assert (said["tries"] == 0) == (left == GOOD)


def test_partial_file_that_others_could_have_written_is_not_used(fetch: Run, path: Path, part: Path) -> None:
    part.write_bytes(GOOD[:9])
    part.chmod(0o666)
    assert fetch()["continued"] == 0
    path.unlink()
    (path.parent / "elsewhere").write_bytes(b"precious")
    part.symlink_to("elsewhere")
    fetch()
    assert (path.parent / "elsewhere").read_bytes() == b"precious"


def test_file_that_changes_during_the_download_is_sent_again_from_its_start(
    fetch: Run, path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.tag, server.cuts = b"x" * len(GOOD), '"old"', (100_000,)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: vars(server).update(content=GOOD, tag='"new"'))
    assert fetch()["received"] == len(GOOD) + 100_000
    assert path.read_bytes() == GOOD


def test_server_without_ranges_sends_everything_again(fetch: Run, path: Path, server: Server) -> None:
    server.ranges, server.cuts = False, (100_000,)
    assert fetch()["received"] == len(GOOD) + 100_000
    assert path.read_bytes() == GOOD


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (GOOD[:-1] + b"x", ""),
        (GOOD[:-5], ""),
        (GOOD + b"more", ""),
        (PAGE, "it is a web page"),
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_server_that_sends_other_bytes_is_named_with_both_digests(
    fetch: Run, path: Path, server: Server, content: bytes, what: str
) -> None:
    server.content = content
    said = refused(fetch, server.url, SHA256, digest(content), str(path), f"{len(content)} bytes", f"{len(GOOD)} bytes")
    assert what in said
    assert list(path.parent.iterdir()) == []


def test_file_that_does_not_end_is_not_read_for_ever(fetch: Run, path: Path, server: Server) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    server.answer = answer
    said = refused(fetch, server.url, SHA256, "at least")
    assert "not read to its end" in said
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("said", ["bytes 5-9/512000", "bytes 0-511999/512000", "", "bytes 99999999999999999-1/2"])
def test_wrong_range_is_refused(fetch: Run, part: Path, server: Server, said: str) -> None:
    part.write_bytes(GOOD[:1_000])
    part.chmod(0o600)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", said)
        handler.end_headers()

    server.answer = answer
    refused(fetch, server.url, "asked for the bytes from 1000 on")


@pytest.mark.parametrize("target", ["http://localhost:9/nn.tgz", "https://127.0.0.1/x", "file:///etc/passwd"])
def test_redirect_to_another_server_is_not_followed(fetch: Run, server: Server, target: str) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    server.answer = answer
    refused(fetch, server.url, *(["redirects to another server", "artifact_url"] if "http" in target else []))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "artifact_url needs user:password@"),
        (403, "does not give this file"),
        (404, "it has no such file"),
        (503, "failed 4 times"),
        (400, "that is not the file"),
    ],
)
def test_status_is_told_in_words(fetch: Run, path: Path, server: Server, status: int, words: str) -> None:
    server.answer = lambda handler: handler.send_error(status)
    refused(fetch, server.url, f"the status {status}", words)
    assert not [file for file in path.parent.iterdir() if file.stat().st_size]


def test_encoding_of_the_server_is_refused(fetch: Run, server: Server) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()

    server.answer = answer
    refused(fetch, server.url, "another encoding (gzip)")


def test_slow_server_is_given_up_and_the_download_continues(
    fetch: Run, path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    wait = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:50])
        handler.wfile.flush()
        server.answer = None
        wait.wait(1)

    server.answer = answer
    assert fetch()["tries"] == 2
    assert path.read_bytes() == GOOD


def test_password_is_not_sent_without_tls_and_is_in_no_message(fetch: Run, server: Server) -> None:
    said = refused(fetch, "unencrypted", login="hosts:s3cr3t-word")
    assert "s3cr3t" not in said
    assert server.asked == []


@pytest.mark.parametrize("url", ["ftp://example.org/nn.tgz", "file:///etc/passwd", "nn.tgz"])
def test_other_addresses_are_refused(fetch: Run, url: str) -> None:
    refused(fetch, "must begin with https:// or http://", url=url)


def test_certificates_that_are_none_are_refused(fetch: Run) -> None:
    refused(fetch, "artifact_ca contains no usable certificate", url="https://127.0.0.1:1/x", ca="no certificate")


def test_nobody_at_the_address(fetch: Run) -> None:
    refused(fetch, "failed 4 times", "refused", url="http://127.0.0.1:9/nn.tgz")


def test_check_mode_asks_nobody(fetch: Run, path: Path, server: Server) -> None:
    assert fetch(check=True)["changed"] is True
    assert (server.asked, list(path.parent.iterdir())) == ([], [])


def test_directory_of_another_user_is_refused(fetch: Run, path: Path, server: Server) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(ModuleError, match=r"artifact nn: a file in .* could be replaced"):
        fetch()
    assert server.asked == []


def test_text_of_a_server_cannot_change_what_is_shown() -> None:
    assert web.shown("a\x1b[2J\u202e" + "x" * 500) == "a?[2J?" + "x" * 194


def test_python_without_openssl_downloads_without_tls_and_says_why_it_cannot_with_it(
    server: Server, tmp_path: Path
) -> None:
    """Every download, also without TLS, ended with "No module named '_ssl'"."""
    program = (
        "import sys; sys.modules['_ssl'] = None; from plugins.module_utils.host import download; "
        f"wanted = download.Wanted('nn', 'nn.tgz', sys.argv[1], {SHA256!r}, {len(GOOD)}, sys.argv[2]); "
        "print(download.fetch(wanted))"
    )

    def fetched(url: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, url, str(tmp_path / "nn.tgz")]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=paths.share())

    assert fetched(server.url).returncode == 0, "without TLS nothing is missing"
    refused = fetched("https://127.0.0.1/nn.tgz")
    assert "nn.tgz cannot be downloaded from https://127.0.0.1/nn.tgz: the Python of this host was" in refused.stderr
    assert "compiled without OpenSSL (it has no module ssl). Set ansible_python_interpreter" in refused.stderr
