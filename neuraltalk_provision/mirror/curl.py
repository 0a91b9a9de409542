"""How curl is called: of the user's own settings for it, only those for the way to the network are used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from neuraltalk_provision.mirror import bounded

COMMAND = (
    *("curl", "--disable", "--config", "-", "--fail", "--location", "--max-redirs", "10", "--silent", "--show-error"),
    *("--globoff", "--netrc-optional", "--proto-redir", "=https,http", "--connect-timeout", "30"),
)
"""curl as it is always called, with the file of `settings` as its standard input."""
_LARGEST = 1 << 20
_OF_THE_WAY = re.compile(
    rb"\s*(?:(?:--)?(?:no-)?(?:"
    # proxies, certificates and TLS
    rb"proxy[a-z0-9.-]*|preproxy|noproxy|socks[a-z0-9-]*|ca-native|cacert|capath|cert(?:-type)?|key(?:-type)?|pass|"
    rb"crlfile|insecure|tls[a-z0-9.-]*|ciphers|"
    # logins, addresses, names and the speed
    rb"netrc(?:-file|-optional)?|user|anyauth|basic|digest|negotiate|ntlm|interface|ipv[46]|resolve|connect-to|"
    rb"dns-[a-z0-9-]+|doh-[a-z-]+|user-agent|limit-rate"
    rb")(?=[\s=:]|$)|-[xUEuA]|-[kn46p](?=\s|$))"
)


@contextmanager
def settings(environment: Mapping[str, str]) -> Iterator[IO[bytes]]:
    """A file, in memory because it can contain passwords, with those settings of ~/.curlrc that are used."""
    with os.fdopen(os.memfd_create("curlrc"), "w+b") as file:
        file.write(of_the_way(_read(environment)))
        file.seek(0)
        yield file


def of_the_way(text: bytes) -> bytes:
    """The lines of a ~/.curlrc that say how the network is reached, without those that can change what arrives."""
    return b"".join(line + b"\n" for line in text.splitlines() if _OF_THE_WAY.match(line))


def _read(environment: Mapping[str, str]) -> bytes:
    """The content of the first of the files that curl itself would read; empty if there is none."""
    home = environment.get("HOME") or "~"
    own, common = environment.get("CURL_HOME"), environment.get("XDG_CONFIG_HOME")
    names = ((own, ".curlrc"), (common, ".curlrc"), (common, "curlrc"), (home, ".curlrc"), (home, ".config/curlrc"))
    for folder, name in names:
        if folder:
            with suppress(OSError, RuntimeError):  # RuntimeError: this user has no home directory
                return bounded.read(Path(folder, name).expanduser(), _LARGEST).content
    return b""
