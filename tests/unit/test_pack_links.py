"""Links of a packed generation: followed one after the other, they stay inside it."""

from __future__ import annotations

import pytest

from neuraltalk_provision.rules import pack
from neuraltalk_provision.rules.pack import DIRECTORY, LINK, Listed

ROOT = "/opt/neuraltalk/generations/0a1b2c3d4e5f6071"
CUDA = "/usr/local/cuda"
INSIDE = {
    "beside it": {"lib/a.so": "a.so.1"},
    "up and down": {"d/e/a": "../../lib/a.so"},
    "to its top": {"d/e/f/g/up": "../../../.."},
    "absolute": {"lib/a": f"{ROOT}/lib/b"},
    "through another link": {"bin": f"{ROOT}/d/e", "x": "bin/th"},
    "a link of a link": {"a": "b", "b": "d/e"},
    "up from another link": {"d/e/f/g/up": "../..", "x": "d/e/f/g/up/../e"},
    "outside, where it may be": {"cuda": CUDA, "include": f"{CUDA}/include"},
    "through a link to there": {"cuda": CUDA, "x": "cuda/include/cudnn.h"},
}
OUT = {
    "absolute": {"x": "/etc/passwd"},
    "up": {"d/x": "../../../x"},
    "up and back": {"x": "../0a1b2c3d4e5f6071/d"},
    "a name that begins like it": {"x": f"{ROOT}x/y"},
    "the directories above it": {"x": "/opt"},
    "up from a link to the top": {"d/e/f/g/up": "../../../..", "x": "d/e/f/g/up/../../../victim"},
    "up from a link to a link": {"a": "b", "b": "d", "x": "a/../../y"},
    "up from where it may be": {"cuda": CUDA, "x": "cuda/../../../etc"},
    "up from where it may be, at once": {"x": f"{CUDA}/../../../etc"},
    "a link of which nobody knows what it is": {"x": f"{CUDA}/lib64/../../x"},
    "for ever": {"a": "b", "b": "a"},
}


def entries(links: dict[str, str]) -> list[Listed]:
    directories = ["d", "d/e", "d/e/f", "d/e/f/g", "lib"]
    found = [Listed(path, DIRECTORY, "0755", None, "", "") for path in directories]
    found += [Listed(path, LINK, "", None, "", target) for path, target in links.items()]
    return sorted(found)


@pytest.mark.parametrize("links", INSIDE.values(), ids=list(INSIDE))
def test_links_that_stay_inside(links: dict[str, str]) -> None:
    assert pack.links_out(entries(links), ROOT, [CUDA]) == []


@pytest.mark.parametrize("links", OUT.values(), ids=list(OUT))
def test_links_that_lead_out(links: dict[str, str]) -> None:
    """Also if the directory of CUDA is not known: an empty path allows nothing."""
    for outside in ([CUDA], [CUDA + "/", "", "x"]):
        found = pack.links_out(entries(links), ROOT, outside)
        assert found == sorted(found) != []
        assert links.keys() >= {*found}


def test_list_that_no_parser_can_read_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1 of its list is not an object"):
        pack.read(b"[" * 200_000)
    with pytest.raises(ValueError, match="line 1 of its list is not an object"):
        pack.read(b'{"path": "a", "type": "directory", "more": ' + b"[" * 3000 + b"]" * 3000 + b"}")
