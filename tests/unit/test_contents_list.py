"""The list that goes with a bundle: every artifact, package and wheel with its licence, as text and as CycloneDX."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx import spdx

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue.model import GitSource, Licence
from neuraltalk_provision.mirror import (
    deb_copyright,
    deb_licences,
    listing,
    lock,
    look_inside,
    rpm_index,
    wheel_metadata,
)
from neuraltalk_provision.mirror.contained import Inside, Statement
from neuraltalk_provision.mirror.licence_names import spdx as spelled
from neuraltalk_provision.mirror.parts import Description, Digested, Piece
from tests.unit.debs import COPYRIGHT, ar, deb, tar

CATALOGUE = catalogues.load()
PACKAGES = """Package: {0}
Version: 1:1.0-2
Architecture: amd64
Source: {1}
Filename: ./{0}_1.0-2_amd64.deb
"""
PRIMARY = """<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">
<package type="rpm"><name>zlib</name><arch>x86_64</arch><version epoch="1" ver="1.2" rel="3.el9"/>
<location href="zlib-1.2-3.el9.x86_64.rpm"/><format><rpm:license>zlib and Boost</rpm:license></format></package>
</metadata>"""


def wheel(metadata: str, *, before: int = 0, last: bool = True) -> bytes:
    """A wheel with this METADATA; `before` bytes of a library, which are stored as they are."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        files = {"one/lib.so": b"x" * before, "one-1.0.dist-info/METADATA": metadata.encode()}
        for name in files if last else reversed(files):
            opened.writestr(name, files[name])
    return target.getvalue()


def packed(file: Path, files: Mapping[str, bytes]) -> Path:
    file.write_bytes(tar(files))
    return file


def by_file(inside: Inside) -> dict[str, Any]:
    assert not inside.problem
    return {package.file: package for package in inside.packages}


def test_debian_packages_have_the_licences_of_their_copyright_files(tmp_path: Path) -> None:
    files = {"Packages": PACKAGES.format("one", "one").encode(), "one_1.0-2_amd64.deb": deb("one", COPYRIGHT)}
    found = by_file(look_inside.read(packed(tmp_path / "packages.tar", files)))
    one = found["one_1.0-2_amd64.deb"]
    assert (one.name, one.version, one.architecture) == ("one", "1:1.0-2", "amd64")
    assert one.statement == Statement(("Expat", "GPL-2+ or Artistic"), "usr/share/doc/one/copyright")
    assert found["Packages"].statement.why == "it is the index of the packages"


def test_only_the_smallest_package_of_a_source_is_unpacked_and_a_link_is_followed(tmp_path: Path) -> None:
    names = ("gcc-12", "gcc-12-base", "libgcc", "libgcc-dev", "other")
    index = "\n".join(PACKAGES.format(name, "other" if name == "other" else "gcc-12") for name in names)
    files = {"Packages": index.encode(), "other_1.0-2_amd64.deb": b"no package"}
    for size, name in enumerate(("libgcc", "libgcc-dev", "gcc-12")):
        files[f"{name}_1.0-2_amd64.deb"] = deb(name, "", link="gcc-12-base") + b"\n" * size
    files["gcc-12-base_1.0-2_amd64.deb"] = deb("gcc-12-base", COPYRIGHT) + b"\n" * 9_000
    found = by_file(look_inside.read(packed(tmp_path / "packages.tar", files)))
    for name in names[:-1]:
        assert found[f"{name}_1.0-2_amd64.deb"].statement.file == "usr/share/doc/gcc-12-base/copyright"
    assert "it is not an ar archive" in found["other_1.0-2_amd64.deb"].statement.why


@pytest.mark.parametrize("suffix", [".xz", ".gz", ""])
def test_every_compression_that_is_read(suffix: str) -> None:
    assert deb_copyright.read(deb("one", COPYRIGHT, suffix), "one").statement.licences


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an ar archive"),
        (b"!<arch>\n", "no complete data.tar"),
        (ar({"data.tar.xz": b"x" * 80}), "cannot be read"),
        (ar({"data.tar.zst": b"\x28\xb5\x2f\xfd" + b"x" * 80}), r"data\.tar\.zst is compressed in a way"),
        (ar({"data.tar": b""})[:-2] + b"9 ", "cannot be read"),
        (deb("one", COPYRIGHT)[:-200], "no complete data.tar"),
        (deb("two", COPYRIGHT), "it has no usr/share/doc/one/copyright"),
        (deb("one", "", link="two"), "its documentation is that of two, which is not in this tar"),
        (deb("one", "the licence is free"), "not in the machine-readable format"),
        (deb("one", "Format: https://example.org/copyright-format/1.0/\n"), "names no licence"),
        (deb("one", COPYRIGHT + "x" * (2 << 20), ""), "too large"),
    ],
)
def test_package_whose_licence_cannot_be_read_says_why(content: bytes, why: str) -> None:
    found = deb_copyright.read(content, "one").statement
    assert found.licences == ()
    assert re.search(why, found.why), found.why


def test_package_that_unpacks_to_much_more_is_not_read() -> None:
    found = deb_copyright.read(deb("one", COPYRIGHT, ".xz", before=80 << 20), "one").statement
    assert found.licences == ()
    assert "much larger" in found.why


@pytest.mark.parametrize("place", range(0, 700, 7))
def test_damaged_package_never_ends_with_a_traceback(place: int) -> None:
    content = bytearray(deb("one", COPYRIGHT, ".gz" if place % 2 else ".xz"))
    content[place % len(content)] ^= 0x15
    deb_copyright.read(bytes(content), "one")
    deb_copyright.read(bytes(content[:place]), "one")


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ("Name: One\nVersion: 2\nLicense-Expression: MIT OR Apache-2.0\n", ("MIT OR Apache-2.0",)),
        ("Name: One\nLicense: BSD-3-Clause\n", ("BSD-3-Clause",)),
        ("Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n", ("MIT License",)),
        ("License: UNKNOWN\n", ()),
        ("Name: One\nLicense: Copyright me\n        all rights\n", ()),
        ("", ()),
    ],
)
def test_wheel_says_its_licence_in_metadata(metadata: str, licences: tuple[str, ...]) -> None:
    content = wheel(metadata)
    found = wheel_metadata.read(content, len(content), "one-1.0-py3-none-any.whl").statement
    assert found.licences == licences
    assert bool(found.why) == (not licences)


def test_metadata_of_a_large_wheel_is_read_from_its_end(tmp_path: Path) -> None:
    content = wheel("Name: big\nVersion: 7\nLicense-Expression: MIT\n", before=wheel_metadata.TAIL + 5)
    early = wheel("Name: big\nLicense-Expression: MIT\n", before=wheel_metadata.TAIL + 5, last=False)
    file = packed(tmp_path / "wheels.tar", {"a-1.0-py3-none-any.whl": content, "b-1.0-py3-none-any.whl": early})
    found = by_file(look_inside.read(file))
    assert found["a-1.0-py3-none-any.whl"].statement.licences == ("MIT",)
    assert (found["a-1.0-py3-none-any.whl"].name, found["a-1.0-py3-none-any.whl"].version) == ("big", "7")
    assert "is not in the last 8 MiB" in found["b-1.0-py3-none-any.whl"].statement.why
    assert found["b-1.0-py3-none-any.whl"].name == "b"


def test_wheel_that_is_damaged_or_a_bomb_says_why() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("one-1.0.dist-info/METADATA", b"0" * (30 << 20))
    for content in (target.getvalue(), b"", b"PK", wheel("License: MIT")[:-30]):
        assert wheel_metadata.read(content, len(content), "one-1.0-py3-none-any.whl").statement.why


def test_rpms_have_the_licences_of_the_index(tmp_path: Path) -> None:
    files = {
        "repodata/ab-primary.xml.gz": gzip.compress(PRIMARY.encode()),
        "zlib-1.2-3.el9.x86_64.rpm": b"rpm",
        "gone-1.x86_64.rpm": b"rpm",
    }
    found = by_file(look_inside.read(packed(tmp_path / "packages.tar", files)))
    zlib = found["zlib-1.2-3.el9.x86_64.rpm"]
    assert (zlib.name, zlib.version, zlib.statement.licences) == ("zlib", "1:1.2-3.el9", ("zlib and Boost",))
    assert found["gone-1.x86_64.rpm"].statement.why == "it is not in the index of the repository"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<metadata", "not XML"),
        (b"", "not XML"),
        (b"<a>" * 1_000_000, "nested deeper"),
        (b'<!DOCTYPE m [<!ENTITY a "b">]><m>&a;</m>', "entities"),
        (PRIMARY.encode("utf-16"), "UTF-8"),
        (b"x" * (rpm_index.LARGEST + 1), "larger than"),
    ],
)
def test_index_that_cannot_be_read_says_why(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rpm_index.read(content, "repodata/primary.xml")


def test_tar_with_more_files_than_any_platform_needs_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = deb_licences.LIMITS._replace(members=3)
    monkeypatch.setattr(deb_licences, "LIMITS", limits)
    found = look_inside.read(packed(tmp_path / "packages.tar", {f"{number}.deb": b"" for number in range(4)}))
    assert found == Inside((), "its content cannot be read: contains more than 3 members")


def test_package_that_names_very_many_licences_points_to_its_file() -> None:
    text = COPYRIGHT + "".join(f"\nFiles: {number}\nLicense: L-{number}\n" for number in range(90))
    found = deb_copyright.read(deb("one", text, ""), "one").statement
    assert (found.licences, found.why) == ((), "it names 92 licences, too many for this list: read the file")


def test_tar_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "packages.tar").write_bytes(b"x" * 5_000)
    assert "its content cannot be read" in look_inside.read(tmp_path / "packages.tar").problem
    assert "its content cannot be read" in look_inside.read(tmp_path / "none.tar").problem


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-3", "GPL-3.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat", "MIT"),
        ("BSd-3-Clause", "BSD-3-Clause"),
        ("GPL-2+ with Bison exception", "GPL-2+ with Bison exception"),
        ("LGPL-4", "LGPL-4"),
    ],
)
def test_names_are_spelled_as_in_spdx_if_they_are_certain(name: str, identifier: str) -> None:
    assert spelled(name) == identifier


def every_licence() -> list[tuple[str, Licence]]:
    rows = list(CATALOGUE.licences.items())
    return rows + [(f"{name} {path}", part) for name, row in rows for path, part in row.parts.items()]


@pytest.mark.parametrize(("name", "licence"), every_licence())
def test_licences_of_the_catalogue_are_expressions_of_spdx_with_their_file(name: str, licence: Licence) -> None:
    assert bool(licence.licence) + bool(licence.named) + bool(licence.inside) <= 1
    assert bool(licence.file) == bool(licence.licence or licence.named)
    assert licence.licence or licence.why or licence.inside
    assert not licence.licence or spdx.is_supported_id(licence.licence) or spdx.is_expression(licence.licence)


def test_every_artifact_and_every_submodule_has_a_row_about_its_licence() -> None:
    assert set(CATALOGUE.licences) == {artifact.name for artifact in CATALOGUE.artifacts}
    for name, source in CATALOGUE.sources.items():
        paths = {part.path for part in source.submodules} if isinstance(source, GitSource) else set()
        assert set(CATALOGUE.licences[name].parts) == paths


def entry(name: str, file: str, **more: Any) -> lock.Entry:
    return lock.Entry(name=name, file=file, sha256="ab" * 32, size=1, role="torch", **more)


def documents(inside: Mapping[str, Inside]) -> dict[str, str]:
    torch, nn = CATALOGUE.sources["torch"], CATALOGUE.sources["nn"]
    assert isinstance(torch, GitSource)
    assert isinstance(nn, GitSource)
    entries = (
        entry("torch", "torch.tar", origin=f"{torch.address} {torch.commit}"),
        entry("nn", "nn.tgz", origin="/media/\u202eusb\n/nn.tgz"),
        entry("vgg16-model", "VGG.caffemodel"),
        entry("packages-debian-12-x86_64", "packages-debian-12-x86_64.tar"),
        entry("python-wheels-debian-12-x86_64", "wheels.tar"),
        entry("packages-rocky-9-x86_64", "packages-rocky-9-x86_64.tar"),
        entry("unheard-of", "unheard-of.tgz"),
    )
    digest = "cd" * 32
    pieces = tuple(Piece(file=one.file, offset=0, size=1, part=1) for one in entries)
    description = Description(lock=Digested(sha256=digest, size=1), pieces=pieces)
    known = lock.Lock(artifacts=entries)
    return listing.documents("bundle-ab", known, description, {"p1.tar": digest}, CATALOGUE, inside)


@pytest.fixture
def inside(tmp_path: Path) -> dict[str, Inside]:
    debs = {"Packages": PACKAGES.format("one", "one").encode(), "one_1.0-2_amd64.deb": deb("one", COPYRIGHT)}
    wheels = {"one-1.0-py3-none-any.whl": wheel("Name: One\nVersion: 1.0\nLicense-Expression: MIT OR ISC\n")}
    rpms = {"repodata/primary.xml": PRIMARY.encode(), "zlib-1.2-3.el9.x86_64.rpm": b"rpm"}
    return {
        "packages-debian-12-x86_64.tar": look_inside.read(packed(tmp_path / "debs.tar", debs)),
        "wheels.tar": look_inside.read(packed(tmp_path / "wheels.tar", wheels)),
        "packages-rocky-9-x86_64.tar": look_inside.read(packed(tmp_path / "rpms.tar", rpms)),
    }


def test_cyclonedx_has_every_component_with_its_licence_and_purl(inside: dict[str, Inside]) -> None:
    document = json.loads(documents(inside)["bundle-ab.cdx.json"])
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert "timestamp" not in document["metadata"]
    found = {one["bom-ref"]: one for one in document["components"]}
    torch = found["torch"]
    assert torch["purl"] == f"pkg:github/torch/distro@{CATALOGUE.sources['torch'].commit}"  # type: ignore[union-attr]
    parts = {one["name"]: one for one in torch["components"]}
    assert len(parts) == 27
    assert parts["pkg/torch"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert parts["pkg/torch"]["purl"].startswith("pkg:github/torch/torch7@3e9e141c")
    assert parts["pkg/sundown"]["licenses"] == [{"expression": "BSD-3-Clause AND ISC"}]
    assert "purl" not in found["nn"]  # nobody knows which commit it is
    assert found["nn"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert found["vgg16-model"]["licenses"] == [{"license": {"name": "NOASSERTION"}}]
    assert found["unheard-of"]["licenses"] == [{"license": {"name": "NOASSERTION"}}]
    debs = {one["name"]: one for one in found["packages-debian-12-x86_64"]["components"]}
    assert debs["one"]["purl"] == "pkg:deb/debian/one@1:1.0-2?arch=amd64&distro=debian-12"
    assert debs["one"]["licenses"] == [{"license": {"id": "MIT"}}, {"license": {"name": "GPL-2+ or Artistic"}}]
    properties = {one["name"].partition(":")[2]: one["value"] for one in debs["one"]["properties"]}
    assert properties["licence-file"] == "usr/share/doc/one/copyright"
    assert int(properties["size"]) > 100
    (python,) = found["python-wheels-debian-12-x86_64"]["components"]
    assert (python["purl"], python["licenses"]) == ("pkg:pypi/one@1.0", [{"expression": "MIT OR ISC"}])
    rpms = {one["name"]: one for one in found["packages-rocky-9-x86_64"]["components"]}
    assert rpms["zlib"]["purl"] == "pkg:rpm/rocky/zlib@1.2-3.el9?arch=x86_64&distro=rocky-9&epoch=1"


def test_text_has_the_licences_and_what_is_inside(inside: dict[str, Inside]) -> None:
    text = documents(inside)["bundle-ab-contents.txt"]
    assert "  licence  BSD-3-Clause (from LICENSE.md)\n" in text
    assert "  licence  each package has its own\n" in text
    assert "  licence  not recorded (the file contains no licence)\n" in text
    assert "  contains 27 submodules:\n" in text
    assert "    one 1:1.0-2 amd64  one_1.0-2_amd64.deb  " in text
    assert "GPL-2+ or Artistic, MIT (from usr/share/doc/one/copyright)" in text
    assert "\u202e" not in text


def test_same_bundle_gives_the_same_documents_and_another_lock_another_number(inside: dict[str, Inside]) -> None:
    assert documents(inside) == documents(inside)
    document = json.loads(documents(inside)["bundle-ab.cdx.json"])
    assert document["serialNumber"].startswith("urn:uuid:")


def test_document_follows_the_schema(inside: dict[str, Inside]) -> None:
    pytest.importorskip("jsonschema", reason="cyclonedx-python-lib[json-validation] is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(documents(inside)["bundle-ab.cdx.json"]) is None


def test_tar_of_a_real_tarfile_with_other_members_is_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "packages.tar", "w") as opened:
        for name, kind in ((".", tarfile.DIRTYPE), ("./repodata", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            opened.addfile(member)
        member = tarfile.TarInfo("./README")
        member.size = 3
        opened.addfile(member, io.BytesIO(b"abc"))
    assert list(by_file(look_inside.read(tmp_path / "packages.tar"))) == ["README"]
