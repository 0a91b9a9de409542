"""The stand-in sources: what is cheap to know about them without building anything."""

from __future__ import annotations

import fnmatch
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.standin import __main__ as standin
from tests.standin import archives, caffemodel, dataset, images, pictures
from tests.standin.wheels import wheel_tar

DATA = Path(__file__).parents[2] / "neuraltalk_provision" / "catalogue" / "data"
# Made by the lab or brought by users; what the GPU role wants has no stand-in.
ELSEWHERE = {
    "packages",
    "python-wheels",
    "cudnn-archive",
    "cutorch",
    "cunn",
    "cudnn-rock",
    "cutorch-modern",
    "cunn-modern",
    "cuda-wheels",
    # score_wheels.py makes these on demand: with them a host would get no coco-caption.tgz.
    "score-wheels",
    "coco-annotations",
    # For controllers. `provision mirror pull` makes them of provision itself.
    "provision-wheels",
    "install-provision",
}


def load(name: str) -> Any:
    return yaml.safe_load((DATA / name).read_text())


CATALOGUE = [row for row in load("artifacts.yaml")["artifacts"] if row["name"] not in ELSEWHERE]
EDITS = [(archive, edit) for archive, edits in load("edits.yaml").items() if archive not in ELSEWHERE for edit in edits]


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row["name"])
def test_every_artifact_of_the_catalogue_is_made_under_a_name_it_knows(row: dict[str, Any]) -> None:
    file, _ = standin.artifacts()[row["name"]]
    assert any(fnmatch.fnmatch(file, pattern) for pattern in row["matches"])


@pytest.mark.parametrize("row", [row for row in CATALOGUE if "holds" in row], ids=lambda row: row["name"])
def test_an_archive_holds_what_the_catalogue_asks_of_it(row: dict[str, Any]) -> None:
    paths = archives.members(row["name"])
    for wanted in row["holds"]:
        assert fnmatch.filter(paths, f"{row['name']}/{wanted}"), wanted


@pytest.mark.parametrize(
    ("archive", "edit"), EDITS, ids=lambda value: value if isinstance(value, str) else value["file"]
)
def test_every_edit_finds_its_pattern_as_often_as_it_says(archive: str, edit: dict[str, Any]) -> None:
    text = archives.members(archive)[f"{archive}/{edit['file']}"].decode()
    assert text.count(edit["pattern"]) == edit["count"]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = standin.write(tmp_path / "one"), standin.write(tmp_path / "two")
    assert [path.name for path in first] == [path.name for path in second]
    assert len(first) == len(standin.artifacts())
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_only_writes_what_was_asked_for(tmp_path: Path) -> None:
    assert [path.name for path in standin.write(tmp_path, ["nn", "vgg16-proto"])] == [
        "nn.tgz",
        "VGG_ILSVRC_16_layers_deploy.prototxt",
    ]


@pytest.mark.parametrize("name", archives.ARCHIVES)
def test_an_archive_has_one_top_directory_a_note_and_no_time(name: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(archives.archive(name))) as tar:
        entries = tar.getmembers()
    assert {entry.name.split("/")[0] for entry in entries} == {name}
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.mtime, entry.uid, entry.uname) for entry in entries} == {(0, 0, "")}
    assert f"{name}/STAND-IN.md" in {entry.name for entry in entries}


def test_scripts_are_executable() -> None:
    with tarfile.open(fileobj=io.BytesIO(archives.archive("neuraltalk2"))) as tar:
        assert tar.getmember("neuraltalk2/misc/call_python_caption_eval.sh").mode == 0o755
        assert tar.getmember("neuraltalk2/train.lua").mode == 0o644


@pytest.mark.parametrize(("name", "inside"), [("nn", "extra/nn"), ("nngraph", "extra/nngraph"), ("image", "pkg/image")])
def test_torch_brings_an_older_one(name: str, inside: str) -> None:
    separate = archives.members(name)[f"{name}/init.lua"]
    bundled = archives.members("torch")[f"torch/{inside}/init.lua"]
    assert separate != bundled
    assert b'_VERSION = "2017-' in separate
    assert b'_VERSION = "2016-' in bundled


def test_the_model_is_made_of_whole_fields_one_for_each_layer() -> None:
    fields = list(protobuf_fields(caffemodel.model()))
    assert fields[0] == (1, caffemodel.NAME.encode())
    layers = [dict(protobuf_fields(value)) for number, value in fields if number == 2 and isinstance(value, bytes)]
    assert [layer[4] for layer in layers] == [layer.name.encode() for layer in caffemodel.layers()]
    assert caffemodel.prototxt().count("layers {") == len(layers) == 39


def protobuf_fields(data: bytes) -> list[tuple[int, bytes | int]]:
    out: list[tuple[int, bytes | int]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            out.append((key >> 3, varint()))
        else:
            assert key & 7 == 2
            size = varint()
            out.append((key >> 3, data[at : at + size]))
            at += size
    assert at == len(data)
    return out


def test_the_annotations_are_those_of_the_data_set() -> None:
    text = archives.members("coco-caption")["coco-caption/annotations/captions_val2014.json"].decode()
    assert text == pictures.coco_annotations() + "\n"
    assert {dataset.split(index, 20) for index in range(20)} == {"train", "val", "test"}
    words = set(pictures.vocabulary())
    assert all(word in words for row in json.loads(text)["annotations"] for word in row["caption"].split())


def test_pictures_are_real_and_troublemakers_come_on_demand(tmp_path: Path) -> None:
    good = images.write(tmp_path / "good")
    assert [path.suffix for path in good] == [".jpg", ".jpg", ".png", ".png", ".png"]
    assert all(path.read_bytes()[:3] == b"\xff\xd8\xff" for path in good[:2])
    png = good[2].read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    body = png[41 : 41 + struct.unpack(">I", png[33:37])[0]]
    assert len(zlib.decompress(body)) == height * (1 + 3 * width)

    bad = {path.name: path.read_bytes() for path in images.write(tmp_path / "bad", 1, apple_double=True, empty=True)}
    assert bad["._red.jpg"][:4].hex() == "00051607"
    assert bad["empty.jpg"] == b""


def test_wheels_lie_flat_in_their_tar(tmp_path: Path) -> None:
    for name in ("b-1-py3-none-any.whl", "a-1-py3-none-any.whl", "notes.txt"):
        (tmp_path / name).write_text(name)
    with tarfile.open(fileobj=io.BytesIO(wheel_tar(tmp_path))) as tar:
        assert tar.getnames() == ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]
