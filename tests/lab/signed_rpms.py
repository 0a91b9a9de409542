"""Repositories of small RPMs for tests: built by rpmbuild, signed with a key that is made for the test."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import shell

PROGRAMS = {"rpmbuild": "rpm", "rpmsign": "rpm", "createrepo_c": "createrepo-c", "dnf": "dnf", "gpg-agent": "gnupg"}
"""{program: the Debian package that has it}."""


@dataclass(frozen=True)
class Rpm:
    """A package: it has one file, `/usr/share/lab/NAME`, and what is given here.

    `module` is the label of the module that it belongs to, `NAME:STREAM:VERSION:CONTEXT`.
    """

    name: str
    requires: Sequence[str] = ()
    provides: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    recommends: Sequence[str] = ()
    version: str = "1.0"
    machine: str = "x86_64"
    script: str = ""
    files: Sequence[str] = field(default=())
    module: str = ""

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.name}-{self.version}-1.{self.machine}.rpm"


def need() -> None:
    """Install what is missing. Raises LabError if that is impossible."""
    for program, package in PROGRAMS.items():
        shell.need(program, package)


def build(packages: Sequence[Rpm], folder: Path) -> None:
    """Build packages into a directory."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rpms-") as place:  # rpmbuild fails below a directory with a space
        work = Path(place)
        for version, machine in sorted({(package.version, package.machine) for package in packages}):
            group = [one for one in packages if (one.version, one.machine) == (version, machine)]
            _build(group, version, machine, work)
        for file in sorted(work.glob("done/*.rpm")):
            shutil.move(file, folder / file.name)


def _build(packages: Sequence[Rpm], version: str, machine: str, work: Path) -> None:
    recipe = work / "lab.spec"
    recipe.write_text(_spec(packages, version), encoding="utf-8")
    options = {
        "_topdir": str(work),
        "_rpmdir": str(work / "done"),
        "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_binary_payload": "w1.gzdio",
        "_buildhost": "lab",
        "use_source_date_epoch_as_buildtime": "1",
    }
    defines = [part for key, value in options.items() for part in ("--define", f"{key} {value}")]
    shell.run(
        "rpmbuild", "-bb", "--quiet", "--nodeps", "--target", machine, *defines, str(recipe),
        env={"SOURCE_DATE_EPOCH": "1500000000"},
    )  # fmt: skip


def _spec(packages: Sequence[Rpm], version: str) -> str:
    head = (
        f"Name: lab\nVersion: {version}\nRelease: 1\nSummary: lab\nLicense: MIT\nAutoReqProv: no\n%description\nlab\n"
    )
    parts, install = [], ["mkdir -p %{buildroot}/usr/share/lab"]
    for one in packages:
        lines = [f"%package -n {one.name}", "Summary: a package of the lab", "AutoReqProv: no"]
        for word in ("requires", "provides", "conflicts", "recommends"):
            lines += [f"{word.title()}: {value}" for value in getattr(one, word)]
        lines += [f"ModularityLabel: {one.module}"] if one.module else []
        files = [f"/usr/share/lab/{one.name}", *one.files]
        lines += [f"%description -n {one.name}", "lab", f"%files -n {one.name}", *files]
        if one.script:
            lines += [f"%post -n {one.name} -p /bin/sh", one.script]
        parts += lines
        for file in files:
            install.append(f"mkdir -p %{{buildroot}}{Path(file).parent}; echo {one.name} >%{{buildroot}}{file}")
    return "\n".join([head, *parts, "%install", *install, ""])


@dataclass(frozen=True)
class Key:
    """A key for signing: gpg's home, and the file with the public key."""

    home: Path
    public: Path

    def sign_packages(self, folder: Path) -> None:
        """Sign all packages in a directory."""
        options = {"_gpg_name": "lab", "_gpg_path": str(self.home), "__gpg": shutil.which("gpg") or "gpg"}
        defines = [part for key, value in options.items() for part in ("--define", f"{key} {value}")]
        shell.run("rpmsign", *defines, "--addsign", *(str(file) for file in sorted(folder.glob("*.rpm"))))

    def sign_index(self, folder: Path) -> None:
        """Sign the index of a repository."""
        index = folder / "repodata" / "repomd.xml"
        index.with_name("repomd.xml.asc").unlink(missing_ok=True)
        gpg(self.home, "--armor", "--detach-sign", "--output", f"{index}.asc", str(index))


def make_key(place: Path) -> Key:
    """A new key."""
    home = place / "gnupg"
    home.mkdir(parents=True, mode=0o700)
    gpg(home, "--passphrase", "", "--quick-generate-key", "lab <lab@example.org>", "rsa2048", "sign", "never")
    public = place / "key.asc"
    gpg(home, "--armor", "--output", str(public), "--export", "lab")
    shell.works("gpgconf", "--homedir", str(home), "--kill", "all")
    return Key(home, public)


def gpg(home: Path, *words: str) -> None:
    """Run gpg without questions."""
    shell.run("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--homedir", str(home), *words)


def index(folder: Path, *options: str) -> None:
    """Make the index of a repository."""
    shell.run("createrepo_c", "--quiet", "--general-compress-type", "gz", *options, str(folder))


def add_modules(folder: Path, default: Rpm, other: Rpm) -> None:
    """Add two streams of a module, each with one package, to an index; the first one is the default."""
    documents = []
    for rpm in (default, other):
        name, stream, version, context = rpm.module.split(":")
        documents.append(
            f"---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: '{stream}'\n"
            f"  version: {version}\n  context: {context}\n  arch: x86_64\n  summary: lab\n  description: lab\n"
            "  license: {module: [MIT]}\n  dependencies: [{requires: {platform: [el9]}}]\n"
            f"  profiles: {{common: {{rpms: [{rpm.name}]}}}}\n  api: {{rpms: [{rpm.name}]}}\n"
            f"  artifacts: {{rpms: ['{rpm.name}-0:{rpm.version}-1.{rpm.machine}']}}\n...\n"
        )
    name, stream, _version, _context = default.module.split(":")
    documents.append(
        f"---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {name}\n  stream: '{stream}'\n"
        f"  profiles: {{'{stream}': [common]}}\n...\n"
    )
    file = folder.parent / "modules.yaml"
    file.write_text("".join(documents))
    shell.run("modifyrepo_c", "--mdtype=modules", str(file), str(folder / "repodata"))


def core_group(folder: Path, *names: str) -> Path:
    """A file for `createrepo_c --groupfile` that says which packages a minimal installation has."""
    listed = "".join(f'<packagereq type="mandatory">{name}</packagereq>' for name in names)
    file = folder / "comps.xml"
    file.write_text(f"<comps><group><id>core</id><name>Core</name><packagelist>{listed}</packagelist></group></comps>")
    return file


def rewrite_index(folder: Path, change: Callable[[str], str]) -> None:
    """Change the text of primary.xml, and describe the result in repomd.xml, as somebody could who owns the server."""
    repodata = folder / "repodata"
    primary = next(repodata.glob("*primary.xml.gz"))
    content = change(gzip.decompress(primary.read_bytes()).decode()).encode()
    primary.write_bytes(gzip.compress(content))
    repomd = repodata / "repomd.xml"
    whole, part = repomd.read_text(), re.compile(r'<data type="primary">.*?</data>', re.S)
    found = part.search(whole)
    assert found
    values = {
        "checksum": hashlib.sha256(primary.read_bytes()).hexdigest(),
        "open-checksum": hashlib.sha256(content).hexdigest(),
        "size": str(primary.stat().st_size),
        "open-size": str(len(content)),
    }
    text = found[0]
    for name, value in values.items():
        text = re.sub(rf"(<{name}[^>]*>)[^<]*(</{name}>)", rf"\g<1>{value}\g<2>", text)
    repomd.write_text(whole.replace(found[0], text))
