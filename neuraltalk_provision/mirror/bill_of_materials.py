"""The list that goes with a bundle as CycloneDX 1.6 in JSON (https://cyclonedx.org), for programs of a security office.

The same bundle gives the same bytes: the serial number is made of the digest of the lock and the name of the bundle,
and no time is written. Pure.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence

from cyclonedx import spdx
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from neuraltalk_provision.mirror import carried
from neuraltalk_provision.mirror.contained import Package, Statement, plain

_SPACE = uuid.UUID("7f4c1c0e-5b0f-5d0c-9a53-6d0c2b1f4a6e")
"""The name space of serial numbers of this project (RFC 9562, version 5)."""
_PREFIX = "neuraltalk-provision"
_MODELS = ("vgg16-model", "vgg16-proto")
License = DisjunctiveLicense | LicenseExpression


def make(bundle: str, lock_sha256: str, rows: Sequence[carried.Row]) -> str:
    """The document for a bundle, as text."""
    root = Component(name=bundle, type=ComponentType.FILE, bom_ref="bundle", version=lock_sha256)
    components = [_artifact(row) for row in rows]
    bom = Bom(serial_number=uuid.uuid5(_SPACE, f"{lock_sha256} {bundle}"), components=components)
    bom.metadata.component = root
    bom.register_dependency(root, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def _artifact(row: carried.Row) -> Component:
    entry = row.entry
    nested = [_package(package, row) for package in row.inside.packages] + [_part(part, row) for part in row.parts]
    kind = ComponentType.LIBRARY if row.source else ComponentType.FILE
    return Component(
        name=entry.name,
        version=entry.version or row.commit or None,
        type=ComponentType.MACHINE_LEARNING_MODEL if entry.name in _MODELS else kind,
        bom_ref=entry.name,
        purl=_github(row.address, row.commit),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=entry.sha256)],
        licenses=_licences(row.statement),
        components=nested,
        properties=_properties(
            row.statement,
            file=entry.file,
            size=str(entry.size),
            role=entry.role,
            origin=plain(entry.origin),
            carried="yes" if row.carried else "no, the other side has it",
            content=row.inside.problem,
        ),
    )


def _part(part: carried.Part, row: carried.Row) -> Component:
    return Component(
        name=part.path,
        version=part.commit or None,
        type=ComponentType.LIBRARY,
        bom_ref=f"{row.entry.name}/{part.path}",
        purl=_github(part.address, part.commit),
        licenses=_licences(part.statement),
        properties=_properties(part.statement, origin=part.address),
    )


def _package(package: Package, row: carried.Row) -> Component:
    return Component(
        name=package.name or package.file,
        version=package.version or None,
        type=ComponentType.LIBRARY if package.name else ComponentType.FILE,
        bom_ref=f"{row.entry.name}/{package.file}",
        purl=_purl(package, row.distribution),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
        licenses=_licences(package.statement),
        properties=_properties(
            package.statement, file=package.file, size=str(package.size), architecture=package.architecture
        ),
    )


def _purl(package: Package, distribution: tuple[str, str]) -> PackageURL | None:
    if not package.name or not package.version:
        return None
    if package.kind == "wheel":
        return PackageURL("pypi", None, package.name, package.version)
    if package.kind not in ("deb", "rpm"):
        return None
    qualifiers = {"arch": package.architecture, "distro": "-".join(part for part in distribution if part)}
    version = package.version
    if package.kind == "rpm" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    given = {key: value for key, value in qualifiers.items() if value}
    return PackageURL(package.kind, distribution[0] or None, package.name, version, given)


def _github(address: str, commit: str) -> PackageURL | None:
    words = address.removesuffix(".git").rstrip("/").split("/")
    if not commit or words[:3] != ["https:", "", "github.com"] or len(words) != 5:
        return None
    return PackageURL("github", words[3], words[4], commit)


def _licences(statement: Statement) -> Iterable[License]:
    """One expression, or several licences each by its identifier or name; NOASSERTION if none is stated."""
    found = carried.names(statement) or ("NOASSERTION",)
    if len(found) == 1 and not spdx.is_supported_id(found[0]) and spdx.is_expression(found[0]):
        return [LicenseExpression(found[0])]
    return [
        DisjunctiveLicense(id=name) if spdx.is_supported_id(name) else DisjunctiveLicense(name=name) for name in found
    ]


def _properties(statement: Statement, **values: str) -> list[Property]:
    values |= {"licence-file": statement.file, "licence-remark": statement.why}
    return [Property(name=f"{_PREFIX}:{name}", value=value) for name, value in sorted(values.items()) if value]
