"""The scorer in a run: its annotations, a folder of the run's own, and what is said before a run starts."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision import paths
from plugins.module_utils.host.errors import StackError
from tests.standin import score_wheels

MYEVAL = paths.share() / "roles" / "neuraltalk2" / "files" / "myeval.py"


def like_coco(*known: Any) -> str:
    images = [{"id": image} for image in known]
    return json.dumps({"images": images, "annotations": [{"image_id": i, "caption": "a cat"} for i in known]})


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("scoring.scorer")


@pytest.fixture
def wheels(generation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generation whose scorer was made from wheels, and a host with a java; the folder of coco-caption."""
    place = generation / "coco-caption"
    zipfile.ZipFile(io.BytesIO(score_wheels.wheel())).extractall(place)
    shutil.copyfile(MYEVAL, place / "myeval.py")
    (place / "annotations").mkdir()
    (place / "annotations" / "captions_val2014.json").write_text(like_coco(1, 2, 3))
    (place / "scorer.json").write_text(json.dumps({"python": sys.executable, "packages": "score-wheels"}))
    (generation / "neuraltalk2" / "coco-caption").symlink_to("../coco-caption")
    score_wheels.write_java(tmp_path / "bin")
    (tmp_path / "bin" / "dirname").symlink_to(str(shutil.which("dirname")))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")  # and no java of this machine
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set's JSON: image 1 to train on, 2 and 9 to validate, 3 to test."""
    splits = {1: "train", 2: "val", 9: "val", 3: "test"}
    place = tmp_path / "my data.json"
    place.write_text(json.dumps({"images": [{"id": i, "split": split} for i, split in splits.items()]}))
    return place


@pytest.mark.parametrize(
    ("arguments", "beside", "wanted"),
    [
        ({}, False, "coco-caption/annotations/captions_val2014.json"),
        ({"input_json": "DATA"}, False, "coco-caption/annotations/captions_val2014.json"),
        ({"input_json": "DATA"}, True, "my data.annotations.json"),
        ({"input_json": "DATA", "coco_json": "/x/test.json"}, True, "/x/test.json"),
    ],
)
def test_annotations_are_those_beside_the_data_set_else_the_stacks(
    module: ModuleType, generation: Path, data: Path, arguments: dict[str, str], beside: bool, wanted: str
) -> None:
    if beside:
        data.with_name("my data.annotations.json").touch()
    given = {name: value.replace("DATA", str(data)) for name, value in arguments.items()}
    assert module.annotations_of(str(generation), given).endswith(wanted)


def laid_out(module: ModuleType, generation: Path, work: Path, annotations: Path) -> Path:
    work.mkdir()
    module.lay_out_scorer(str(generation), str(work), str(annotations))
    return work / "coco-caption"


def test_run_scores_in_a_folder_of_its_own_and_writes_nothing_into_the_generation(
    module: ModuleType, generation: Path, wheels: Path, tmp_path: Path
) -> None:
    """As call_python_caption_eval.sh does it, two runs at once, in a generation that nobody may write to."""
    own = tmp_path / "own.annotations.json"
    own.write_text(like_coco(1))
    before = {path: path.stat().st_mtime_ns for path in wheels.rglob("*")}
    places = [laid_out(module, generation, tmp_path / name, own) for name in ("one", "two")]
    said = {"val_predictions": [{"image_id": 1, "caption": "a cat"}]}
    running = []
    for place in places:
        (place / "valx.json").write_text(json.dumps(said))
        environment = {**os.environ, "PATH": f"{place.parent}/bin:{os.environ['PATH']}"}
        argv = ["/bin/sh", "-c", "cd coco-caption && python myeval.py valx.json"]
        running.append(subprocess.Popen(argv, cwd=place.parent, env=environment, stdout=subprocess.PIPE, text=True))
    for process, place in zip(running, places, strict=True):
        assert "using 1/1 predictions" in process.communicate(timeout=60)[0]
        assert json.loads((place / "valx.json_out.json").read_text())["Bleu_1"] == 1.0
        assert (place / "pycocoevalcap" / "tokenizer").is_dir() and not (place / "pycocoevalcap").is_symlink()
        assert (place / "pycocoevalcap" / "meteor" / "meteor-1.5.jar").is_symlink()
        assert (place / "annotations" / "captions_val2014.json").readlink() == own
        assert not (place / "myeval.py").is_symlink(), "Python would look for packages where the link leads"
    assert {path: path.stat().st_mtime_ns for path in wheels.rglob("*")} == before


def test_leftovers_of_scoring_by_hand_are_not_linked(
    module: ModuleType, generation: Path, wheels: Path, tmp_path: Path
) -> None:
    for name in ("valx.json", "valx.json_out.json", "tmp.json", "pycocoevalcap/x.pyc", "__pycache__/y.pyc"):
        (wheels / name).parent.mkdir(exist_ok=True)
        (wheels / name).touch()
    place = laid_out(module, generation, tmp_path / "one", wheels / "annotations" / "captions_val2014.json")
    there = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    assert (
        not {"valx.json", "valx.json_out.json", "tmp.json", "pycocoevalcap/x.pyc", "__pycache__", "scorer.json"} & there
    )
    assert "pycocoevalcap/bleu/bleu.py" in there


def test_python_of_the_wheels_is_called_also_by_a_path_with_a_quote(
    module: ModuleType, generation: Path, wheels: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "it's here"
    odd.mkdir()
    (odd / "python3").write_text('#!/bin/sh\necho called "$@"\n')
    (odd / "python3").chmod(0o755)
    (wheels / "scorer.json").write_text(json.dumps({"python": str(odd / "python3")}))
    laid_out(module, generation, tmp_path / "one", wheels)
    done = subprocess.run([tmp_path / "one" / "bin" / "python", "a b", "c"], capture_output=True, text=True, check=True)
    assert done.stdout == "called -B a b c\n"


@pytest.mark.parametrize(
    ("there", "called"),
    [(["python", "python2.7"], "python2.7"), (["python", "python2"], "python2"), (["python3"], "python3"), ([], None)],
)
def test_archives_packages_get_a_python_2_where_there_is_one(
    module: ModuleType, generation: Path, wheels: Path, tmp_path: Path, there: list[str], called: str | None
) -> None:
    (wheels / "scorer.json").write_text('{"packages": "coco-caption", "python": ""}')
    for name in there:
        (tmp_path / "bin" / name).symlink_to(sys.executable)
    found = module.scorers_python(str(generation))
    assert found == (str(tmp_path / "bin" / called) if called else None)
    lacks = module.scorer_lacks(str(generation), str(wheels / "annotations" / "captions_val2014.json"))
    assert lacks == ([] if called else ["a Python that may be run here: Python 2.7"])
    laid_out(module, generation, tmp_path / "one", wheels)
    assert (tmp_path / "one" / "bin" / "python").exists() == bool(called)


def test_run_without_a_scorer_in_the_generation_gets_no_folder(
    module: ModuleType, generation: Path, tmp_path: Path
) -> None:
    assert not laid_out(module, generation, tmp_path / "one", tmp_path / "none").exists()


def test_nothing_is_refused_where_scores_can_be_had(
    module: ModuleType, generation: Path, wheels: Path, data: Path
) -> None:
    for program, arguments in (
        ("train.lua", {"input_json": str(data)}),
        ("eval.lua", {"input_json": str(data)}),
        ("eval.lua", {"input_json": str(data), "split": "val"}),
        ("eval.lua", {}),
    ):
        module.refuse_unscored(str(generation), program, arguments)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("rm bin/java", "It lacks java, which the tokenizer and METEOR are written in .*default-jre-headless"),
        ("rm annotations/captions_val2014.json", "the annotations: .*captions_val2014.json .`provision data prepare`"),
        ("rm annotations/captions_val2014.json; mkdir annotations/captions_val2014.json", "is not a file"),
        ("rm pycocoevalcap/meteor/meteor-1.5.jar", "It lacks the file .*meteor-1.5.jar"),
        (
            "echo import nosuch >pycocoevalcap/bleu/bleu.py",
            "It lacks a pycocoevalcap.bleu.bleu that .*No module named 'nosuch'",
        ),
        ("rm -r pycocoevalcap", "the scorer: coco-caption is not installed .*score-wheels.tar"),
        ("""echo '{"python": "/nosuch/python3"}' >scorer.json""", "a Python that may be run here: /nosuch/python3"),
        ("echo 'exit(3)' >myeval.py", "a scorer that .*python.* can run: code 3"),
        ("echo '{}' >annotations/captions_val2014.json", "it has no list `images`"),
        ("echo '[' >annotations/captions_val2014.json", "is not JSON"),
        (
            """echo '{"images": [], "annotations": [{"image_id": 1}]}' >annotations/captions_val2014.json""",
            r"annotations\[0\] has no text as its `caption`",
        ),
    ],
)
def test_what_scoring_would_miss_is_said_before_the_start(
    module: ModuleType, generation: Path, wheels: Path, data: Path, tmp_path: Path, broken: str, words: str
) -> None:
    place = tmp_path if "bin/" in broken else wheels
    subprocess.run(broken, shell=True, check=True, cwd=place, env={"PATH": "/usr/bin:/bin"})
    with pytest.raises(StackError, match=words):
        module.refuse_unscored(str(generation), "train.lua", {"input_json": str(data)})


def test_annotations_without_what_the_archives_scorer_asks_for_are_refused_there_and_only_there(
    module: ModuleType, generation: Path, wheels: Path, data: Path
) -> None:
    """The original ends with `KeyError: 'type'` after the first validation."""
    path = wheels / "annotations" / "captions_val2014.json"
    assert module.annotated(str(path), str(generation)) == {1, 2, 3}
    (wheels / "scorer.json").unlink()
    with pytest.raises(StackError, match="it has no `info`, no `type`, no `licenses`, without which coco-caption ends"):
        module.annotated(str(path), str(generation))
    path.write_text(json.dumps({**json.loads(path.read_text()), "info": {}, "type": "captions", "licenses": []}))
    assert module.annotated(str(path), str(generation)) == {1, 2, 3}


def test_annotations_of_other_images_are_refused_with_numbers_and_ids(
    module: ModuleType, generation: Path, wheels: Path, data: Path
) -> None:
    (wheels / "annotations" / "captions_val2014.json").write_text(like_coco(*range(100, 120), "a"))
    words = "contain no image of split val .*These 2 images have ids like 2, 9; the 21 annotated images have 100, 101"
    with pytest.raises(StackError, match=words):
        module.refuse_unscored(str(generation), "train.lua", {"input_json": str(data)})
    with pytest.raises(StackError, match=r"contain no image of split test .*These 1 images have ids like 3;"):
        module.refuse_unscored(str(generation), "eval.lua", {"input_json": str(data)})


def test_split_without_images_or_ids_is_refused(module: ModuleType, generation: Path, wheels: Path, data: Path) -> None:
    for images in ([{"id": 1, "split": "train"}], [{"split": "val"}], [{"id": None, "split": "val"}]):
        data.write_text(json.dumps({"images": images}))
        with pytest.raises(StackError, match=r"no image of split val .* that has an `id`"):
            module.refuse_unscored(str(generation), "train.lua", {"input_json": str(data)})


@pytest.mark.parametrize("text", ["", "[", "[]", '{"images": 5}', "[" * 100_000])
def test_data_set_that_cannot_be_read_is_left_to_who_checks_it(
    module: ModuleType, generation: Path, wheels: Path, data: Path, text: str
) -> None:
    data.write_text(text)
    module.refuse_unscored(str(generation), "train.lua", {"input_json": str(data)})
