"""Hosts that scenarios of Molecule start from: each is made of the one before, if that looked for nothing outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import engine, hosts, images, paths, proof
from tests.lab.errors import LabError
from tests.lab.spec import Lab
from tests.molecule import mirror, stages

ROLES = ("system_deps", "torch", "lua_rocks")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(what a host started from, what was made of it), in their order; nothing is started."""
    made: list[tuple[str, str]] = []
    up: list[Lab] = []

    @contextmanager
    def with_lab(lab: Lab) -> Iterator[Lab]:
        up.append(lab)
        yield lab
        up.pop()

    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(engine, "ensure", lambda: None)
    monkeypatch.setattr(engine, "docker", lambda *words, **more: "")
    monkeypatch.setattr(images, "ensure", lambda name: f"lab-{name}")
    monkeypatch.setattr(mirror, "ensure", lambda image: tmp_path)
    monkeypatch.setattr(hosts, "with_lab", with_lab)
    monkeypatch.setattr(hosts, "commit", lambda name, tag, label: made.append((up[-1].committed, tag)))
    monkeypatch.setattr(proof, "record", lambda name: [])
    monkeypatch.setattr(stages, "apply", lambda lab, role, mirror: None)
    monkeypatch.setattr(stages, "exists", lambda tag: tag in [done for _parent, done in made])
    return made


def test_each_role_is_applied_once_to_a_host_that_has_those_before(made: list[tuple[str, str]]) -> None:
    tags = [stages.tag("ready", ROLES[:count]) for count in (1, 2, 3)]
    assert stages.ensure("ready", ROLES) == tags[2]
    assert made == [("lab-ready", tags[0]), (tags[0], tags[1]), (tags[1], tags[2])]
    assert stages.ensure("ready", ROLES[:2]) == tags[1]
    assert stages.ensure("ready", ()) == "lab-ready"
    assert len(made) == 3


def test_host_that_looked_outside_is_kept_by_nobody(
    made: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [{"host": "x", "destination": "deb.invalid"}]
    monkeypatch.setattr(proof, "record", lambda name: seen if "torch" in name else [])
    with pytest.raises(LabError, match=r"while torch was applied, .* tried to reach something outside: .*deb\.invalid"):
        stages.ensure("ready", ROLES)
    assert [tag for _parent, tag in made] == [stages.tag("ready", ROLES[:1])]


def test_host_is_made_again_when_a_role_a_module_or_the_order_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(images, "digest", lambda name: name)
    for place in (*mirror.MADE_OF, *stages.MADE_OF):
        file = tmp_path / place if Path(place).suffix else tmp_path / place / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(place)
    seen = {stages.tag("ready", ROLES), stages.tag("ready", ROLES[:2]), stages.tag("ready", ("torch", *ROLES))}
    for place in ("roles", "plugins", "playbooks", "neuraltalk_provision", "tests/standin"):
        (tmp_path / place / "file").write_text("changed")
        seen.add(stages.tag("ready", ROLES))
    assert len(seen) == 8
    assert stages.tag("ready", ROLES) in seen
