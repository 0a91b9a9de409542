"""Other programs that copy one file to many hosts, for the comparison: each function ends when all hosts have it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import links
from tests.bench.links import SOURCE, Lab, address

Engine = Callable[[Lab, Path, float], bool]
"""Copies a file to every host as `place/NAME`, within so many seconds; whether all programs ended well."""

TRACKER = """
import http.server, socket, urllib.parse
peers = set()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query, encoding="latin-1")
        peers.add(socket.inet_aton(self.client_address[0]) + int(query["port"][0]).to_bytes(2, "big"))
        answer = b"d8:intervali2e5:peers%d:%se" % (6 * len(peers), b"".join(peers))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
http.server.ThreadingHTTPServer(("", 6969), Handler).serve_forever()
"""


def hosts(lab: Lab) -> range:
    """The numbers of the hosts."""
    return range(1, lab.count + 1)


def ssh_servers(lab: Lab) -> Path:
    """Start sshd on every host; the private key for root."""
    keys = lab.work / "keys"
    keys.mkdir(exist_ok=True, mode=0o700)
    for name in ("client", "server"):
        if not (keys / name).exists():
            links.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name))
    shutil.copy(keys / "client.pub", keys / "authorized")
    (keys / "sshd_config").write_text(
        f"HostKey {keys / 'server'}\nAuthorizedKeysFile {keys / 'authorized'}\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nMaxStartups 200\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    for number in hosts(lab):
        lab.quiet(number, "/usr/sbin/sshd", "-D", "-f", str(keys / "sshd_config"))
    time.sleep(1)
    return keys / "client"


SSH = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


def inventory(lab: Lab, key: Path) -> Path:
    """An inventory of all hosts."""
    file = lab.work / "hosts.ini"
    lines = [f"h{number} ansible_host={address(number)} neuraltalk_rack=r{(number - 1) // 10}" for number in hosts(lab)]
    common = ["ansible_user=root", f"ansible_ssh_private_key_file={key}", f"ansible_ssh_common_args='{SSH}'"]
    file.write_text(
        "\n".join(["[all]", *lines, "[all:vars]", *common, "ansible_python_interpreter=/usr/bin/python3", ""])
    )
    return file


def ansible_copy(lab: Lab, file: Path, seconds: float) -> bool:
    """Ansible's module copy, to all hosts at once."""
    where = str(inventory(lab, ssh_servers(lab)))
    program = str(Path(sys.executable).parent / "ansible")
    words = ["all", "-i", where, "-f", "50", "-m", "copy", "-a", f"src={file} dest={lab.place}/"]
    environment = {**os.environ, "ANSIBLE_PIPELINING": "1"}
    quiet = subprocess.DEVNULL
    return links.wait([lab.start(SOURCE, program, *words, env=environment, stdout=quiet, stdin=quiet)], seconds)


def rsync_to_each(lab: Lab, file: Path, seconds: float) -> bool:
    """rsync over SSH, to all hosts at once."""
    key = ssh_servers(lab)
    shell = f"ssh -i {key} {SSH}"
    return links.wait(
        [lab.quiet(SOURCE, "rsync", "-e", shell, str(file), f"root@{address(one)}:{lab.place}/") for one in hosts(lab)],
        seconds,
    )


def web_server(lab: Lab, file: Path, seconds: float) -> bool:
    """All hosts download from one nginx, as with get_url or artifact_url."""
    config = lab.work / "nginx.conf"
    config.write_text(
        f"daemon off; pid {lab.work}/nginx.pid; error_log /dev/null; user root;\nevents {{}}\n"
        f"http {{ access_log off; sendfile on; server {{ listen 8000; root {file.parent}; }} }}\n"
    )
    lab.quiet(SOURCE, "/usr/sbin/nginx", "-c", str(config))
    time.sleep(1)
    url = f"http://{address(SOURCE)}:8000/{file.name}"
    return links.wait(
        [lab.quiet(one, "curl", "-s", "-o", f"{lab.place}/{file.name}", url) for one in hosts(lab)], seconds
    )


def rsync_tree(lab: Lab, file: Path, seconds: float) -> bool:
    """In each round every host that has the file sends it to one that has not (rsync's own server, no SSH)."""
    config = lab.work / "rsyncd.conf"
    config.write_text(f"use chroot = no\nuid = root\ngid = root\nreverse lookup = no\n[files]\npath = {lab.place}\n")
    shutil.copy(file, lab.own(SOURCE) / file.name)
    for one in range(lab.count + 1):
        lab.quiet(one, "rsync", "--daemon", "--no-detach", f"--config={config}")
    time.sleep(1)
    have, missing = [SOURCE], list(hosts(lab))
    while missing:
        pairs = list(zip(have, missing, strict=False))
        fetch = [
            lab.quiet(to, "rsync", f"rsync://{address(since)}/files/{file.name}", f"{lab.place}/")
            for since, to in pairs
        ]
        if not links.wait(fetch, seconds):
            return False
        have += [to for _since, to in pairs]
        missing = missing[len(pairs) :]
    (lab.own(SOURCE) / file.name).unlink()
    return True


def clush_tree(lab: Lab, file: Path, seconds: float) -> bool:
    """ClusterShell's copy over gateways; here hosts may log in to each other, and have ClusterShell."""
    key = ssh_servers(lab)
    gateways = [address(one) for one in hosts(lab)][: max(1, round(lab.count**0.5))]
    others = [address(one) for one in hosts(lab)][len(gateways) :]
    config = lab.work / "clush"
    config.mkdir(exist_ok=True)
    routes = [f"source: {','.join(gateways)}"] + ([f"{','.join(gateways)}: {','.join(others)}"] if others else [])
    (config / "topology.conf").write_text("\n".join(["[routes]", *routes, ""]))
    (config / "clush.conf").write_text(
        f"[Main]\nfanout: 64\nconnect_timeout: 15\ncommand_timeout: 0\nssh_path: ssh -i {key} {SSH}\n"
        f"scp_path: scp -i {key} {SSH}\n"
    )
    everyone = ",".join([*gateways, *others])
    words = ["--conf", str(config / "clush.conf"), "--topology", str(config / "topology.conf"), "-S", "-w", everyone]
    command = [
        "hostname source && CLUSTERSHELL_GW_PYTHON_EXECUTABLE=/usr/bin/python3 exec /usr/bin/clush "
        + " ".join([*words, "--copy", str(file), "--dest", f"{lab.place}/"])
    ]
    return links.wait([lab.quiet(SOURCE, "unshare", "-u", "sh", "-c", *command)], seconds)


def udpcast(lab: Lab, file: Path, seconds: float) -> bool:
    """udp-sender by multicast."""
    receivers = [
        lab.quiet(one, "udp-receiver", "--nokbd", "--interface", "eth0", "--file", f"{lab.place}/{file.name}")
        for one in hosts(lab)
    ]
    time.sleep(1)
    rate = f"{lab.megabits * 92 // 100}m"
    words = ["--min-receivers", str(lab.count), "--max-bitrate", rate, "--nokbd", "--interface", "eth0"]
    sender = lab.quiet(SOURCE, "udp-sender", "--file", str(file), *words)
    return links.wait([sender, *receivers], seconds)


def uftp(lab: Lab, file: Path, seconds: float) -> bool:
    """uftp by multicast."""
    for one in hosts(lab):
        lab.quiet(one, "uftpd", "-d", "-D", str(lab.place), "-I", "eth0")
    time.sleep(1)
    rate = str(lab.megabits * 900)
    return links.wait([lab.quiet(SOURCE, "uftp", "-R", rate, "-I", "eth0", str(file))], seconds)


def bittorrent(lab: Lab, file: Path, seconds: float) -> bool:
    """aria2, with a small tracker of our own: Debian has none that works without settings."""
    size, piece, name = file.stat().st_size, 1 << 20, file.name.encode()
    with file.open("rb") as opened:
        digests = b"".join(hashlib.sha1(block).digest() for block in iter(lambda: opened.read(piece), b""))
    info = b"d6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:%se" % (
        size, len(name), name, piece, len(digests), digests
    )  # fmt: skip
    tracker = f"http://{address(SOURCE)}:6969/announce".encode()
    torrent = lab.work / "file.torrent"
    torrent.write_bytes(b"d8:announce%d:%s4:info%se" % (len(tracker), tracker, info))
    lab.quiet(SOURCE, sys.executable, "-c", TRACKER)
    time.sleep(1)
    common = ["aria2c", "--enable-dht=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--quiet",
              "--bt-tracker-interval=2", "--file-allocation=none", "--no-conf", str(torrent)]  # fmt: skip
    lab.quiet(
        SOURCE, *common, f"--dir={file.parent}", "--seed-ratio=0", "--check-integrity=true", "--bt-hash-check-seed=true"
    )
    hook = lab.work / "complete"
    hook.write_text('#!/bin/sh\ntouch "$3.complete"\n')
    hook.chmod(0o755)
    for one in hosts(lab):
        lab.quiet(one, *common, f"--dir={lab.place}", "--seed-ratio=0", f"--on-bt-download-complete={hook}")
    return _until(lambda: all((lab.own(one) / f"{file.name}.complete").exists() for one in hosts(lab)), seconds)


def _until(is_done: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if is_done():
            return True
        time.sleep(0.1)
    return False


def wrong(lab: Lab, file: Path, left_out: Sequence[int] = ()) -> list[int]:
    """The hosts that do not have exactly this file."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    bad = []
    for one in hosts(lab):
        copy = lab.own(one) / file.name
        if one in left_out:
            continue
        if not copy.is_file():
            bad.append(one)
            continue
        with copy.open("rb") as opened:
            bad += [one] * (hashlib.file_digest(opened, "sha256").hexdigest() != digest)
    return bad


ENGINES: dict[str, Engine] = {
    "Ansible copy": ansible_copy,
    "rsync to each": rsync_to_each,
    "one web server": web_server,
    "rsync, doubling tree": rsync_tree,
    "ClusterShell tree": clush_tree,
    "udpcast": udpcast,
    "uftp": uftp,
    "aria2 BitTorrent": bittorrent,
}
