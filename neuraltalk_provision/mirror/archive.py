"""Archives: whether it is safe to unpack one, and what it contains."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.catalogue import Artifact, Edit
from neuraltalk_provision.catalogue.edits import problems
from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.rules import archive_formats as formats
from neuraltalk_provision.rules import archive_tree, archives

HEAD = 512
"""How many bytes from the start of each file are kept."""
LONGEST_TEXT = 32 << 20
"""The most bytes that are kept of all texts of an archive together."""

MOST_MEMBERS = 100_000
MOST_RATIO = 150
"""How much larger than its file an archive may be. Sources shrink to a fifth, a file of zeros to a thousandth."""
MOST_UNPACKED = {False: 4 << 30, True: 64 << 30}
"""{whether the archive is flat (packages or wheels): the most bytes of its content}."""
_ADVICE = {
    formats.DAMAGED: "The file is damaged or incomplete: copy it again from its origin, then compare its checksum.",
    formats.UNSAFE: "Do not use this archive. If it is yours: pack the directory again with `tar czf NAME.tgz "
    "DIRECTORY`, without what the message names.",
    formats.LARGE: "No artifact is so large. Ask where the archive comes from, or pack the right directory again.",
    formats.LAYOUT: "Pack the directory from outside: tar czf NAME.tgz DIRECTORY",
    formats.FORMAT: "Pack it as a tar, without compression or with gzip, and without sparse files: "
    "tar czf NAME.tgz DIRECTORY",
}
_INSTEAD = {
    formats.ZIP: "Unpack it, then pack its directory again: unzip FILE.zip && tar czf NAME.tgz DIRECTORY",
    formats.XZ: "Hosts do not read xz. Pack it again: xz -dc FILE | gzip >NAME.tgz",
    formats.BZIP2: "Hosts do not read bzip2. Pack it again: bzip2 -dc FILE | gzip >NAME.tgz",
    formats.ZSTD: "Hosts do not read zstd. Pack it again: zstd -dc FILE | gzip >NAME.tgz",
    formats.WEB_PAGE: "The server answered with a page for a login or an error. Open the address in a browser, then "
    "download the file itself.",
    formats.POINTER: "Fetch the file itself with `git lfs pull`, then add it.",
    formats.EMPTY: "The download or the copy failed. Get the file again from its origin.",
}


@dataclass(frozen=True)
class Contents:
    """What an archive contains, by names below its top directory.

    `members` are {name: kind}; `files` are {name: size in bytes} of the files and of the links that lead to one;
    `heads` the first bytes of the files, `texts` those that were asked for.
    """

    members: Mapping[str, str]
    files: Mapping[str, int]
    heads: Mapping[str, bytes]
    texts: Mapping[str, str]


def limits_of(flat: bool) -> archives.Limits:
    """How much an archive may contain; `flat` if it has packages or wheels at its root."""
    return archives.Limits(MOST_UNPACKED[flat], MOST_MEMBERS, MOST_RATIO)


def advice_instead(what: str) -> str:
    """What to do with a file that is something else, such as a zip archive or a web page; empty if it is not known."""
    return _INSTEAD.get(what, "")


def inspect(file: Path, artifact: Artifact, edits: Sequence[Edit] = (), texts: Collection[str] = ()) -> Contents:
    """Check that `file` is a complete archive that can be unpacked safely and that matches the catalogue.

    Raises MirrorError for an archive that the reader of hosts refuses (rules/archives.py), a setuid or setgid file, a
    member that every user can write, a missing file that the catalogue requires (an empty submodule), and an edit whose
    pattern does not occur as often as it should.
    """
    sources = {edit.file for edit in edits}
    contents = read(file, artifact, (*sources, *texts))
    absent = [glob for glob in artifact.holds if not fnmatch.filter(contents.files, glob)]
    if absent:
        raise MirrorError(f"{file}: it has no file called {', '.join(absent)}", advice=_absent(contents, absent))
    wrong_edits = problems({name: contents.texts[name] for name in sources & contents.texts.keys()}, edits)
    if wrong_edits:
        raise MirrorError("\n".join(f"{file}: {problem}" for problem in wrong_edits))
    return contents


def _absent(contents: Contents, absent: Sequence[str]) -> str:
    """Advice for an archive that lacks files: why it probably lacks them."""
    below = {name.split("/", 1)[1] for name in contents.files if "/" in name}
    if all(fnmatch.filter(below, glob) for glob in absent):
        top = next(name.split("/")[0] for name in contents.files if "/" in name)
        return (
            f"Its names begin with ./ or with one directory too many: pack {top} from outside, without ./ before its "
            f"name: tar czf {top}.tgz {top}"
        )
    if any(contents.members.get(glob) == archive_tree.DIRECTORY for glob in absent):
        return "There is a directory of that name where a file is needed. Pack the right directory again."
    return (
        "Pack it as `tar czf NAME.tgz DIRECTORY`; a git checkout needs its submodules first: "
        "`git submodule update --init --recursive`."
    )


def read(file: Path, artifact: Artifact, texts: Collection[str] = ()) -> Contents:
    """What an archive contains, with the texts of the files that match `texts` (patterns). Raises MirrorError."""
    limits = limits_of(artifact.flat)
    try:
        with naming(file, "read", MirrorError), file.open("rb") as opened:
            return _read(file, archives.entries(opened, 0 if artifact.flat else 1, limits), texts)
    except formats.ArchiveError as error:
        raise MirrorError(error.of(str(file)), advice=advice_instead(str(error)) or _ADVICE[error.kind]) from None


def _read(file: Path, entries: Iterable[archives.Member], texts: Collection[str]) -> Contents:
    members, sizes = dict[str, str](), dict[str, int]()
    links, heads, found = dict[str, str](), dict[str, bytes](), dict[str, str]()
    spare = LONGEST_TEXT
    for entry in entries:
        _refuse_modes(file, entry)
        members[entry.name] = entry.kind
        if entry.kind == archive_tree.LINK:
            links[entry.name] = entry.target
        elif entry.target:
            sizes[entry.name], heads[entry.name] = sizes[entry.target], heads[entry.target]
            if entry.target in found:
                found[entry.name] = found[entry.target]
        elif entry.kind == archive_tree.FILE:
            wanted = any(fnmatch.fnmatchcase(entry.name, glob) for glob in texts)
            content = entry.content.read(spare if wanted else HEAD)
            sizes[entry.name], heads[entry.name] = entry.size, content[:HEAD]
            if wanted:
                spare -= len(content)
                _refuse_long(file, entry, len(content))
                found[entry.name] = content.decode("utf-8", "replace")
            if content.startswith(formats.LFS):
                raise MirrorError(
                    f"{file}: {entry.original} {formats.POINTER}",
                    advice="Fetch the files in the checkout with `git lfs pull`, then pack it again.",
                )
    return Contents(members, sizes | _linked(links, sizes), heads, found)


def _linked(links: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    """{link: size of the file} for the links that lead to a file of the archive."""
    tree = archive_tree.Tree(0)
    tree.links = dict(links)
    leads = {name: tree.follow(name, [0]) or "" for name in links}
    return {name: sizes[target] for name, target in leads.items() if target in sizes}


def _refuse_long(file: Path, entry: archives.Member, read_: int) -> None:
    if read_ < entry.size:
        raise MirrorError(
            f"{file}: {entry.original} is too large for a text: it has {entry.size:,} bytes",
            advice="Ask where the archive comes from.",
        )


def _refuse_modes(file: Path, entry: archives.Member) -> None:
    """Raises MirrorError for a member whose mode would be dangerous if it was kept, as tar does for root.

    Hosts set the modes themselves, but such an archive is malicious or was packed carelessly. Modes of symbolic links
    have no meaning, and setgid directories are usual in shared directories.
    """
    problem = ""
    if entry.kind == archive_tree.LINK:
        return
    if entry.mode & 0o4000 or (entry.mode & 0o2000 and entry.kind != archive_tree.DIRECTORY):
        problem = f"is setuid or setgid (mode {entry.mode & 0o7777:04o})"
    elif entry.mode & 0o002:
        problem = f"can be written by every user (mode {entry.mode & 0o7777:04o})"
    if problem:
        raise MirrorError(
            f"{file}: {entry.original} {problem}",
            advice="Ask where the archive comes from. If it is yours: `chmod -R u-s,g-s,o-w DIRECTORY`, pack it again, "
            "and add it with `provision mirror add`.",
        )
