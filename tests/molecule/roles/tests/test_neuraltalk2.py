"""Both programs print their options, the scorer is where they read it, and the weights are those of the mirror."""

from __future__ import annotations

import shlex

import pytest
from testinfra.host import Host

from neuraltalk_provision import catalogue
from tests.molecule.conftest import Stack

VGG16 = {
    "vgg16-proto": "VGG_ILSVRC_16_layers_deploy.prototxt",
    "vgg16-model": "VGG_ILSVRC_16_layers.caffemodel",
}


@pytest.mark.parametrize("program", ["train.lua", "eval.lua"])
def test_help_lists_every_option_of_the_catalogue(stack: Stack, program: str) -> None:
    done = stack.run("sh", "-c", f"cd {stack.path}/neuraltalk2 && th {program} -help")
    assert done.rc == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip().startswith("-")}
    assert {f"-{option}" for option in catalogue.program_options(program)} <= listed


def test_the_scorer_is_linked_where_neuraltalk2_reads_it(host: Host, stack: Stack) -> None:
    link = host.file(f"{stack.path}/neuraltalk2/coco-caption")
    assert link.is_symlink
    assert host.check_output(f"readlink {link.path}") == "../coco-caption"
    assert "pycocoevalcap" in host.file(f"{link.path}/myeval.py").content_string
    for file in ("pycocotools/coco.py", "pycocoevalcap/eval.py", "annotations/captions_val2014.json"):
        assert host.file(f"{link.path}/{file}").is_file, file


def test_the_scorer_scores(host: Host, stack: Stack) -> None:
    """Called as by train.lua -language_eval 1, on a copy because it writes beside itself, and without matplotlib."""
    given = '{"val_predictions": [{"image_id": 1001, "caption": "a red circle"}]}'
    host.check_output(f"rm -rf /tmp/coco && cp -rL {stack.path}/neuraltalk2/coco-caption /tmp/coco")
    host.check_output(f"printf %s {shlex.quote(given)} >/tmp/coco/given.json")
    done = stack.run("sh", "-c", "cd /tmp/coco && python3 myeval.py given.json && cat given.json_out.json")
    assert done.rc == 0, done.stderr
    assert "CIDEr" in done.stdout


@pytest.mark.parametrize("artifact", VGG16)
def test_the_weights_are_those_of_the_mirror(host: Host, stack: Stack, artifact: str) -> None:
    file = host.file(f"{stack.path}/neuraltalk2/model/{VGG16[artifact]}")
    assert file.sha256sum == stack.sha256(artifact)
    assert file.mode == 0o644


def test_loadcaffe_reads_the_weights(stack: Stack) -> None:
    """It returns nil for a model that it cannot read. It writes a file beside the prototxt, hence the copy in /tmp."""
    model = f"{stack.path}/neuraltalk2/model"
    stack.run("cp", f"{model}/{VGG16['vgg16-proto']}", "/tmp/vgg.prototxt")
    program = f"require 'loadcaffe'; print(loadcaffe.load('/tmp/vgg.prototxt', '{model}/{VGG16['vgg16-model']}', 'nn'))"
    assert stack.lua(program) not in ("", "nil")


@pytest.mark.parametrize("component", ["neuraltalk2", "coco-caption", "vgg16"])
def test_a_stamp_has_evidence(stack: Stack, component: str) -> None:
    stamp = stack.stamp(component)
    assert stamp["digest"] == stack.part(component)["digest"]
    assert stamp["evidence"]
