"""What a run is asked to do: options checked before anything starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import document, spec

WORDS = ["-input_h5", "/data/my 'set'/c.h5", "-input_json", "/data/c.json"]


def refusal(program: str, *words: str, run_id: str = "run-1") -> UsageError:
    with pytest.raises(UsageError) as caught:
        spec.parse(program, run_id, words)
    return caught.value


def test_training_gets_its_options_and_those_that_a_host_without_gpu_needs() -> None:
    run = spec.parse("train.lua", "run-1", [*WORDS, "-max_iters", "100", "-save_checkpoint_every", "10"])
    assert run.arguments == {
        "gpuid": "-1",
        "backend": "nn",
        "input_h5": "/data/my 'set'/c.h5",
        "input_json": "/data/c.json",
        "max_iters": "100",
        "save_checkpoint_every": "10",
    }
    assert run.files == ("input_h5", "input_json")


def test_captioning_names_the_files_that_have_to_be_there() -> None:
    run = spec.parse("eval.lua", "run-1", ["-model", "/m.t7", "--image_folder", "/images with spaces"])
    assert run.files == ("model", "image_folder")
    assert run.arguments["image_folder"] == "/images with spaces"


def test_value_may_look_like_an_option() -> None:
    assert spec.parse("train.lua", "r", [*WORDS, "-max_iters", "-1"]).arguments["max_iters"] == "-1"


@pytest.mark.parametrize(
    ("program", "words", "message"),
    [
        ("train.lua", [*WORDS, "-max_iter", "5"], "train.lua has no option -max_iter; did you mean -max_iters"),
        ("train.lua", [*WORDS, "-zzz", "5"], "train.lua has no option -zzz; did you mean -input_h5, -"),
        ("eval.lua", ["-model", "/m.t7", "-max_iters", "5"], "eval.lua has no option -max_iters"),
        ("train.lua", [*WORDS, "-seed"], "-seed has no value"),
        ("train.lua", [*WORDS, "-seed", "1", "-seed", "2"], "-seed is given twice"),
        ("train.lua", [*WORDS, "-id", "x"], "-id is set to the run's own id"),
        ("train.lua", ["-seed", "1"], "train.lua needs -input_h5 and -input_json, which are paths on the host"),
        ("train.lua", WORDS[:2], "train.lua needs -input_json"),
        ("eval.lua", [], "eval.lua needs -model"),
        ("eval.lua", ["-model", "m.t7"], "-model m.t7: must be an absolute path on the host"),
        ("eval.lua", ["-model", "/m.t7", "-image_folder", "~/x"], "-image_folder ~/x: must be an absolute path"),
        ("train.lua", [*WORDS, "-gpuid", "0"], "a run on the CPU has -gpuid -1 and -backend nn"),
        ("train.lua", [*WORDS, "-backend", "cudnn"], "a run on the CPU has -gpuid -1 and -backend nn"),
        ("train.lua", [*WORDS, "-max_iters", "ten"], "-max_iters ten: a whole number is needed"),
        ("train.lua", [*WORDS, "-max_iters", "1.5"], "-max_iters 1.5: a whole number is needed"),
        ("train.lua", [*WORDS, "-learning_rate", "4e"], "-learning_rate 4e: a number is needed"),
        ("train.lua", [*WORDS, "-learning_rate", "-1"], "-learning_rate -1: the value must be at least 0: with"),
        (
            "train.lua",
            [*WORDS, "-drop_prob_lm", "1.5"],
            "-drop_prob_lm 1.5: the value must be below 1: it is the share",
        ),
        ("train.lua", [*WORDS, "-language_eval", "yes"], "-language_eval yes: the value must be 0 or 1"),
        ("train.lua", [*WORDS, "-optim", "adma"], "-optim adma: the value must be rmsprop or adagrad or sgd"),
        ("train.lua", [*WORDS, "-batch_size", "0"], "-batch_size 0: the value must be at least 1: a batch"),
    ],
)
def test_option_that_cannot_work_is_refused_in_words(program: str, words: list[str], message: str) -> None:
    assert message in refusal(program, *words).message


@pytest.mark.parametrize(
    ("words", "fine"),
    [
        ("-max_iters 2500", False),
        ("-max_iters 2501", True),
        ("-max_iters 10 -save_checkpoint_every 10", False),
        ("-max_iters 10 -save_checkpoint_every 5", True),
        ("-max_iters -1 -save_checkpoint_every 5", True),
        ("", True),
    ],
)
def test_training_that_would_end_without_a_model_is_refused(words: str, fine: bool) -> None:
    given = [*WORDS, *words.split()]
    if fine:
        spec.parse("train.lua", "run-1", given)
        return
    error = refusal("train.lua", *given)
    assert "would end before it writes a model" in error.message
    proposed = re.search(r"a smaller number, for example (\d+)", error.advice)
    assert proposed
    spec.parse("train.lua", "run-1", [*WORDS, "-max_iters", "2500", "-save_checkpoint_every", proposed[1]])


def test_run_on_a_card_leaves_the_card_and_the_backend_to_the_host() -> None:
    run = spec.parse("train.lua", "r", WORDS, gpu="auto")
    assert {"gpuid", "backend"}.isdisjoint(run.arguments)
    assert (run.gpu, run.memory) == ("auto", 3020)
    assert spec.parse("train.lua", "r", [*WORDS, "-backend", "cudnn"], gpu="2").arguments["backend"] == "cudnn"
    assert spec.parse("train.lua", "r", WORDS, gpu="GPU-1", memory=7).memory == 7
    assert spec.parse("train.lua", "r", WORDS).memory == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-gpuid 2", "-gpuid is set to 0, because the run sees only one GPU"),
        ("-backend cuda", "-backend cuda: the value must be nn or cudnn"),
    ],
)
def test_card_is_chosen_by_its_own_option(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        spec.parse("train.lua", "r", [*WORDS, *words.split()], gpu="auto")


@pytest.mark.parametrize(
    ("program", "words", "memory"),
    [
        ("train.lua", "", 3020),
        ("train.lua", "-batch_size 1", 1595),
        ("train.lua", "-finetune_cnn_after 0", 8100),
        ("train.lua", "-finetune_cnn_after -1", 3020),
        ("eval.lua", "", 1260),
    ],
)
def test_finetuning_needs_more_of_a_card_than_base_training(program: str, words: str, memory: int) -> None:
    given = [*WORDS, *words.split()] if program == "train.lua" else ["-model", "/m.t7"]
    assert spec.parse(program, "r", given, gpu="auto").memory == memory


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", "a b", ".hidden", "-x", "a;b", "a'b"])
def test_id_that_is_no_plain_directory_name_is_refused(run_id: str) -> None:
    assert "names a directory on the host" in refusal("train.lua", *WORDS, run_id=run_id).message


@pytest.mark.parametrize("run_id", ["train-20260101-120000", "a", "7.b_c"])
def test_plain_id_is_taken(run_id: str) -> None:
    assert spec.parse("train.lua", run_id, WORDS).id == run_id


CANNOT_BE = {
    "max_iters": ["0", "-2"],
    "val_images_use": ["0", "-2"],
    "save_checkpoint_every": ["0", "-1"],
    "losses_log_every": ["0"],
    "batch_size": ["0", "-1", "1000000"],
    "seq_per_img": ["0", "1000000"],
    "rnn_size": ["0", "1000000"],
    "input_encoding_size": ["0", "1000000"],
    "grad_clip": ["0", "-0.1"],
    "drop_prob_lm": ["1", "-0.1", "1.0e0"],
    "learning_rate": ["-1e-9"],
    "learning_rate_decay_every": ["0"],
    "learning_rate_decay_start": ["-2"],
    "finetune_cnn_after": ["-2"],
    "optim_alpha": ["1", "-0.1"],
    "optim_beta": ["1", "-0.1"],
    "optim_epsilon": ["0"],
    "cnn_optim_alpha": ["1", "-0.1"],
    "cnn_optim_beta": ["1"],
    "cnn_learning_rate": ["-1"],
    "cnn_weight_decay": ["-1"],
}
CANNOT_BE_IN_EVAL = {"num_images": ["0", "-2"], "beam_size": ["0"], "batch_size": ["0"], "temperature": ["0", "-1"]}


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        *(("train.lua", name, value) for name, values in CANNOT_BE.items() for value in values),
        *(("eval.lua", name, value) for name, values in CANNOT_BE_IN_EVAL.items() for value in values),
    ],
)
def test_number_that_cannot_work_is_refused_with_the_reason(program: str, name: str, value: str) -> None:
    given = WORDS if program == "train.lua" else ["-model", "/m.t7"]
    message = refusal(program, *given, f"-{name}", value).message
    assert message.startswith(f"-{name} {value}: ")
    option = catalogue.program_options(program)[name]
    assert any(why and message.endswith(why) for why in (option.why, *option.never.values()))


NO_NUMBERS = {
    "1e400": "the number is too large",
    "-1e400": "the number is too large",
    "1e-400": "the number is so small that Lua would store 0",
    "0." + "0" * 399 + "1": "the number is so small that Lua would store 0",
    "nan": "a number is needed",
    "inf": "a number is needed",
    "0x10": "a number is needed",
    "1e": "a number is needed",
    "1,5": "a number is needed",
    "1_0": "a number is needed",
    " 1": "a number is needed",
    "1\n": "a number is needed",
    "\u0661": "a number is needed",
    "9" * 5_000: "a number is needed",
    "": "a number is needed",
}


@pytest.mark.parametrize(("value", "words"), NO_NUMBERS.items(), ids=range(len(NO_NUMBERS)))
def test_what_is_no_number_of_a_computer_is_refused(value: str, words: str) -> None:
    error = refusal("train.lua", *WORDS, "-learning_rate", value)
    assert words in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    "value", ["9007199254740993", "-9007199254740993", "9" * 300, "9" * 5_000, "\u0661", "1e3", ""]
)
def test_whole_number_that_lua_does_not_have_is_refused(value: str) -> None:
    message = refusal("train.lua", *WORDS, "-seed", value).message
    assert "2^53" in message or "a whole number is needed" in message


@pytest.mark.parametrize(
    "words",
    [
        "-seed 9007199254740992",
        "-seed -5",
        "-learning_rate 0",
        "-learning_rate .5",
        "-learning_rate 4e-4",
        "-learning_rate 0.0e10",
        "-drop_prob_lm 0.999",
        "-val_images_use -1",
        "-optim_alpha 0",
        "-grad_clip 1e-10",
    ],
)
def test_number_at_its_bound_is_taken(words: str) -> None:
    name, value = words.split()
    assert spec.parse("train.lua", "r", [*WORDS, name, value]).arguments[name[1:]] == value


@pytest.mark.parametrize("program", ["train.lua", "eval.lua"])
def test_bounds_have_a_reason_and_hold_for_the_programs_own_defaults(program: str) -> None:
    for name, option in catalogue.program_options(program).items():
        bounded = any(end is not None for end in (option.least, option.most, option.above, option.below))
        assert bool(option.why) == bounded, name
        assert not isinstance(option.default, int | float) or not option.problem(option.default), name


@pytest.mark.parametrize(
    "path",
    [
        "/a\nb",
        "/a\x00b",
        "/a\x1b[31m",
        "/a\tb",
        "/a\x7f",
        "/a\x85b",
        "/a\u2028b",
        "/caf\udce9",
        "/" + "a" * 4_095,
        "/" + "é" * 2_048,
    ],
)
@pytest.mark.parametrize("name", ["input_h5", "checkpoint_path", "start_from"])
def test_path_that_cannot_be_passed_on_is_refused(name: str, path: str) -> None:
    given = dict(zip(WORDS[::2], WORDS[1::2], strict=True)) | {f"-{name}": path}
    message = refusal("train.lua", *(word for pair in given.items() for word in pair)).message
    assert "control characters" in message or "at most 4095 bytes" in message
    assert len(message) < 300


def test_path_of_any_letters_is_passed_on() -> None:
    path = "/data/my 'set' \u65e5\u672c \U0001f600/$(x);y"
    assert spec.parse("eval.lua", "r", ["-model", path]).arguments["model"] == path


def test_id_is_no_longer_than_a_name_may_be() -> None:
    assert spec.parse("train.lua", "a" * 121, WORDS).id == "a" * 121
    assert len(refusal("train.lua", *WORDS, run_id="a" * 5_000).message) < 300


@pytest.mark.parametrize("run_id", ["a" * 122, "run.last", "run.new", "run\n", "-run", ""])
def test_id_that_a_host_would_refuse_is_refused_here(run_id: str) -> None:
    assert "--id" in refusal("train.lua", *WORDS, run_id=run_id).message


def test_scores_of_a_folder_need_its_sentences() -> None:
    words = ["-model", "/m.t7", "-image_folder", "/images", "-language_eval", "1"]
    assert "no captions to compare with" in refusal("eval.lua", *words).message
    spec.parse("eval.lua", "r", [*words, "-coco_json", "/annotations.json"])


@pytest.mark.parametrize("given", ["x", "", "1.5", "nan", "9" * 400, "9" * 5_000])
def test_damaged_record_of_a_run_is_refused_in_words(given: str) -> None:
    with pytest.raises(UsageError, match=r"-max_iters .*: a whole number is needed"):
        spec.whole("train.lua", {"max_iters": given}, "max_iters")


def test_record_of_other_types_is_refused_in_words() -> None:
    words: list[Any] = [*WORDS, "-max_iters", {"a": 1}]
    with pytest.raises(UsageError, match="a whole number is needed"):
        spec.parse("train.lua", "r", words)


WRITTEN = """
host: node1
id: base-1
gpu: auto
options:
  input_h5: /data/c.h5
  input_json: /data/c.json
  batch_size: 8
  learning_rate: 1.0e-5
"""


def test_run_can_be_written_down_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "the site's base.yml"
    file.write_text(WRITTEN)
    found, rest = document.split([str(file), "-batch_size", "4"])
    written = document.read(found)
    assert (written.host, written.id, written.gpu) == ("node1", "base-1", "auto")
    run = spec.parse("train.lua", written.id, written.arguments(rest), written.gpu)
    assert run.arguments["batch_size"] == "4"
    assert float(run.arguments["learning_rate"]) == 1e-5
    assert run.arguments["input_h5"] == "/data/c.h5"


def test_card_may_be_written_as_a_number(tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("gpu: 0\noptions: {batch_size: 4}\n")
    assert str(document.read(file).gpu) == "0"


def test_words_without_a_file_are_options() -> None:
    assert document.split(["-model", "/m.yml"]) == (None, ["-model", "/m.yml"])
    assert document.read(None).arguments(["-seed", "1"]) == ["-seed", "1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hots: node1\n", "hots is not a setting of a run's file; did you mean host"),
        ("options: [1]\n", "options: must be `name: value` lines"),
        ("host: [a\n", "does not parse"),
        ("gpu_memory: much\n", "gpu_memory: must be a whole number"),
    ],
)
def test_file_that_says_nonsense_is_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "run.yml"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(words)):
        document.read(file)
    with pytest.raises(UsageError, match="there is no such file"):
        document.read(tmp_path / "nothing.yml")
