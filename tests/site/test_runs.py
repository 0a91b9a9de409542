"""Training and captioning on a host, with unusual file names and damaged files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import engine
from tests.site.command import Done
from tests.site.host import ROOT
from tests.site.sites import Site
from tests.standin import dataset, images

DATA = "/data"
HOST = "site-2"
TRAIN = {
    "-input_h5": f"{DATA}/cocotalk.h5",
    "-input_json": f"{DATA}/cocotalk.json",
    "-batch_size": "1",
    "-seq_per_img": "2",
    "-max_iters": "12",
    "-save_checkpoint_every": "10",
    "-val_images_use": "2",
    "-losses_log_every": "5",
}
ODD = ('a folder\'s "best" picture.jpg', "ümlaut.png", "-dash.jpg", "$(touch evil).jpg")
Run = Callable[..., Done]


def options(**changes: str) -> list[str]:
    """The options of train.lua with changes; an empty value removes one."""
    chosen = TRAIN | {f"-{name}": value for name, value in changes.items()}
    return [word for name, value in chosen.items() if value for word in (name, value)]


@pytest.fixture(scope="module")
def run(converged: Site) -> Run:
    """Calls `provision VERB --host HOST --id ID OPTIONS -- ARGUMENTS`."""

    def call(verb: str, run_id: str, arguments: list[str], *own: str) -> Done:
        return converged.directory.provision(verb, "--host", HOST, "--id", run_id, *own, "--", *arguments)

    return call


@pytest.fixture(scope="module")
def data(converged: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set and a directory of pictures on the host, some with unusual names or damaged."""
    folder = tmp_path_factory.mktemp("data")
    dataset.write(folder, images=30)
    images.write(folder / "images", count=3, apple_double=True, empty=True)
    for name in ODD:
        shutil.copyfile(
            folder / "images" / ("red.jpg" if name.endswith("jpg") else "00-green.png"), folder / "images" / name
        )
    (folder / "images" / "page.jpg").write_text("<html>not found</html>", encoding="utf-8")
    green = (folder / "images" / "00-green.png").read_bytes()
    (folder / "images" / "cut.png").write_bytes(green[: len(green) // 2])
    (folder / "images" / "below").mkdir()
    (folder / "images" / "below" / "no suffix").write_bytes(green)
    engine.docker("cp", str(folder), f"{HOST}:{DATA}")
    engine.docker("exec", HOST, "chmod", "-R", "a+rX", DATA)
    return DATA


@pytest.fixture(scope="module")
def trained(run: Run, data: str) -> Done:
    """A training of a few iterations."""
    return run("train", "few", options(), "--json")


def test_a_training_writes_a_model(trained: Done) -> None:
    result = trained.ended_with(0).document
    assert result["exit_code"] == 0
    sizes = {Path(checkpoint["file"]).name: checkpoint["bytes"] for checkpoint in result["checkpoints"]}
    assert sizes["model_idfew.t7"] > 0
    assert [iteration for iteration, _loss in result["losses"]] == list(range(12))


def test_captions_have_the_names_of_the_pictures(run: Run, trained: Done) -> None:
    model = f"{ROOT}/runs/few/checkpoint/model_idfew.t7"
    result = (
        run("eval", "captions", ["-model", model, "-image_folder", f"{DATA}/images"], "--json").ended_with(0).document
    )
    captions = {caption["file"]: caption["caption"] for caption in result["captions"]}
    assert captions.keys() == {"red.jpg", "blue.jpg", "00-green.png", "below/no suffix", *ODD}
    assert all(captions.values())
    aside = {file["file"]: file["reason"] for file in result["set_aside"]}
    assert aside.keys() == {"._red.jpg", "empty.jpg", "page.jpg", "cut.png"}
    assert aside["cut.png"].startswith("image.load: ")
    assert "AppleDouble" in aside["._red.jpg"]
    assert "empty" in aside["empty.jpg"]
    assert "no JPEG" in aside["page.jpg"]


def test_captions_are_printed_as_text(run: Run, trained: Done) -> None:
    model = f"{ROOT}/runs/few/checkpoint/model_idfew.t7"
    done = run("eval", "again", ["-model", model, "-image_folder", f"{DATA}/images"]).ended_with(0)
    done.says("set aside ._red.jpg: ", "red.jpg: ", "ended well on site-2", *(f"{name}: " for name in ODD))


def test_an_id_that_was_used_is_refused(run: Run, trained: Done) -> None:
    run("train", "few", options()).ended_with(1).says("site-2", "run called few", "choose another id")


def test_an_unknown_option(run: Run) -> None:
    run("train", "x", options(max_iter="3")).ended_with(2).says("no option -max_iter", "-max_iters")


def test_a_training_that_would_save_nothing(run: Run) -> None:
    refused = run("train", "x", options(max_iters="10")).ended_with(2)
    refused.says("-max_iters 10 is not greater than -save_checkpoint_every 10", "before it writes a model")


def test_a_file_that_the_host_does_not_have(run: Run, converged: Site) -> None:
    refused = run("train", "x", options(input_h5="/data/nothing.h5")).ended_with(1)
    refused.says("site-2", "-input_h5 /data/nothing.h5: there is no such file")
    assert not converged.hosts[1].has(f"{ROOT}/runs/x")


def test_an_unknown_host(converged: Site, data: str) -> None:
    done = converged.directory.provision("train", "--host", "nosuch", "--", *options())
    done.ended_with(2).says("no host or group called nosuch")


def test_a_program_that_fails(run: Run, data: str) -> None:
    failed = run("train", "broken", options(start_from=f"{DATA}/images/page.jpg")).ended_with(1)
    failed.says("train.lua ended with exit code", f"{ROOT}/runs/broken/log", "site-2")
