"""YAML that people write: what it would take for something else is refused, with the line and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import settings, yaml_file
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import lock
from neuraltalk_provision.mirror.lock import Entry, Lock
from neuraltalk_provision.runs.request import document
from neuraltalk_provision.runs.request.sweep import SweepDocument
from neuraltalk_provision.runs.verdict import envelope


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        yaml_file.parse(text, "my.yml")
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("7", 7),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.0e-5", 1e-5),
        ("1e-5", "1e-5"),  # text that the programs read as the number that it is
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("node1", "node1"),
        ("1.2.3", "1.2.3"),
        ("/data/c.h5", "/data/c.h5"),
        ("GPU-1", "GPU-1"),
        ("'0123'", "0123"),
        ("0129", "0129"),  # no number of YAML 1.1, for its 9 is no octal digit
        ('"1:30"', "1:30"),
        ("'no'", "no"),
        ("'2026-01-01'", "2026-01-01"),
        ("[1, {b: 'c'}]", [1, {"b": "c"}]),
        ("|\n  two\n  lines", "two\nlines"),
    ],
)
def test_plain_value_is_what_it_looks_like(value: str, told: Any) -> None:
    assert yaml_file.parse(f"a: {value}", "my.yml") == {"a": told}


TRAPS = """0123 -017 00 0b11 0x1F 1_000 1:30 -1:30:00 1:30.5 1_0.5 .nan .NaN .inf -.inf 1.0e+999 010.5
    yes no on off Yes NO On OFF 2026-01-01 2026-01-01T10:00:00Z = 1234567890123456789 """.split()


@pytest.mark.parametrize("value", [*TRAPS, "9" * 5_000, "9" * 5_000 + ".5"], ids=lambda value: value[:20])
@pytest.mark.parametrize("place", ["a: {}", "a: [1, {}]", "{}: 1", "- b\n- {}"])
def test_value_that_yaml_takes_for_something_else_is_refused_with_its_line(value: str, place: str) -> None:
    message = refusal("# one\n" + place.format(value))
    assert re.match(r"my\.yml, line [23]: ", message)
    assert value[:40] in message
    assert "write" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "my.yml, line 3: a is a duplicate of line 1"),
        ("a:\n  b: 1\n  'b': 2\n", "my.yml, line 3: b is a duplicate of line 2"),
        ("a: &x [1]\nb: *x\n", "my.yml, line 2: *x: references are not supported"),
        ("a: &a [*a]\n", "*a: references are not supported"),
        ("a: {b: 1}\nc:\n  <<: {d: 1}\n", "my.yml, line 3: <<: YAML can read this in another way; write out"),
        ("a: !!int '0123'\n", "my.yml, line 1: 0123: YAML can read this in another way"),
        ("a: !!binary aGk=\n", "!!binary: types are not supported"),
        ("a: !!set {b}\n", "!!set: types are not supported"),
        ("a: !!python/object/apply:os.system [id]\n", "types are not supported"),
        ("a: !vault x\n", "types are not supported"),
        ("[a]: 1\n", "a name must be before the colon"),
        ("a: 1\n---\nb: 2\n", "my.yml does not parse: line 2: but found another document"),
        ("a: [\n", "my.yml does not parse: line 2: "),
        ("a: b: c\n", "my.yml does not parse: line 1: mapping values are not allowed here"),
        ("\ta: 1\n", "does not parse: line 1"),
        ("a: \x1b\n", "does not parse"),
        ('a: "x\\0"\n', "this text contains an invalid character"),
        ('a: "\\ud800"\n', "this text contains an invalid character"),
        ('a: "\\UFFFFFFFF"\n', "does not parse"),
        ("[" * 100_000, "more than 30 lists and mappings are nested"),
        ("a: " + "{b: " * 1_000, "more than 30 lists and mappings are nested"),
    ],
    ids=range(21),
)
def test_file_that_is_not_plain_is_refused_with_its_line(text: str, words: str) -> None:
    assert words in refusal(text)


def test_bomb_of_references_is_refused_before_it_goes_off() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    assert "*a0: references are not supported" in refusal(bomb)


def test_file_that_is_not_there_not_text_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.yml"
    with pytest.raises(UsageError, match="there is no such file"):
        yaml_file.read(file)
    file.write_bytes(b"a: \xff")
    with pytest.raises(UsageError, match="not text in UTF-8: invalid start byte at byte 3"):
        yaml_file.read(file)
    monkeypatch.setattr(yaml_file, "LARGEST", 3)
    file.write_text("a: 123")
    with pytest.raises(UsageError, match="it is larger than"):
        yaml_file.read(file)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        yaml_file.read(tmp_path)


READERS: dict[str, Callable[[Path], object]] = {
    "provision.yml": settings.load,
    "run.yml": document.read,
    "sweep.yml": lambda file: document.read_as(SweepDocument, file),
    "envelope.yml": envelope.read,
    "mirror.lock": lambda file: lock.read(file.parent),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "trap", ["x: 0123", "x: 1:30", "x: no", "x: 1\nx: 2", "x: .nan", "x: 2026-01-01", "x: [&a [1], *a]"]
)
def test_every_file_that_people_write_is_read_so(tmp_path: Path, name: str, trap: str) -> None:
    file = tmp_path / name
    file.write_text(trap + "\n")
    with pytest.raises((UsageError, MirrorError), match=f"{name}, line [12]: "):
        READERS[name](file)


@pytest.mark.parametrize(
    "version", ["1.0", "0123", "1:30", "no", "2026-01-01", "1e5", "null", "1_000", ".inf", "0129", "<<"]
)
def test_lock_that_we_write_is_read_as_it_was(tmp_path: Path, version: str) -> None:
    entry = Entry(name="nn", file="nn.tgz", sha256="0" * 64, size=7, version=version, origin=version, role="torch")
    lock.write(tmp_path, Lock(artifacts=(entry,)))
    assert lock.read(tmp_path).artifacts == (entry,)


@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize(
    ("model", "text"),
    [
        (document.RunDocument, "options: {{max_iters: {}}}"),
        (document.RunDocument, "gpu: {}"),
        (document.RunDocument, "gpu_memory: {}"),
        (document.RunDocument, "stages: {{base: {{until: {{plateau: {}}}}}}}"),
        (document.RunDocument, "stages: {{base: {{options: {{seed: {}}}}}}}"),
        (SweepDocument, "grid: {{seed: [{}]}}"),
        (SweepDocument, "draw: {{grad_clip: {{least: {}, most: 2}}}}"),
        (SweepDocument, "draws: {}"),
        (SweepDocument, "seed: {}"),
        (None, "name: x\nranges: {{loss: [{{iteration: {}, least: 1, most: 2}}]}}"),
        (None, "name: x\nranges: {{loss: [{{iteration: 1, least: 0, most: {}}}]}}"),
    ],
)
def test_true_and_false_are_no_numbers(
    tmp_path: Path, model: type[document.RunDocument] | None, text: str, value: str
) -> None:
    file = tmp_path / "run.yml"
    file.write_text(text.format(value))
    with pytest.raises(UsageError, match=r"it cannot be true|must be (text or )?a whole number, and is"):
        document.read_as(model, file) if model else envelope.read(file)


@pytest.mark.parametrize("value", ["null", ""])
def test_option_is_not_nothing(tmp_path: Path, value: str) -> None:
    file = tmp_path / "run.yml"
    file.write_text(f"options:\n  max_iters: {value}\n")
    with pytest.raises(UsageError, match=r"max_iters: .*it cannot be true, false or empty"):
        document.read(file)


@pytest.mark.parametrize("number", ["0.1234567890123", "1.0e-5", "123456789012345678", "0.30000000000000004", "1e-5"])
def test_number_of_a_file_is_given_to_the_program_as_it_was_written(tmp_path: Path, number: str) -> None:
    file = tmp_path / "run.yml"
    file.write_text(f"options: {{learning_rate: {number}}}\n")
    assert float(document.read(file).arguments([])[1]) == float(number)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "'nan'"])
@pytest.mark.parametrize(
    "text",
    [
        "name: x\nranges: {{loss: [{{iteration: 1, least: {}, most: 2}}]}}",
        "draw: {{learning_rate: {{least: 0, most: {}}}}}",
    ],
)
def test_bound_that_is_no_number_is_refused(tmp_path: Path, text: str, value: str) -> None:
    file = tmp_path / "x.yml"
    file.write_text(text.format(value))
    with pytest.raises(UsageError, match="must be a number, and is"):
        envelope.read(file) if text.startswith("name") else document.read_as(SweepDocument, file)
