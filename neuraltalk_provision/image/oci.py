"""Writes an image as one tar, which is an OCI archive and a Docker archive at the same time.

The tar has the layout of an OCI image (oci-layout, index.json, blobs/) for Podman, Skopeo and new Docker, and Docker's
manifest.json, which names the same files, for older Docker. Its bytes depend on the layers and the configuration alone:
nothing is compressed, because compressed bytes depend on the version of zlib.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision.mirror import tar_writer
from neuraltalk_provision.mirror.tar_writer import Written

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIGURATION = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_NAME = "org.opencontainers.image.ref.name"
_DIRECTORY = "blobs/sha256"


@dataclass(frozen=True)
class Layer:
    """A tar of files; `size` in bytes."""

    file: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Image:
    """The image in its file: `digest` is that of its manifest, `id` that of its configuration (Docker's image id)."""

    digest: str
    id: str
    archive: Written


def write(file: Path, name: str, layers: Sequence[Layer], configuration: bytes) -> Image:
    """Write the image `name` (`NAME:TAG`) to a new file. `configuration` lists the layers (configuration.py)."""
    image_id = hashlib.sha256(configuration).hexdigest()
    manifest = as_json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described(_CONFIGURATION, image_id, len(configuration)),
            "layers": [_described(_LAYER, layer.sha256, layer.size) for layer in layers],
        }
    )
    digest = hashlib.sha256(manifest).hexdigest()
    described = {**_described(_MANIFEST, digest, len(manifest)), "annotations": {_NAME: name}}
    docker = [
        {
            "Config": f"{_DIRECTORY}/{image_id}",
            "RepoTags": [name],
            "Layers": [f"{_DIRECTORY}/{layer.sha256}" for layer in layers],
        }
    ]
    small = {
        "oci-layout": as_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": as_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}),
        "manifest.json": as_json(docker),
        f"{_DIRECTORY}/{digest}": manifest,
        f"{_DIRECTORY}/{image_id}": configuration,
    }
    with tar_writer.writing(file) as tar:
        for path, content in small.items():
            tar.add(path, len(content), io.BytesIO(content))
        for layer in {layer.sha256: layer for layer in layers}.values():
            with layer.file.open("rb") as opened:
                tar.add(f"{_DIRECTORY}/{layer.sha256}", layer.size, opened)
        return Image(digest, image_id, tar.written())


def as_json(document: Any) -> bytes:
    """The bytes of a document of an image; the same for the same document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _described(kind: str, sha256: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{sha256}", "size": size}
