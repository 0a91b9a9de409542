"""Hosts download a mirror from the real nginx with docs/nginx.conf: TLS, a password, cuts, and servers that are wrong.

One run of ansible-playbook tries all of it, because each run takes seconds.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.site.serving import (
    ENCODED,
    GENERATION,
    LINKED,
    PASSWORD,
    Site,
    certificates,
    changed,
    cutting,
    nginx,
    wrong_servers,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A mirror that nginx serves."""
    folder = tmp_path_factory.mktemp("serve")
    made = Site(folder)
    with nginx(folder, made.conf, made.port):
        yield made


@pytest.fixture(scope="module")
def said(site: Site) -> Iterator[dict[str, str]]:
    """What the role says in every case."""
    (site.folder / "other").mkdir()
    other = certificates(site.folder / "other", "other-ca").read_text(encoding="utf-8")
    with ExitStack() as stack:
        wrong = stack.enter_context(wrong_servers(site))
        cut = stack.enter_context(cutting(site.port, 1_500_000, 700_000))
        lost = stack.enter_context(cutting(site.port, 1_500_000, 2_000, 2_000, 2_000, 2_000))
        cases = [
            site.case("torch"),
            site.case("nn", site.entry("nn.tgz")),
            site.case("other-ca", ca=other),
            site.case("no-ca", ca=""),
            site.case("other-name", url=site.url().replace("localhost", "127.0.0.1")),
            site.case("wrong-password", url=site.url(login="hosts:s3cr3t-wrong@")),
            site.case("no-password", url=site.url(login="")),
            site.case("unlisted", site.entry("unlisted.tar")),
            site.case("cut", url=site.url(cut)),
            site.case("lost", url=site.url(lost)),
            replace(site.case("later"), host="lost"),
            *(site.case(name, site.entry("nn.tgz"), url=url) for name, url in wrong.items()),
        ]
        yield site.play(cases)


def test_nginx_gives_what_the_lock_lists_to_who_has_the_password_and_nothing_else(site: Site) -> None:
    assert site.asks("/neuraltalk/torch.tar") == 200
    assert site.asks("/neuraltalk/torch.tar", "") == 401
    assert site.asks("/neuraltalk/torch.tar", "hosts:wrong") == 401
    for name in (
        "",
        "unlisted.tar",
        ".hidden",
        "mirror.lock",
        "linked.tgz",
        "../neuraltalk-mirror.key",
        "%2e%2e/server.key",
    ):
        assert site.asks(f"/neuraltalk/{name}") == 404 or site.asks(f"/neuraltalk/{name}") == 400, name
    assert (site.asks("/"), site.asks("/neuraltalk")) == (404, 404)


def test_nginx_gives_packed_generations_and_nothing_else_of_the_cache(site: Site) -> None:
    served = f"/neuraltalk/{site.packed.relative_to(site.mirror)}"
    assert site.asks(served) == 200
    assert site.asks(served, "") == 401
    for path in (
        served.replace(site.packed.name, "entry.json"),
        served.replace(site.packed.name, ".incoming-1.tar"),
        served.replace(GENERATION, LINKED),
        served.replace(site.packed.name, ""),
        "/neuraltalk/cache/",
    ):
        assert site.asks(path) in (403, 404), path


def downloaded(site: Site, said: dict[str, str], name: str, file: str = "torch.tar", host: str = "") -> None:
    """The case ended well, and the file is there."""
    assert said[name] == "done", said[name]
    case = replace(site.case(name, site.entry(file)), host=host)
    assert case.path(site.folder).read_bytes() == (site.mirror / file).read_bytes()
    assert len(list(case.path(site.folder).parent.iterdir())) == 1


def test_artifacts_are_downloaded_and_their_sha256_is_checked(site: Site, said: dict[str, str]) -> None:
    downloaded(site, said, "torch")
    downloaded(site, said, "nn", "nn.tgz")


@pytest.mark.parametrize("name", ["other-ca", "no-ca", "other-name"])
def test_certificate_that_the_ca_did_not_sign_for_this_name_is_refused(
    site: Site, said: dict[str, str], name: str
) -> None:
    assert "its certificate is not accepted" in said[name]
    assert "artifact_ca" in said[name]
    assert list((site.folder / "hosts" / name).iterdir()) == []


def test_wrong_password_and_none_are_told(said: dict[str, str]) -> None:
    assert "the status 401: the user or the password in artifact_url is wrong" in said["wrong-password"]
    assert "artifact_url needs user:password@" in said["no-password"]


def test_password_is_in_nothing_that_ansible_prints(said: dict[str, str]) -> None:
    for secret in (PASSWORD, ENCODED, "s3cr3t", b64encode(f"hosts:{PASSWORD}".encode()).decode()):
        assert [name for name, text in said.items() if secret in text] == []


def test_file_that_the_lock_does_not_list_is_named(said: dict[str, str]) -> None:
    assert "artifact unlisted: unlisted.tar cannot be downloaded from https://localhost:" in said["unlisted"]
    assert "it has no such file" in said["unlisted"]


def test_download_that_is_cut_off_continues_with_the_rest(site: Site, said: dict[str, str]) -> None:
    downloaded(site, said, "cut")
    assert re.search(r'"received": 3000000,.*"tries": 3', said["output"], re.DOTALL)
    log = (site.folder / "access.log").read_text(encoding="utf-8")
    assert len(re.findall(r'"GET /neuraltalk/torch.tar HTTP/1.1" 206 ', log)) >= 2


def test_download_that_fails_is_continued_by_the_next_command(site: Site, said: dict[str, str]) -> None:
    assert "What arrived is kept" in said["lost"]
    kept = re.search(r"the last time after (\d+) of 3000000 bytes", said["lost"])
    assert kept
    assert int(kept[1]) > 1_000_000
    downloaded(site, said, "later", host="lost")
    assert f'"continued": {kept[1]}' in said["output"]


@pytest.mark.parametrize("name", changed(b""))
def test_server_with_another_file_is_caught_on_the_host(site: Site, said: dict[str, str], name: str) -> None:
    entry = site.entry("nn.tgz")
    sent = hashlib.sha256((site.folder / name / "nn.tgz").read_bytes()).hexdigest()
    for words in ("artifact nn: https://localhost:", "/neuraltalk/nn.tgz", entry["sha256"], sent):
        assert words in said[name], said[name]
    assert ("it is a web page" in said[name]) == (name == "page")


def test_redirect_away_from_the_server_is_not_followed(site: Site, said: dict[str, str]) -> None:
    assert f"it redirects to another server, http://localhost:{site.port}" in said["redirect"]


def test_server_that_limits_the_rate_is_waited_for(site: Site, said: dict[str, str]) -> None:
    downloaded(site, said, "slow", "nn.tgz")
