"""The command line: help, exit codes, one JSON document, and words in place of tracebacks."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from neuraltalk_provision import catalogue, paths
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet import command, survey
from neuraltalk_provision.fleet.moves import Move
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.reader import Past, Reader
from neuraltalk_provision.fleet.site_lines import show_end, show_plans
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.mirror import lock, store
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.checks import Check
from neuraltalk_provision.results.one_run import Caption, SetAside
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, inventory_names, operations, playbook
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.sharing import Share
from tests.unit import archives
from tests.unit.catalogue import SMALL
from tests.unit.plans import HOSTS, RECIPE, planned
from tests.unit.runs import started_run
from tests.unit.test_fleet_busy import RUN
from tests.unit.test_fleet_rollback import using

Capture = pytest.CaptureFixture[str]
README = (paths.share() / "README.md").read_text(encoding="utf-8")
CHANGING = (
    {
        "init",
        "mirror add",
        "mirror prove",
        "mirror pull",
        "mirror remove",
        "mirror sign",
        "mirror bundle",
        "mirror unbundle",
        "image",
        "cache verify",
        "cache remove",
        "site",
        "rollback",
        "train",
        "eval",
        "sweep",
    }
    | {"cudnn swap", "cudnn restore"}
    | {"data prepare", "data inspect", "data push"}
    | {f"runs {verb}" for verb in ("stop", "resume", "verify", "score")}
)


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command and sub-command with its words."""
    for name, one in (group or typer.main.get_command(main.application())).commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{before}{name} ")
        else:
            yield f"{before}{name}", one


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site's directory with a space and a quote, where we are."""
    place = tmp_path / "the operator's site"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    return place


@pytest.fixture
def mirror(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site's mirror, of the small catalogue."""
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    for file in (
        archives.pack(tmp_path / "torch.tgz", archives.TORCH),
        archives.pack(tmp_path / "nn.tgz", archives.NN),
    ):
        store.add(site / "mirror", file, SMALL)
    return site / "mirror"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """One host, which answers as a bare one does; Ansible is not started."""
    state = {"state": {**HOSTS["bare"]["state"]}}
    monkeypatch.setattr(
        playbook, "run", lambda *given: playbook.Outcome(0, PlayResults((("node1", "stack_state", state),)))
    )


def provision(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_commands_are_those_that_were_asked_for() -> None:
    wanted = {"init", "mirror add", "mirror verify", "mirror list", "site", "verify", "rollback", "train", "eval"}
    assert wanted <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help_and_so_has_every_option(capsys: Capture, words: str) -> None:
    code, out, err = provision(capsys, *words.split(), "--help")
    assert (code, err) == (0, "")
    assert len(COMMANDS[words].help) > 30
    (summary, *_) = COMMANDS[words].help.split("\n\n")
    assert " ".join(summary.split()) in " ".join(out.split())
    assert [p.name for p in COMMANDS[words].params if not getattr(p, "help", "")] == []


GPU_DEFAULTS = {
    "train": "that of the file, otherwise none",
    "eval": "that of the file, otherwise none",
    "sweep": "that of the file, otherwise auto",
    "runs resume": "auto if the run used a GPU, otherwise none",
    "runs verify": "auto if the run used a GPU, otherwise none",
}


def test_help_of_gpu_names_the_default_of_each_command() -> None:
    """All of them said that the CPU is the default."""
    helps = {words: p.help for words, command in COMMANDS.items() for p in command.params if p.name == "gpu"}
    assert {words: text.rpartition("Default: ")[2].rstrip(".") for words, text in helps.items()} == GPU_DEFAULTS
    assert "index" not in helps["sweep"]  # is refused


def test_options_of_a_program_that_are_chosen_if_they_are_left_out_say_so(capsys: Capture) -> None:
    """Only the defaults of the program were shown: cudnn and 100 images."""
    _, out, _ = provision(capsys, "runs", "options", "eval.lua")
    told = {line.split()[0]: line for line in out.splitlines()}
    assert "if it is left out: nn on the CPU" in told["-backend"]
    assert "with image_folder all are captioned if it is left out" in told["-num_images"]


def test_help_says_where_the_documents_are_that_messages_name(capsys: Capture) -> None:
    place = "".join(provision(capsys, "--help")[1].split()).rpartition("arein")[2].rstrip(".")
    assert (Path(place) / "mirror.md").is_file()


def test_lines_of_the_help_are_filled(capsys: Capture) -> None:
    """Typer keeps the line breaks of a docstring."""
    assert "The exit code is 1 if the run is not well." in provision(capsys, "runs", "watch", "--help")[1]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_stands_in_the_readme(words: str) -> None:
    assert f"`provision {words}" in README


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_json_and_every_changing_one_has_plan(words: str) -> None:
    options = {option for parameter in COMMANDS[words].params for option in parameter.opts}
    assert "--json" in options
    assert ("--plan" in options) == (words in CHANGING)


def test_version_is_printed(capsys: Capture) -> None:
    project = tomllib.loads((paths.share() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert provision(capsys, "--version") == (0, project["version"] + "\n", "")


def test_version_of_a_checkout_that_is_not_installed_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def not_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    expected = provision(capsys, "--version")
    monkeypatch.setattr(metadata, "version", not_installed)
    assert provision(capsys, "--version") == expected
    assert expected[0] == 0


def test_version_is_printed_without_loading_any_command(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """It took as long as all commands together."""
    monkeypatch.setattr(main, "_function", lambda command: pytest.fail(f"{command} was loaded"))
    assert provision(capsys, "--version")[0] == 0


@pytest.mark.parametrize("words", [(), ("mirror",)])
def test_group_without_a_command_shows_its_help(capsys: Capture, words: tuple[str, ...]) -> None:
    code, out, err = provision(capsys, *words)
    assert code == 2
    assert "Usage:" in out + err
    assert "error:" not in err


def test_mirror_without_any_file_is_not_verified(capsys: Capture, site: Path) -> None:
    """Nothing was seen, for example because the disk of the mirror is not mounted."""
    (site / "mirror").mkdir()
    code, out, err = provision(capsys, "mirror", "verify")
    assert (code, out) == (2, "")
    assert f"error: {site / 'mirror'} is empty, so there is nothing to verify" in err


BROKEN = {
    "no mirror": (["mirror", "list"], "there is no such mirror directory"),
    "no mirror for a site": (["site", "--plan"], "there is no such mirror directory"),
    "unknown command": (["frobnicate"], "No such command 'frobnicate'"),
    "unknown option": (["site", "--frobnicate"], "No such option: --frobnicate"),
    "misspelt option": (["site", "--stack-rot", "/x"], "--stack-root"),
    "missing option": (["train", "--", "-input_h5", "/a", "-input_json", "/b"], "no host is given"),
    "missing argument": (["mirror", "add"], "no file is given"),
    "no such file": (["mirror", "add", "none.tgz"], "none.tgz: there is no such file"),
    "no such settings": (["site", "-s", "none.yml"], "none.yml: there is no such settings file"),
    "space in the root": (["site", "--stack-root", "/opt/my stack"], "--stack-root: contains a space"),
    "relative root": (["site", "--stack-root", "opt"], "--stack-root: must be an absolute path"),
    "unknown program option": (
        ["train", "--host", "h", "--", "-input_h", "x"],
        "train.lua has no option -input_h; did you mean -input_h5",
    ),
    "bad id": (["eval", "--host", "h", "--id", "../x", "--", "-model", "/m"], "names a directory on the host"),
    "directory where a file should be": (["init", "/dev/null/x"], "/dev/null"),
    "in use, twice": (["rollback", "--busy", "wait", "--in-use"], "Leave out one of the two"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), BROKEN.values(), ids=BROKEN)
def test_wrong_use_is_told_in_words_with_code_2(capsys: Capture, words: list[str], message: str) -> None:
    code, out, err = provision(capsys, *words)
    assert code == 2
    assert message in " ".join(err.split())
    assert err.startswith("error: ")
    assert out == ""


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words, _message in BROKEN.values()], ids=BROKEN)
def test_wrong_use_with_json_is_one_document(capsys: Capture, words: list[str]) -> None:
    before = words.index("--") if "--" in words else len(words)
    code, out, err = provision(capsys, *words[:before], "--json", *words[before:])
    told = json.loads(out)
    assert (code, err) == (2, "")
    assert told["error"]
    assert told["kind"] in ("UsageError", "MirrorError")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("provision.yml", "stack_rot: /x\n", "stack_rot is not a setting; did you mean stack_root"),
        ("provision.yml", "forks: [\n", "provision.yml does not parse"),
        ("mirror/mirror.lock", "artifacts: [\n", "mirror.lock does not parse"),
        ("mirror/mirror.lock", "", "mirror.lock does not parse"),
        ("mirror/mirror.lock", "artifacts: [{name: ../x}]\n", "../x: name: "),
    ],
)
@pytest.mark.parametrize("verb", ["site", "verify", "mirror list", "mirror verify"])
def test_file_that_does_not_parse_is_told_in_words(
    capsys: Capture, site: Path, bare: None, verb: str, file: str, text: str, message: str
) -> None:
    (site / "mirror").mkdir()
    (site / file).write_text(text, encoding="utf-8")
    code, out, err = provision(capsys, *verb.split())
    assert (code, out) == (2, "")
    assert message in err


def test_mirror_that_lacks_what_is_needed_is_told_with_its_files(capsys: Capture, site: Path, bare: None) -> None:
    entry = lock.Entry(name="nngraph", file="nngraph.tgz", sha256="a" * 64, size=1, role="lua_rocks")
    lock.write(site, lock.Lock(artifacts=(entry,)))
    code, _, err = provision(capsys, "site", "--plan", "-m", site)
    assert code == 2
    assert "the mirror has no torch (torch.tgz), lua-cjson (lua-cjson.tgz)" in err


@pytest.mark.parametrize("as_json", [False, True])
def test_interruption_is_code_130(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def interrupt(*_given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "verify", interrupt)
    code, out, err = provision(capsys, "mirror", "verify", *["--json"] * as_json)
    assert code == 130
    assert "interrupted" in (json.loads(out)["error"] if as_json else err)


def test_new_site_is_written_and_never_overwritten(capsys: Capture, tmp_path: Path) -> None:
    place = tmp_path / "my 'new' site"
    code, out, _ = provision(capsys, "init", place, "--plan")
    assert (code, place.exists()) == (0, False)
    assert f"would write {place / 'provision.yml'}" in out
    assert provision(capsys, "init", place)[0] == 0
    assert sorted(path.name for path in place.iterdir()) == ["hosts.yml", "mirror", "provision.yml", "training.yml"]
    (place / "hosts.yml").write_text("all: {}\n")
    code, _, err = provision(capsys, "init", place)
    assert code == 2
    assert "already exists" in err
    assert (place / "hosts.yml").read_text() == "all: {}\n"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_new_site_that_was_killed_is_completed_by_the_same_command(
    capsys: Capture, tmp_path: Path, written: int
) -> None:
    place = tmp_path / "site"
    (place / "mirror").mkdir(parents=True)
    contents = {path.name: path.read_bytes() for path in sorted(paths.example_inventory().iterdir())}
    for name in list(contents)[:written]:
        (place / name).write_bytes(contents[name])
    (place / f".{list(contents)[written]}.new").write_bytes(b"ha")
    assert provision(capsys, "init", place)[0] == 0
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == contents


def test_new_site_on_a_full_disk_names_its_own_file_and_leaves_no_half_one(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code, _, err = provision(capsys, "init", tmp_path / "site")
    assert (code, [path.name for path in (tmp_path / "site").iterdir()]) == (2, ["mirror"])
    assert f"{tmp_path / 'site' / 'hosts.yml'} cannot be written: No space left on device" in err
    assert provision(capsys, "init", tmp_path / "site")[0] == 0


@pytest.fixture
def fresh(capsys: Capture, tmp_path: Path) -> Path:
    """The settings of a new site, as `provision init` wrote them."""
    provision(capsys, "init", tmp_path / "new")
    return tmp_path / "new" / "provision.yml"


def test_list_on_a_new_site_names_every_file_that_is_needed(capsys: Capture, fresh: Path) -> None:
    code, out, err = provision(capsys, "mirror", "list", "-s", fresh)
    assert (code, err) == (0, "")
    for words in (
        "torch.tgz",
        "lua-cjson.tgz",
        "VGG_ILSVRC_16_layers.caffemodel",
        "cudnn-7.5-linux-x64-v5.0-ga.tgz",
        "packages-PLATFORM.tar",
        "provision site --plan",
        "`provision mirror pull --for PLATFORM",
        "fetches most of them",
        "docs/mirror.md",
    ):
        assert words in out
    assert "*" not in out
    code, out, _ = provision(capsys, "mirror", "list", "-s", fresh, "--for", "debian-12-x86_64", "--json")
    absent = {row["name"]: row for row in json.loads(out)["absent"]}
    assert absent["torch"] == {
        "name": "torch",
        "file": "torch.tgz",
        "optional": False,
        "what": "torch/distro with its submodules",
        "role": "torch",
    }
    assert absent["packages-debian-12-x86_64"]["file"] == "packages-debian-12-x86_64.tar"
    code, _, err = provision(capsys, "mirror", "list", "-s", fresh, "--for", "debian-12")
    assert code == 2
    assert "debian-12-x86_64" in err


@pytest.mark.parametrize("verb", ["site --plan", "site", "verify", "variables"])
def test_site_on_a_new_site_names_every_file_that_its_platforms_need(
    capsys: Capture, fresh: Path, bare: None, verb: str
) -> None:
    code, out, err = provision(capsys, *verb.split(), "-s", fresh)
    assert code == 2
    for words in ("torch.tgz", "lua-cjson.tgz", "packages-debian-12-x86_64.tar", "python-wheels-debian-12-x86_64.tar"):
        assert words in out + err
    assert "no mirror.lock" not in out + err
    assert "provision mirror add" in err
    code, out, _ = provision(capsys, *verb.split(), "-s", fresh, "--json")
    assert "torch" in {row["name"] for row in json.loads(out)["needed"]}


def test_lost_lock_is_not_taken_for_a_new_site(capsys: Capture, fresh: Path, bare: None) -> None:
    (fresh.parent / "mirror" / "nn.tgz").touch()
    for words in (["mirror", "list"], ["site", "--plan"], ["mirror", "verify"]):
        code, _, err = provision(capsys, *words, "-s", fresh)
        assert code == 2
        assert "provision mirror add --all" in err


def test_mirror_is_filled_listed_and_verified(capsys: Capture, mirror: Path, tmp_path: Path) -> None:
    scorer = archives.pack(tmp_path / "scorer v1.tgz", {"s/a": "a"})
    plain = archives.pack(tmp_path / "scorer-v1.tgz", {"s/a": "a"})
    assert provision(capsys, "mirror", "add", scorer)[0] == 2
    code, out, _ = provision(capsys, "mirror", "add", plain, "--plan")
    assert (code, out) == (0, f"would add {plain} as scorer\n")
    code, out, _ = provision(capsys, "mirror", "add", plain, "--version", "1", "--origin", "disk", "--json")
    (added,) = json.loads(out)["added"]
    assert (code, added["name"], added["version"], added["origin"]) == (0, "scorer", "1", "disk")
    code, out, _ = provision(capsys, "mirror", "list", "--json")
    assert [entry["name"] for entry in json.loads(out)["artifacts"]] == ["nn", "scorer", "torch"]
    assert [(row["name"], row["file"]) for row in json.loads(out)["absent"]] == [
        ("weights", "w.bin"),
        ("python-wheels-PLATFORM", "python-wheels-PLATFORM.tar"),
    ]
    assert "missing (optional): w.bin" in provision(capsys, "mirror", "list")[1]
    assert provision(capsys, "mirror", "verify")[0] == 0


def test_lost_lock_is_made_again_by_the_command_that_the_refusal_names(
    capsys: Capture, mirror: Path, tmp_path: Path
) -> None:
    (mirror / "mirror.lock").unlink()
    other = archives.pack(tmp_path / "scorer.tgz", {"s/a": "a"})
    code, _, err = provision(capsys, "mirror", "add", other)
    assert code == 2
    assert "provision mirror add --all" in err
    assert provision(capsys, "mirror", "add", "--all", "--plan")[0] == 0
    assert not (mirror / "mirror.lock").exists()
    code, out, _ = provision(capsys, "mirror", "add", "--all")
    assert (code, out.splitlines()[-1]) == (0, "2 added, 0 not added")
    (mirror / "letter.txt").touch()
    code, out, _ = provision(capsys, "mirror", "add", "--all", "--json")
    assert (code, json.loads(out)["added"], list(json.loads(out)["refused"])) == (1, [], ["letter.txt"])
    for wrong in (["--all", other], ["--all", "--as", "nn"], []):
        assert provision(capsys, "mirror", "add", *wrong)[0] == 2


def test_mirror_with_a_damaged_file_is_code_1_and_names_it(capsys: Capture, mirror: Path) -> None:
    (mirror / "nn.tgz").unlink()
    code, out, _ = provision(capsys, "mirror", "verify")
    assert code == 1
    assert "missing    nn.tgz: the lock contains it as nn" in out
    code, out, _ = provision(capsys, "mirror", "verify", "--json")
    assert (code, [finding["problem"] for finding in json.loads(out)["findings"]]) == (1, ["missing"])


def test_nothing_is_added_where_one_of_several_files_is_wrong(capsys: Capture, mirror: Path, tmp_path: Path) -> None:
    good = archives.pack(tmp_path / "scorer-2.tgz", {"s/a": "a"})
    for bad in (tmp_path / "none.tgz", archives.pack(tmp_path / "what.tgz", {"s/a": "a"})):
        assert provision(capsys, "mirror", "add", good, bad)[0] == 2
    code, _, err = provision(capsys, "mirror", "add", good, good, "--as", "scorer")
    assert (code, "--as gives the name of one artifact" in err) == (2, True)
    assert sorted(lock.read(mirror).by_name()) == ["nn", "torch"]


def surveyed(monkeypatch: pytest.MonkeyPatch, *plans: HostPlan, aside: tuple[Aside, ...] = ()) -> None:
    """What a survey finds; no host is asked."""
    refused = [Aside(plan.host, "\n".join(plan.refusals), "host.refused") for plan in plans if plan.refusals]
    found = Survey(plans, (*refused, *aside), {}, {})
    monkeypatch.setattr(survey, "survey", lambda *given, **more: found)
    monkeypatch.setattr(converge, "make_plans", lambda *given, **more: plans)


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> converge.SiteOutcome:
    """What `provision site` ends with; no host is asked."""
    told = converge.SiteOutcome(
        plans=(planned("bare"),),
        changes=(Change("node1", "torch", "build"),),
        activated=("node1",),
    )
    surveyed(monkeypatch, *told.plans)
    monkeypatch.setattr(command, "carry_out", lambda *given, **more: FleetOutcome(told))
    return told


def test_plan_names_what_is_built_and_why(capsys: Capture, outcome: converge.SiteOutcome) -> None:
    code, out, _ = provision(capsys, "site", "--plan")
    assert code == 0
    assert (
        "node1 (debian-12-x86_64): build packages, torch, nn, weights; current generation none -> " + RECIPE.id in out
    )
    assert "left out, because the mirror does not contain it: scorer" in out
    code, out, _ = provision(capsys, "site", "--plan", "--json")
    assert json.loads(out)["plans"][0]["build"][0] == {"component": "packages", "why": "missing: gcc, make"}


@pytest.mark.parametrize("reads", ["--plan", "--check"])
def test_plan_of_an_activation_refuses_what_the_activation_would(
    capsys: Capture, outcome: converge.SiteOutcome, reads: str
) -> None:
    code, out, err = provision(capsys, "site", "--activate", reads)
    assert (code, "build" in out) == (2, True)
    assert "node1: generation " in err and "is not staged on this host" in err


def test_plan_and_check_mode_exclude_each_other(capsys: Capture, outcome: converge.SiteOutcome) -> None:
    code, _, err = provision(capsys, "site", "--plan", "--check")
    assert (code, "--plan and --check exclude each other" in err) == (2, True)


def test_plan_names_the_hosts_of_each_wave(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed(monkeypatch, planned("bare"), planned("bare", "node2"), planned("bare", "node3"))
    code, out, _ = provision(capsys, "site", "--plan")
    assert code == 0
    assert out.splitlines()[-2:] == ["wave 1 (1): node1", "wave 2 (100%): node2, node3"]
    waves = json.loads(provision(capsys, "site", "--plan", "--json")[1])["waves"]
    assert [(wave["name"], wave["hosts"]) for wave in waves] == [("1", ["node1"]), ("100%", ["node2", "node3"])]
    assert waves[0].keys() == {"number", "name", "hosts", "pause", "strict"}


def test_plan_names_hosts_in_use_if_their_stack_would_change(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The plan said nothing, and the rollout set them aside, or ended with busy: refuse."""
    surveyed(monkeypatch, planned("staged"), planned("bare", "node2"), planned("converged", "node3"))
    asked = using(monkeypatch, node1=[RUN])
    code, out, _ = provision(capsys, "site", "--plan")
    assert (code, asked) == (0, ["node1"])
    assert "node1 is in use now: run x, pid 7 (of alice, " in out
    assert out.rstrip().endswith("it stays as it is meanwhile (busy: skip)")
    assert list(json.loads(provision(capsys, "site", "--plan", "--json")[1])["in_use"]) == ["node1"]
    code, _, err = provision(capsys, "site", "--plan", "--busy", "refuse")
    assert (code, "node1 is in use: run x" in err) == (2, True)
    assert "in use" not in provision(capsys, "site", "--plan", "--stage-only")[1]


def test_plan_names_hosts_whose_generation_is_only_tested_again(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan had nothing for them, and the rollout activated them."""
    surveyed(monkeypatch, planned("converged"), planned("converged", "node2"))
    monkeypatch.setattr(Reader, "past", lambda _self: Past(unproved={"node2": RECIPE.id}))
    using(monkeypatch)
    code, out, _ = provision(capsys, "site", "--plan")
    assert (code, "node2: its current generation is tested again" in out) == (0, True)
    document = json.loads(provision(capsys, "site", "--plan", "--json")[1])
    assert (document["tested_again"], [wave["hosts"] for wave in document["waves"]]) == (["node2"], [["node2"]])


def test_plan_tells_what_was_never_tried_and_goes_on(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("HDF5 1.16.0 was never tried (tried: 1.8.12 to 1.14.5)",)
    surveyed(monkeypatch, *(replace(planned("bare", host), untried=words) for host in ("node1", "node2")))
    code, out, _ = provision(capsys, "site", "--plan")
    assert code == 0
    assert out.count("was never tried") == 1
    assert f"node1, node2: {words[0]}" in out
    code, out, _ = provision(capsys, "site", "--plan", "--json")
    assert json.loads(out)["plans"][1]["untried"] == list(words)


def test_plan_with_a_refusal_is_code_2_and_one_document(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed(monkeypatch, planned("no-space"), planned("bare", "node2"))
    code, _, err = provision(capsys, "site", "--plan")
    assert code == 2
    assert "node1: /opt has 2.0 GB free" in err
    code, out, _ = provision(capsys, "site", "--plan", "--json")
    assert code == 2
    assert [plan["host"] for plan in json.loads(out)["plans"]] == ["node1", "node2"]
    assert "2.0 GB free" in json.loads(out)["error"]


def test_plan_with_a_host_that_is_off_is_code_1(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    off = Aside("node2", "node2: the host cannot be reached by SSH", "host.unreachable", refused=False)
    surveyed(monkeypatch, planned("bare"), aside=(off,))
    code, out, err = provision(capsys, "site", "--plan")
    assert (code, "set aside: node2: the host cannot be reached" in out) == (1, True)
    assert "node2: the host cannot be reached by SSH" in err


def test_site_that_went_well_is_code_0(capsys: Capture, outcome: converge.SiteOutcome) -> None:
    code, out, _ = provision(capsys, "site")
    assert code == 0
    assert "1 of 1 hosts have a new current generation" in out
    code, out, _ = provision(capsys, "site", "--json")
    assert json.loads(out)["activated"] == ["node1"]


def test_site_with_a_failed_host_is_code_1_and_one_document(
    capsys: Capture, outcome: converge.SiteOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = converge.SiteOutcome(outcome.plans, failures=(Failure("node1", "torch : Build", "cc1: killed", log="/l"),))
    monkeypatch.setattr(command, "carry_out", lambda *given, **more: FleetOutcome(failed))
    code, _, err = provision(capsys, "site")
    assert code == 1
    assert "node1, torch : Build: cc1: killed" in err
    assert "it continues at the component that failed" in err
    code, out, _ = provision(capsys, "site", "--json")
    told = json.loads(out)
    assert (code, told["failures"][0]["log"], told["kind"]) == (1, "/l", "HostError")


def test_site_that_needs_nothing_says_so(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed(monkeypatch, planned("converged"), planned("converged", "node2"))
    code, out, _ = provision(capsys, "site")
    assert (code, out.splitlines()[-1]) == (0, "2 hosts, nothing to change")


@pytest.mark.parametrize("check", [False, True])
def test_hosts_that_only_unpacked_are_a_change(check: bool, capsys: Capture) -> None:
    unpacked = (Change("node1", "generation", "unpack", "built on node9", predicted=check),)
    staged = converge.SiteOutcome((planned("bare"),), unpacked, check=check)
    show_end(FleetOutcome(staged), Settings(), Output())
    said = "check mode: would unpack on 1 host; nothing was changed" if check else "staged on 1 host; `provision site"
    assert capsys.readouterr().out.startswith(said)
    assert staged.as_json()["changed"] is True


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--stage-only", "--activate"], "--stage-only and --activate exclude each other"),
        (["--resume", "--activate"], "--activate and --resume exclude each other"),
        (["--resume", "--plan"], "cannot be combined with --plan or --check"),
        (["--max-failures", "many"], "--max-failures: it must be a number of hosts"),
        (["--on-failure", "ignore"], "'ignore' is not one of"),
    ],
)
def test_options_of_a_rollout_that_contradict_each_other(capsys: Capture, words: list[str], reason: str) -> None:
    code, _, err = provision(capsys, "site", *words)
    assert (code, reason in err) == (2, True), err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("site", "--busy", "x"), "'--busy': 'x' is not one of 'wait', 'skip', 'refuse'."),
        (("runs", "list", "--quiet", "0"), "'--quiet': must be at least 1.0, and is '0'"),
        (("train", "--gpu-memory", "x"), "'--gpu-memory': must be a whole number, and is 'x'"),
    ],
)
def test_wrong_value_of_an_option_is_explained_as_one_in_a_file(
    capsys: Capture, words: tuple[str, ...], reason: str
) -> None:
    code, _, err = provision(capsys, *words)
    assert code == 2
    assert f"error: Invalid value for {reason}" in err


def test_rollouts_of_a_new_site(capsys: Capture) -> None:
    code, _, err = provision(capsys, "rollout", "status")
    assert (code, "contains no rollout\n" in err, "rollout list" in err) == (2, True, False)
    assert "`provision rollout list`" in provision(capsys, "rollout", "status", "0123456789ab")[2]
    code, out, _ = provision(capsys, "rollout", "list", "--json")
    assert (code, json.loads(out)) == (0, {"rollouts": []})
    code, _, err = provision(capsys, "rollout", "pause")
    assert (code, "nothing to pause" in err) == (2, True)


def test_verify_is_code_1_where_one_host_did_not_pass(
    capsys: Capture, bare: None, outcome: converge.SiteOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = operations.Verdict("node1", (Check(name="stamps", passed=True, saw="3 stamps"),))
    bad = operations.Verdict("node2", (), "the host returned no checks")
    Path("mirror").mkdir()
    monkeypatch.setattr(converge, "planner", lambda *_, **__: lambda unpacks: ())
    for verdicts, expected in (((good,), 0), ((good, bad), 1), ((bad,), 1)):
        monkeypatch.setattr(operations, "verify", lambda *given, these=verdicts: these)
        assert provision(capsys, "verify")[0] == expected
        code, out, _ = provision(capsys, "verify", "--json")
        assert code == expected
        assert [host["passed"] for host in json.loads(out)["hosts"]] == [v is good for v in verdicts]


@pytest.mark.parametrize(("before", "changed"), [("b", True), ("a", False)])
def test_rollback_says_whether_it_changed_something(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, before: str, changed: bool
) -> None:
    monkeypatch.setattr(
        "neuraltalk_provision.cli.rollback.going_back", lambda *given, **more: (Move("n", before, "a"),)
    )
    assert json.loads(provision(capsys, "rollback", "--json")[1])["changed"] is changed
    assert json.loads(provision(capsys, "rollback", "--plan", "--json")[1])["changed"] is False


CAPTION = Caption(file="my 'cat'.jpg", caption="a cat [sitting]", image_id=1, place="images/1.jpg")
END = RunEnd(
    id="r",
    host="node1",
    log="/opt/neuraltalk/runs/r/log",
    exit_code=0,
    checkpoints=(),
    captions=(CAPTION,),
    set_aside=(),
    losses=(),
)
EVAL = ("eval", "--host", "node1", "--id", "r", "--", "-model", "/m.t7")
EVAL_JSON = (*EVAL[:5], "--json", *EVAL[5:])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that start; how they end is the test's to say."""
    aside = [{"file": "._x.jpg", "reason": "it is an AppleDouble file"}]
    monkeypatch.setattr(hosts, "start", lambda *given: started_run(END.log, set_aside=aside))


def test_captions_are_shown_with_the_files_set_aside(
    capsys: Capture, started: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "watch", lambda *given: END)
    code, out, _ = provision(capsys, *EVAL)
    assert code == 0
    assert "set aside ._x.jpg: it is an AppleDouble file" in out
    assert "my 'cat'.jpg: a cat [sitting]" in out
    code, out, _ = provision(capsys, *EVAL_JSON)
    assert json.loads(out)["captions"] == [CAPTION.model_dump()]


def test_of_many_files_that_were_set_aside_some_are_shown(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = [{"file": f"{number}.gif", "reason": "it is a GIF"} for number in range(25)]
    late = replace(END, set_aside=tuple(SetAside(**file) for file in aside))
    monkeypatch.setattr(hosts, "start", lambda *given: started_run(END.log, set_aside=aside))
    monkeypatch.setattr(hosts, "watch", lambda *given: END)
    out = provision(capsys, *EVAL)[1]
    assert out.count("set aside ") == 20
    assert f"5 more were set aside: all are listed in images.json beside {END.log} on node1" in out
    monkeypatch.setattr(hosts, "start", lambda *given: started_run(END.log, begun=False, pid=None))
    monkeypatch.setattr(hosts, "watch", lambda *given: late)
    out = provision(capsys, *EVAL)[1]
    assert "r first checks its pictures on node1" in out
    assert out.count("set aside ") == 20


def test_run_that_failed_is_code_1_and_one_document(
    capsys: Capture, started: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "watch", lambda *given: RunEnd(**{**END.__dict__, "exit_code": None}))
    code, _, err = provision(capsys, *EVAL)
    assert (code, "run r was killed before it ended" in err) == (1, True)
    assert f"Read {END.log} on node1." in err
    code, out, _ = provision(capsys, *EVAL_JSON)
    assert (code, json.loads(out)["exit_code"], json.loads(out)["kind"]) == (1, None, "CheckError")


def test_no_longer_following_is_code_130_and_the_run_goes_on(
    capsys: Capture, started: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hosts, "watch", interrupt)
    code, _, err = provision(capsys, *EVAL)
    assert code == 130
    assert "r continues" in err
    assert END.log in err


def test_planned_run_starts_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> None:
        raise HostError("it was started")

    monkeypatch.setattr(hosts, "start", refuse)
    monkeypatch.setattr(inventory_names, "refuse_unknown", lambda *_given: None)
    code, out, _ = provision(capsys, *EVAL[:5], "--plan", *EVAL[5:])
    assert (code, out) == (0, "would run on node1 as r: th eval.lua -backend nn -gpuid -1 -model /m.t7\n")
    code, out, _ = provision(capsys, *EVAL[:5], "--plan", "--json", *EVAL[5:])
    assert json.loads(out)["plan"][0]["files"] == ["model"]


def test_variables_are_written_where_they_are_wanted(
    capsys: Capture, outcome: converge.SiteOutcome, tmp_path: Path
) -> None:
    code, out, _ = provision(capsys, "variables")
    assert (code, out.startswith("provision_recipes:")) == (0, True)
    assert provision(capsys, "variables", tmp_path / "v.yml")[:2] == (0, "")
    assert "provision_stack_root: /opt/neuraltalk" in (tmp_path / "v.yml").read_text()


@pytest.mark.parametrize("same", ["", "node1"])
def test_names_for_which_another_one_builds_are_told_and_get_no_variables_for_plain_playbooks(
    capsys: Capture, outcome: converge.SiteOutcome, monkeypatch: pytest.MonkeyPatch, same: str
) -> None:
    share = Share("node1", same, "nfs4 on nas:/x")
    plans = (planned("bare"), replace(planned("bare", "node2"), share=share))
    monkeypatch.setattr(converge, "make_plans", lambda *_given, **_more: plans)
    words = share.words("/opt/neuraltalk")
    assert ("nas:/x" in words, "the same machine as node1" in words) == (not same, bool(same))
    code, _, err = provision(capsys, "variables")
    assert (code, f"node2 {words}" in err) == (2, True)
    assert "Plain playbooks would build there twice" in err
    capsys.readouterr()
    show_plans(plans, Output())
    assert words in " ".join(capsys.readouterr().out.split())


def test_variables_with_a_token_are_for_their_owner_alone_and_not_for_the_screen(
    capsys: Capture, outcome: converge.SiteOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    token = "https://bot:s3cr3t@index.example/simple"
    Path("provision.yml").write_text(f"pip: {{index_url: '{token}'}}\nartifact_url: '{token}'\n")
    Path("v.yml").touch(mode=0o644)
    assert provision(capsys, "variables", "v.yml")[0] == 0
    assert Path("v.yml").read_text().count(token) == 2
    assert stat.S_IMODE(Path("v.yml").stat().st_mode) == 0o600
    for words in (["variables"], ["variables", "--json"]):
        code, out, err = provision(capsys, *words)
        assert code == 0
        assert "s3cr3t" not in out + err
        assert "https://***@index.example/simple" in out


@pytest.mark.slow
def test_command_whose_reader_went_away_still_tells_by_its_code(mirror: Path) -> None:
    (mirror / "nn.tgz").unlink()
    for words, expected in ((["mirror", "list"], 0), (["mirror", "verify"], 1), (["mirror", "verify", "--json"], 1)):
        reading, writing = os.pipe()
        os.close(reading)
        argv = [sys.executable, "-m", "neuraltalk_provision", *words]
        done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (expected, "")
