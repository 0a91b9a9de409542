"""Files are found in the indexes that pip is configured to use, and only with the catalogue's digest."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest

from neuraltalk_provision.catalogue import Wheel
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import index_page, package_index, pip_settings
from neuraltalk_provision.mirror.index_page import Link
from neuraltalk_provision.mirror.pip_settings import Settings
from tests.unit import indexes

pytestmark = pytest.mark.slow

FILE = "h5py-2.10.0-cp27-cp27mu-manylinux1_x86_64.whl"
ROW = indexes.wheel(FILE, b"right")
ADDRESS = "https://index.example.org/simple/h5py/"


def found(settings: Settings, row: Wheel = ROW) -> Link:
    return package_index.find([row], settings, Event())[row.file]


def test_file_is_found_by_its_name_in_an_index_of_this_machine(tmp_path: Path) -> None:
    index = indexes.write(tmp_path / "an index", {FILE: b"right", "h5py-2.9.0-py3-none-any.whl": b"old"})
    link = found(Settings((index,)))
    assert (link.sha256, link.size) == (ROW.sha256, 5)
    assert Path(tmp_path / "an index" / "files" / FILE).as_uri() == link.address


def test_index_with_another_digest_is_refused_with_both(tmp_path: Path) -> None:
    index = indexes.write(tmp_path, {FILE: b"right"}, {FILE: "1" * 64})
    with pytest.raises(
        MirrorError, match=f"{FILE}: its sha256 in the package index is 1{{64}} .*{ROW.sha256}"
    ) as error:
        found(Settings((index,)))
    assert "PIP_INDEX_URL" in error.value.advice


def test_second_index_serves_if_the_first_has_another_file(tmp_path: Path) -> None:
    wrong = indexes.write(tmp_path / "1", {FILE: b"right"}, {FILE: "1" * 64})
    right = indexes.write(tmp_path / "2", {FILE: b"right"})
    assert found(Settings((wrong, right))).address.startswith(f"{tmp_path.as_uri()}/2/")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"h5py-2.10.0.tar.gz": b"s"}, "it has no h5py 2.10.0"),
        ({"h5py-2.10.0-cp311-cp311-manylinux_2_28_x86_64.whl": b"s"}, "it has other files of h5py 2.10.0"),
        ({"six-1-py3-none-any.whl": b"s"}, "it has no h5py 2.10.0"),
    ],
)
def test_version_that_is_gone_is_told_with_what_to_do(tmp_path: Path, there: dict[str, bytes], words: str) -> None:
    index = indexes.write(tmp_path, there)
    with pytest.raises(MirrorError, match=f"no package index has the file {FILE}.*{words}.*{index}") as error:
        found(Settings((index,)))
    assert "by hand" in error.value.advice


def test_directory_with_wheels_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"right")
    link = found(Settings((), (tmp_path.as_uri(),)))
    assert (link.address, link.sha256) == ((tmp_path / FILE).as_uri(), "")


def test_index_that_cannot_be_read_is_told_only_if_a_file_is_missing(tmp_path: Path) -> None:
    index = indexes.write(tmp_path, {FILE: b"right"})
    (tmp_path / "bad" / "h5py").mkdir(parents=True)
    (tmp_path / "bad" / "h5py" / "index.html").write_bytes(b'{"this": "is json"}')
    bad = f"{tmp_path.as_uri()}/bad"
    assert found(Settings((bad, index)))
    with pytest.raises(MirrorError, match="not that of a package index"):
        found(Settings((bad,)))


def test_json_page_is_read() -> None:
    files = [
        {"filename": FILE, "url": f"../../files/{FILE}", "hashes": {"sha256": ROW.sha256}, "size": 5},
        {"filename": "other.whl", "url": "https://cdn.example.org/other.whl#sha256=1", "hashes": {}},
    ]
    assert index_page.links(json.dumps({"files": files}).encode(), ADDRESS) == [
        Link(FILE, f"https://index.example.org/files/{FILE}", ROW.sha256, 5),
        Link("other.whl", "https://cdn.example.org/other.whl"),
    ]


def test_html_page_is_read() -> None:
    page = f'<base href="https://cdn.example.org/a/"><a href="h5py%2B1.whl#sha256={ROW.sha256.upper()}">x</a><a>y</a>'
    assert index_page.links(page.encode(), ADDRESS) == [
        Link("h5py+1.whl", "https://cdn.example.org/a/h5py%2B1.whl", ROW.sha256)
    ]


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "file:///etc/passwd", "https://x.example.org/a b.whl", "ftp://x/a.whl", "http://[/"]
)
def test_links_that_must_not_reach_curl_are_left_out(href: str) -> None:
    assert index_page.links(f'<a href="{href}">x</a>'.encode(), ADDRESS) == []
    document = {"files": [{"filename": FILE, "url": href}]}
    try:
        assert index_page.links(json.dumps(document).encode(), ADDRESS) == []
    except MirrorError as error:
        assert "not that of a package index" in error.message


@pytest.mark.parametrize("content", [b"{", b'{"files": 1}', b'{"files": [1]}', b"[" * 100_000, b"{" * 100_000, b"\xff"])
def test_page_that_is_none_is_an_error_or_empty(content: bytes) -> None:
    try:
        assert index_page.links(content, ADDRESS) == []
    except ProvisionError as error:
        assert error.advice


def test_pip_says_which_indexes_this_machine_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"extra_index_url": "file:///srv/more", "find_links": "/srv/wheels", "cert": "/srv/ca.pem"}
    index = "https://index.example.org/simple/"
    indexes.configure(monkeypatch, tmp_path, index_url=index, constraint="/none", proxy="http://p:3128", **more)
    settings = pip_settings.read()
    assert settings.indexes == (index, "file:///srv/more")
    assert settings.links == ("file:///srv/wheels",)
    assert settings.environment == {
        "CURL_CA_BUNDLE": "/srv/ca.pem",
        "https_proxy": "http://p:3128",
        "http_proxy": "http://p:3128",
    }
    assert settings.places("Ruamel_yaml.x")[0] == "https://index.example.org/simple/ruamel-yaml-x/"


def test_login_in_the_address_of_an_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.configure(monkeypatch, tmp_path, index_url="https://me:secret@index.example.org/simple")
    with pytest.raises(UsageError, match="user name or password") as error:
        pip_settings.read()
    assert "secret" not in error.value.message
    assert "netrc" in error.value.advice


def test_pip_that_may_use_no_index_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.configure(monkeypatch, tmp_path, no_index="true")
    with pytest.raises(UsageError, match="no package index"):
        pip_settings.read()


def test_configuration_that_pip_cannot_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.configure(monkeypatch, tmp_path)
    (tmp_path / "pip.conf").write_text("no section\n")
    with pytest.raises(UsageError, match="pip cannot tell") as error:
        pip_settings.read()
    assert "pip config debug" in error.value.advice


def test_machine_without_pip_is_told_which_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no pip") as error:
        pip_settings.read()
    assert "python3-pip" in error.value.advice


def test_pip_of_the_working_directory_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.configure(monkeypatch, tmp_path, index_url="https://index.example.org/simple")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("raise SystemExit('hostile')\n")
    monkeypatch.chdir(tmp_path)
    assert pip_settings.read().indexes == ("https://index.example.org/simple",)
