"""What went wrong in dnf, in words with the next step, by what it reports. Pure."""

from __future__ import annotations

import re

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.dnf_answer import Failure
from neuraltalk_provision.mirror.pull_errors import Cause, first_cause

_PROXY = "If this network has a proxy, set HTTPS_PROXY (http_proxy for http://). Then run the same command again."
_CAUSES = (
    Cause(
        r"its index is not signed",
        "its index is not signed, although repo_gpgcheck demands it",
        "Use a repository with repodata/repomd.xml.asc, or remove `repo_gpgcheck: true`: packages are checked in any "
        "case.",
    ),
    Cause(
        r"GPG|[Ss]ignature|[Ss]igning key|public key",
        "its index is signed, but not by the keys that are given for it, or it was changed after it was signed",
        "Compare the files in gpgkey with the keys that the distribution publishes. If they are right, do not use this "
        "copy of the repository.",
    ),
    Cause(
        r"[Cc]hecksum|mismatch",
        "its index does not fit itself: it was being updated, is damaged, or was changed",
        "Try again later, or use another copy of the repository.",
    ),
    Cause(
        r"resolve host|Could not resolve",
        "the name of the server cannot be resolved (no network, or no DNS)",
        _PROXY,
    ),
    Cause(
        r"Status code: 40[137]|Status code: 511",
        "the server (or the proxy) does not let this machine in",
        "Use a copy of the repository that needs no login, such as one in your own network. " + _PROXY,
    ),
    Cause(
        r"Status code: 404|error \(37\)|open file",
        "there is no repository at this address: it has no repodata/repomd.xml",
        "Correct the address: baseurl is the directory that contains repodata.",
    ),
    Cause(
        r"certificate|SSL",
        "the server's certificate is not accepted",
        "If a proxy of this network opens TLS connections, give the file of its CA by CURL_CA_BUNDLE=FILE.",
    ),
    Cause(r"connect|timed out|Timeout|unreachable", "the server cannot be reached", _PROXY),
    Cause(
        r"[Ll]oading repository|parse|repomd|solv",
        "its index cannot be read: it is damaged, or it is not that of a repository",
        "Open the address in a browser: an index begins with <?xml. " + _PROXY,
    ),
)
_UNKNOWN = Cause("", "it cannot be used", "Look at dnf's message, then run the same command again.")


def of_failure(failure: Failure, key: str, places: str) -> MirrorError:
    """The error for a failure; `places` are the addresses of the repository that failed, if it was one."""
    text = harmless(failure.text.strip())
    match failure.kind:
        case "repository":
            cause = first_cause(_CAUSES, text) or _UNKNOWN
            begin = f"the repository {places or failure.repository}: {cause.meaning}"
            return MirrorError(f"{begin}:\n{text}", advice=cause.advice)
        case "solve":
            return MirrorError(
                f"the packages that hosts of {key} need cannot be installed together:\n{text}",
                advice="A repository is missing or not complete: give all that the system has by default (for example "
                "BaseOS, AppStream and CRB of EL 9), and EPEL for HDF5 and others, each of the same release.",
            )
        case "memory":
            return MirrorError(
                f"the indexes of the repositories for {key} need more memory than dnf may have here, 6 GiB",
                advice="Check the addresses: the indexes of a whole distribution need less than 2 GiB.",
            )
        case _:
            return MirrorError(f"dnf failed for {key}: {text}", advice="Look at dnf's message.")


def harmless(text: str) -> str:
    """The text, which repeats what a repository says, without control characters."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def in_one_line(reason: str) -> str:
    """A reason of dnf's solver as one line, without what says nothing."""
    reason = harmless(reason)
    text = re.sub(r"conflicting requests(\n|$)", "", reason).strip()
    return "; ".join((reason if text.endswith(":") else text).splitlines())


def of_missing(missing: tuple[str, ...], key: str, where: str = "") -> MirrorError:
    """The error for required packages that no repository has; `where` they usually come from, in words."""
    usual = f"{where}. Give these repositories, too." if where else "Give the repositories that have them, too."
    return MirrorError(
        f"no repository for {key} has {', '.join(missing)}",
        advice=f"{usual} `dnf provides NAME` on a host tells where a package comes from. docs/mirror-details.md shows "
        "the file for --repositories.",
    )
