"""A mirror that the real nginx serves with docs/nginx.conf, servers that are wrong, and connections that are cut."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision.mirror import cache_entry, lock
from neuraltalk_provision.site import packs
from tests.lab import ansible, shell
from tests.lab.paths import ROOT

PASSWORD = "s3cr3t p@ss/w0rd"
ENCODED = "s3cr3t%20p%40ss%2Fw0rd"
GENERATION, LINKED = "0a1b2c3d4e5f6071", "f" * 16
TEXTS = ("'done'", "ansible_failed_result.msg")


def openssl(*words: str | Path, cwd: Path) -> None:
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)


def certificates(folder: Path, name: str) -> Path:
    """Make a CA and a certificate of it for localhost; the file of the CA."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    ca = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl(
        "req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *ca, cwd=folder
    )
    openssl("req", *key[:-2], "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr", cwd=folder)
    (folder / "more").write_text(
        "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n", encoding="utf-8"
    )
    signed = ("-in", "server.csr", "-CA", f"{name}.pem", "-CAkey", f"{name}.key", "-days", "2", "-extfile", "more")
    openssl("x509", "-req", *signed, "-out", "server.pem", cwd=folder)
    return folder / f"{name}.pem"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def configured(folder: Path, mirror: Path, port: int) -> str:
    """docs/nginx.conf as it is, but for its places and its port."""
    text = (ROOT / "docs" / "nginx.conf").read_text(encoding="utf-8")
    for before, after in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("mirror.example.org", "localhost"),
        ("/etc/nginx/neuraltalk-mirror.", f"{folder}/neuraltalk-mirror."),
        ("/srv/mirror/", f"{mirror}/"),
    ):
        assert before in text
        text = text.replace(before, after)
    return text


@contextmanager
def nginx(folder: Path, text: str, port: int) -> Iterator[None]:
    """The real nginx with this configuration of a server."""
    shell.need("nginx", "nginx-light")
    user = "" if os.geteuid() else "user root; "  # the directory belongs to us alone
    (folder / "site.conf").write_text(text, encoding="utf-8")
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log {folder}/access.log; {places} include {folder}/site.conf; }}\n",
        encoding="utf-8",
    )
    with subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.PIPE, text=True) as running:
        try:
            for _ in range(100):
                with socket.socket() as asked:
                    if not asked.connect_ex(("127.0.0.1", port)):
                        break
                assert running.poll() is None, running.stderr and running.stderr.read()
                time.sleep(0.05)
            yield
        finally:
            running.terminate()


@dataclass(frozen=True)
class Case:
    """A file that the role downloads from an address, with a CA; cases of the same `host` share their artifacts."""

    name: str
    entry: dict[str, Any]
    url: str
    ca: str
    host: str = ""

    def path(self, folder: Path) -> Path:
        return folder / "hosts" / (self.host or self.name) / f"{self.entry['sha256'][:16]}-{self.entry['file']}"

    def tasks(self, folder: Path) -> list[dict[str, Any]]:
        variables = {
            "artifact_file": self.entry,
            "artifact_mirror": "/nowhere",
            "artifact_directory": str(self.path(folder).parent),
            "artifact_url": self.url,
            "artifact_ca": self.ca,
        }
        role = {"ansible.builtin.include_role": {"name": "neuraltalk.provision.artifact"}, "vars": variables}
        good, bad = (
            {"ansible.builtin.set_fact": {"said": f"{{{{ said | combine({{name: {text}}}) }}}}"}} for text in TEXTS
        )
        return [{"block": [role, good], "rescue": [bad], "vars": {"name": self.name}}]


class Site:
    """A mirror that nginx serves, and this machine as a host that downloads from it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mirror, self.port = folder, folder / "mirror", free_port()
        self.mirror.mkdir()
        for number, name in enumerate(("torch.tar", "nn.tgz", "unlisted.tar", ".hidden")):
            (self.mirror / name).write_bytes(random.Random(number).randbytes(3_000_000 if number < 1 else 20_000))
        entries = [lock.Entry(**self.entry(file), role="torch") for file in ("torch.tar", "nn.tgz")]
        lock.write(self.mirror, lock.Lock(artifacts=tuple(entries)))
        (self.mirror / "linked.tgz").symlink_to("/etc/passwd")
        self.packed = self.mirror / packs.DIRECTORY / GENERATION / cache_entry.file_of(GENERATION)
        self.packed.parent.mkdir(parents=True)
        for file in (self.packed, self.packed.with_name("entry.json"), self.packed.with_name(".incoming-1.tar")):
            file.write_bytes(random.Random(5).randbytes(20_000))
        (self.packed.parent.parent / LINKED).mkdir()
        (self.packed.parent.parent / LINKED / cache_entry.file_of(LINKED)).symlink_to("/etc/passwd")
        self.ca = certificates(folder, "site-ca")
        for name, end in (("server.pem", "pem"), ("server.key", "key")):
            shutil.copy(folder / name, folder / f"neuraltalk-mirror.{end}")
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout
        (folder / "neuraltalk-mirror.users").write_text(f"hosts:{hashed}", encoding="utf-8")
        self._list()
        self.conf = configured(folder, self.mirror, self.port)

    def _list(self) -> None:
        """The list of files, by the command in docs/serve.md."""
        (command,) = re.findall(
            r"^ *(sed -n .*)$", (ROOT / "docs" / "serve.md").read_text(encoding="utf-8"), re.MULTILINE
        )
        command = command.replace("/srv/mirror", str(self.mirror)).replace("/etc/nginx", str(self.folder))
        subprocess.run(["sh", "-c", command], check=True)

    def url(self, port: int = 0, login: str = f"hosts:{ENCODED}@", scheme: str = "https") -> str:
        return f"{scheme}://{login}localhost:{port or self.port}/neuraltalk"

    def entry(self, file: str = "torch.tar") -> dict[str, Any]:
        content = (self.mirror / file).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return {"name": file.partition(".")[0], "file": file, "sha256": digest, "size": len(content)}

    def case(self, name: str, entry: dict[str, Any] | None = None, *, url: str = "", ca: str | None = None) -> Case:
        return Case(name, entry or self.entry(), url or self.url(), self.ca.read_text() if ca is None else ca)

    def play(self, cases: list[Case]) -> dict[str, str]:
        """{name of a case: what the role said, or `done`}, with all that Ansible can say under `output`."""
        first: dict[str, Any] = {"ansible.builtin.set_fact": {"said": {}}}
        saved = self.folder / "said.json"
        last = {"ansible.builtin.copy": {"content": "{{ said | to_json }}", "dest": str(saved), "mode": "0600"}}
        tasks = [first, *(task for case in cases for task in case.tasks(self.folder)), last]
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        (self.folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-vvv", "-i", "localhost,",
             "-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_connection=local",
             str(self.folder / "play.yml")],
            env={**ansible.environment(), "no_proxy": "*", "ANSIBLE_PIPELINING": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert saved.exists(), output
        said: dict[str, str] = json.loads(saved.read_text(encoding="utf-8"))
        return {**said, "output": output}

    def asks(self, name: str, login: str = f"hosts:{PASSWORD}") -> int:
        """The status that nginx answers with."""
        request = urllib.request.Request(f"https://localhost:{self.port}{name}", method="GET")
        if login:
            request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())
        context = ssl.create_default_context(cafile=str(self.ca))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


class Cutting(socketserver.ThreadingTCPServer):
    """A proxy before a port; its first connections end after so many bytes of the answers, later ones do not."""

    def __init__(self, port: int, limits: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.port, self.limits = port, limits


class Connection(socketserver.BaseRequestHandler):
    """A connection through the proxy."""

    server: Cutting

    def handle(self) -> None:
        limit = self.server.limits.pop(0) if self.server.limits else 1 << 40
        with socket.create_connection(("127.0.0.1", self.server.port)) as server:
            asking = threading.Thread(target=pump, args=(self.request, server, 1 << 40))
            asking.start()
            pump(server, self.request, limit)
            asking.join()


def pump(source: socket.socket, target: socket.socket, limit: int) -> None:
    """Pass on at most `limit` bytes, then end both connections."""
    with suppress(OSError):
        while limit and (block := source.recv(min(4096, limit))):
            target.sendall(block)
            limit -= len(block)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(port: int, *limits: int) -> Iterator[int]:
    """The port of such a proxy."""
    with Cutting(port, list(limits)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def changed(good: bytes) -> dict[str, bytes]:
    """Other bytes than the good ones, by how they differ."""
    return {"same": b"x" + good[1:], "longer": good + b"x", "shorter": good[:-1], "page": b"<html>login</html>"}


@contextmanager
def wrong_servers(site: Site) -> Iterator[dict[str, str]]:
    """{name: URL} of servers with other files, with a redirect, and with a limit of the rate."""
    port, more = {name: free_port() for name in (*changed(b""), "redirect", "slow")}, ""
    listed = site.conf.partition("server {")[0]
    for name, number in port.items():
        text = site.conf.removeprefix(listed).replace(f":{site.port} ssl", f":{number} ssl")
        if name == "redirect":
            away = f"return 302 http://localhost:{site.port}$uri;"
            text = re.sub(r"if \(\$neuraltalk_is_listed = 0\) {[^}]*}", away, text)
        elif name == "slow":
            text = text.replace("etag on;", "etag on; limit_rate 2m;")
        else:
            other = site.folder / name
            other.mkdir()
            (other / "nn.tgz").write_bytes(changed((site.mirror / "nn.tgz").read_bytes())[name])
            text = text.replace(f"{site.mirror}/", f"{other}/")
        more += text
    folder = site.folder / "wrong"
    folder.mkdir()
    with nginx(folder, listed + more, port["slow"]):
        yield {name: site.url(number) for name, number in port.items()}
