"""`provision cudnn`: which directory is used, what is refused before any host is changed, and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError, MirrorError, UsageError
from neuraltalk_provision.mirror import store
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import cudnn, host_state, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from tests.standin import cudnn as standin
from tests.unit.plans import HOSTS
from tests.unit.test_gpu import tree

QUIET = Output(as_json=True)
BEFORE = {
    "state": "whole",
    "header": "4.0.7",
    "library": "4.0.7",
    "root": "/usr/local/cuda-7.5",
    "problem": "",
    "backup": [],
}
AFTER = {**BEFORE, "header": "5.0.5", "library": "5.0.5"}


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """A site whose mirror holds cuDNN 5.0.5 for CUDA 7.5."""
    file = tmp_path / standin.archive_name()
    file.write_bytes(standin.archive())
    store.add(tmp_path / "the 'mirror'", file, catalogue.load())
    return Settings(mirror=tmp_path / "the 'mirror'")


def hosts(monkeypatch: pytest.MonkeyPatch, **trees: list[dict[str, Any]]) -> None:
    """Hosts with these CUDA directories."""
    bare = HOSTS["bare"]["state"]
    answers = {
        host: HostState.model_validate({**bare, "gpu": {**bare["gpu"], "toolkits": found}})
        for host, found in trees.items()
    }
    monkeypatch.setattr(host_state, "read", lambda *given: HostStates(answers))


def telling(monkeypatch: pytest.MonkeyPatch, results: PlayResults) -> list[playbook.Request]:
    """The requests that reach Ansible, which tells this."""
    requests: list[playbook.Request] = []

    def run(request: playbook.Request) -> playbook.Outcome:
        requests.append(request)
        return playbook.Outcome(0, results)

    monkeypatch.setattr(playbook, "run", run)
    return requests


def result(host: str, changed: bool = True) -> tuple[str, str, dict[str, Any]]:
    did = ["cuDNN 4.0.7 replaced"] if changed else []
    return (host, "cudnn_swap", {"changed": changed, "before": BEFORE, "cudnn": AFTER, "did": did, "users": []})


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({}, "more than 700,000 characters"),
        ({"changed": True}, "before: field required"),
        ({**result("node2")[2], "cudnn": "swapped"}, "cudnn: "),
        ({**result("node2")[2], "users": [{"pid": "7"}]}, "users.0.pid: "),
    ],
)
def test_answer_that_is_not_as_expected_is_that_hosts_failure(
    monkeypatch: pytest.MonkeyPatch, site: Settings, broken: dict[str, Any], words: str
) -> None:
    hosts(monkeypatch, node1=[tree("7.5")], node2=[tree("7.5")])
    telling(monkeypatch, PlayResults(results=(result("node1"), ("node2", "cudnn_swap", broken))))
    with pytest.raises(HostError, match=f"node2, cudnn_swap: its result (.|\n)*{words}") as caught:
        cudnn.work("restore", site, QUIET)
    assert "node1" not in caught.value.message


def test_each_host_is_swapped_in_its_own_directory(monkeypatch: pytest.MonkeyPatch, site: Settings) -> None:
    hosts(monkeypatch, node1=[tree("7.5")], node2=[tree("7.5", "/opt/cuda", library="4.0.7"), tree("8.0")])
    requests = telling(monkeypatch, PlayResults(results=(result("node1"), result("node2", changed=False))))
    states = cudnn.work("swap", site, QUIET)
    asked = requests[0].variables["provision_cudnn"]
    assert asked["trees"] == {"node1": "/usr/local/cuda-7.5", "node2": "/opt/cuda"}
    assert (asked["version"], asked["archive"]["file"]) == ("5.0.5", "cudnn-7.5-linux-x64-v5.0-ga.tgz")
    assert (asked["in_use"], asked["foreign"], requests[0].check) == (False, False, False)
    assert [(s.host, s.changed, s.after.library) for s in states] == [
        ("node1", True, "5.0.5"),
        ("node2", False, "5.0.5"),
    ]


def test_plan_is_ansibles_check_mode(monkeypatch: pytest.MonkeyPatch, site: Settings) -> None:
    hosts(monkeypatch, node1=[tree("7.5")])
    requests = telling(monkeypatch, PlayResults(results=(result("node1"),)))
    cudnn.work("swap", site, QUIET, plan=True)
    assert requests[0].check is True


def test_directory_is_taken_by_the_name_that_was_given(monkeypatch: pytest.MonkeyPatch, site: Settings) -> None:
    """A link stays one, so that the module can refuse it with what it points at."""
    hosts(monkeypatch, node1=[tree("7.5")])
    requests = telling(monkeypatch, PlayResults(results=(result("node1"),)))
    cudnn.work("status", site, QUIET, cuda="/usr/local/cuda")
    assert requests[0].variables["provision_cudnn"]["trees"] == {"node1": "/usr/local/cuda"}


def test_all_hosts_without_a_cuda_directory_are_named_at_once(monkeypatch: pytest.MonkeyPatch, site: Settings) -> None:
    bare = {f"bare{number}": [] for number in range(30)}
    hosts(monkeypatch, node1=[tree("7.5")], node2=[tree("7.5"), tree("8.0")], **bare)
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(UsageError) as caught:
        cudnn.work("status", site, QUIET)
    first, second = caught.value.message.splitlines()
    assert first.startswith("node2 has several CUDA directories") and second.startswith(
        "bare[0-29] (30 hosts): no CUDA"
    )
    assert caught.value.advice.count("--cuda DIRECTORY") == 2 and requests == []


@pytest.mark.parametrize(
    ("trees", "words"),
    [
        ([], r"node1: no CUDA toolkit .* was found in /usr/local/cuda\*"),
        ([tree("7.5"), tree("8.0")], r"node1 has several CUDA directories: /usr/local/cuda-7\.5 \(CUDA 7\.5\), "),
        ([{**tree("7.5"), "problem": "/usr/local belongs to bob"}], r"node1: /usr/local belongs to bob"),
        ([tree("8.0")], r"is for CUDA 7\.5\nnode1: /usr/local/cuda-8\.0 is CUDA 8\.0"),
    ],
)
def test_no_host_is_touched_where_one_is_not_as_needed(
    monkeypatch: pytest.MonkeyPatch, site: Settings, trees: list[dict[str, Any]], words: str
) -> None:
    hosts(monkeypatch, node1=trees)
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(UsageError, match=words):
        cudnn.work("swap", site, QUIET)
    assert requests == []


def test_altered_or_missing_archive_is_refused_before_any_host_is_touched(
    monkeypatch: pytest.MonkeyPatch, site: Settings
) -> None:
    hosts(monkeypatch, node1=[tree("7.5")])
    requests = telling(monkeypatch, PlayResults())
    file = site.mirror / standin.archive_name()
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(MirrorError, match="is truncated"):
        cudnn.work("swap", site, QUIET)
    (site.mirror / "mirror.lock").write_text("schema_version: 1\nartifacts: []\n")
    with pytest.raises(MirrorError, match="has no cuDNN archive"):
        cudnn.work("swap", site, QUIET)
    assert requests == []


def test_unsigned_lock_is_refused_before_any_host_is_changed(monkeypatch: pytest.MonkeyPatch, site: Settings) -> None:
    hosts(monkeypatch, node1=[tree("7.5")])
    requests = telling(monkeypatch, PlayResults())
    demanding = site.model_copy(update={"mirror_trust": "signed"})
    with pytest.raises(MirrorError, match="is not signed as"):
        cudnn.work("swap", demanding, QUIET)
    assert requests == []


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("cudnn.in_use", "--in-use"),
        ("cudnn.foreign", "--foreign"),
    ],
)
def test_refusal_of_a_host_names_the_way_on(
    monkeypatch: pytest.MonkeyPatch, site: Settings, code: str, cure: str
) -> None:
    hosts(monkeypatch, node1=[tree("7.5")])
    telling(monkeypatch, PlayResults(failures=(Failure("node1", "Swap", "no", code=code),)))
    with pytest.raises(HostError) as caught:
        cudnn.work("swap", site, QUIET)
    assert cure in caught.value.message
    assert caught.value.document["failures"][0]["code"] == code
