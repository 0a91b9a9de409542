"""Archives: whether it is safe to unpack one, and what it contains."""

from __future__ import annotations

import fnmatch
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from neuraltalk_provision.catalogue import Artifact, Edit
from neuraltalk_provision.catalogue.edits import problems
from neuraltalk_provision.errors import MirrorError

BLOCK = 1 << 20
_BROKEN = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


def inspect(file: Path, artifact: Artifact, edits: Sequence[Edit] = ()) -> None:
    """Check that `file` is a complete archive that can be unpacked safely and that matches the catalogue.

    Raises MirrorError for a broken archive, a member with an absolute path or `..`, a link that points out of the
    archive, a device, a setuid or setgid file, a member that every user can write, more than one top directory, a
    missing file that the catalogue requires (an empty submodule), and an edit whose pattern does not occur as often as
    it should.
    """
    names, sources = _read(file, {edit.file for edit in edits}, artifact)
    absent = [glob for glob in artifact.holds if not fnmatch.filter(names, glob)]
    if absent:
        raise MirrorError(
            f"{file}: nothing in its directory is called {', '.join(absent)}",
            advice="Pack it as `tar czf NAME.tgz DIRECTORY`; a git checkout needs its submodules first: "
            "`git submodule update --init --recursive`.",
        )
    wrong_edits = problems(sources, edits)
    if wrong_edits:
        raise MirrorError("\n".join(f"{file}: {problem}" for problem in wrong_edits))


def _read(file: Path, texts: set[str], artifact: Artifact) -> tuple[set[str], dict[str, str]]:
    """(names of the members below the top directory, {name: text} of those in `texts`)."""
    tops, names, links, sources = set[str](), set[str](), dict[str, str](), dict[str, str]()
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                # Like tar's --strip-components=1: the "." of "./DIRECTORY" counts as a directory.
                top, _, rest = ("", "", member.name) if artifact.flat else member.name.partition("/")
                name = posixpath.normpath(rest)
                _refuse_escape(file, member, name, links.keys())
                if posixpath.basename(member.name).startswith("._"):
                    continue  # macOS adds one for each file; they are not unpacked
                _refuse_modes(file, member)
                tops.add(top)
                names.add(name)
                if member.issym():
                    links[name] = member.linkname
                if name in texts and member.isfile():
                    content = tar.extractfile(member)
                    sources[name] = content.read().decode("utf-8", "replace") if content else ""
            while tar.fileobj and tar.fileobj.read(BLOCK):
                pass  # read to the end, where a compressed archive has its checksum
    except _BROKEN as error:
        raise MirrorError(
            f"{file} is not a complete tar archive: {error}", advice="Copy it again from its origin."
        ) from None
    for name in sorted(links):
        if _leads_out(name, links):
            raise MirrorError(
                f"{file}: {name} is a link that points out of the archive through other links, to {links[name]}",
                advice="Do not use this archive.",
            )
    if not artifact.flat and (len(tops) != 1 or names == {"."}):
        raise MirrorError(
            f"{file} must contain one directory with everything in it; it has {len(tops)} entries at its top",
            advice="Pack the directory from outside: tar czf NAME.tgz DIRECTORY",
        )
    return names, sources


def _leads_out(name: str, links: Mapping[str, str]) -> bool:
    """Whether a link, with all links in its path resolved, leads out of the archive. Linux follows at most 40."""
    done, left, followed = list[str](), name.split("/"), 0
    while left and followed <= 40:
        part = left.pop(0)
        if part == ".." and not done:
            return True
        if part == "..":
            done.pop()
        elif part not in ("", "."):
            done.append(part)
        if target := links.get("/".join(done)):
            done.pop()
            left, followed = target.split("/") + left, followed + 1
    return False


def _refuse_escape(file: Path, member: tarfile.TarInfo, name: str, links: Collection[str]) -> None:
    """Raises MirrorError if unpacking the member could write, or later read, outside the directory.

    `name` is the member's path in the directory; `links` are the symbolic links that came before it.
    """
    problem = ""
    if member.name.startswith("/"):
        problem = "is an absolute path"
    elif ".." in member.name.split("/"):
        problem = "contains '..'"
    elif any(str(parent) in links for parent in PurePosixPath(name).parents):
        problem = "is below a link"
    elif member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        if member.linkname.startswith("/") or target.split("/")[0] == "..":
            problem = f"is a link that points out of the archive, to {member.linkname}"
    elif member.islnk() and (member.linkname.startswith("/") or ".." in member.linkname.split("/")):
        problem = f"is a hard link that points out of the archive, to {member.linkname}"
    elif not (member.isfile() or member.isdir() or member.islnk()):
        problem = "is not a file, a directory or a link"
    if problem:
        raise MirrorError(f"{file}: {member.name} {problem}", advice="Do not use this archive.")


def _refuse_modes(file: Path, member: tarfile.TarInfo) -> None:
    """Raises MirrorError for a member whose mode would be dangerous if it was kept, as tar does for root.

    Hosts set the modes themselves, but such an archive is malicious or was packed carelessly. Modes of symbolic links
    have no meaning, and setgid directories are usual in shared directories.
    """
    problem = ""
    if member.issym():
        return
    if member.mode & 0o4000 or (member.mode & 0o2000 and not member.isdir()):
        problem = f"is setuid or setgid (mode {member.mode & 0o7777:04o})"
    elif member.mode & 0o002:
        problem = f"can be written by every user (mode {member.mode & 0o7777:04o})"
    if problem:
        raise MirrorError(
            f"{file}: {member.name} {problem}",
            advice="Ask where the archive comes from. If it is yours: `chmod -R u-s,g-s,o-w DIRECTORY`, pack it again, "
            "and add it with `provision mirror add`.",
        )
