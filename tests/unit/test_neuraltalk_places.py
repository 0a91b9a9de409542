"""A stack root that other users own, can write or could create is refused, with the component and a remedy."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site import leases
from neuraltalk_provision.site.plan import plan
from tests.unit.modules import ModuleError
from tests.unit.plans import HOSTS, RECIPE

Run = Callable[..., dict[str, Any]]
PLAIN = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a directory of another user takes root to make")


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.places")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A whole stack root: srv/stack below a private directory."""
    root = tmp_path / "srv" / "stack"
    for name in ("generations/f00", "artifacts", "logs"):
        (root / name).mkdir(parents=True)
    (root / "current").symlink_to("generations/f00")
    for path in (root.parent, root, *root.glob("*/"), root / "generations" / "f00"):
        path.chmod(0o755)
    return root


def test_root_of_our_own_is_safe(module: ModuleType, root: Path) -> None:
    assert module.unsafe(str(root)) == []
    assert [place["path"] for place in module.places_of(str(root))][-5:] == [
        str(root / name) for name in ("generations", "artifacts", "logs", "current", "generations/f00")
    ]


@as_root
@pytest.mark.parametrize("below", ["..", ".", "generations", "generations/f00", "current", "artifacts", "logs"])
def test_component_of_another_user_is_named_with_owner_mode_and_cure(
    module: ModuleType, root: Path, below: str
) -> None:
    place = Path(os.path.normpath(root / below))
    os.lchown(place, PLAIN, PLAIN)
    (words,) = module.unsafe(str(root))
    assert words.startswith(f"{place} (")
    assert "mode 0" in words
    assert f"(uid {PLAIN})" in words
    assert "chown it to root, or choose another stack_root" in words


@pytest.mark.parametrize(("mode", "who"), [(0o777, "everybody"), (0o757, "everybody"), (0o2777, "everybody")])
@pytest.mark.parametrize("below", ["..", ".", "generations", "generations/f00", "artifacts"])
def test_component_that_others_can_write_is_named(
    module: ModuleType, root: Path, below: str, mode: int, who: str
) -> None:
    place = Path(os.path.normpath(root / below))
    place.chmod(mode)
    (words,) = module.unsafe(str(root))
    assert words.startswith(f"{place} (owner ")
    assert f"mode {mode:04o}) can be written by {who}: chmod go-w it" in words


@as_root
def test_component_that_a_group_can_write_is_named_with_the_group(module: ModuleType, root: Path) -> None:
    root.chmod(0o775)
    assert module.unsafe(str(root)) == []  # the group root is root's
    os.chown(root, 0, 50)
    (words,) = module.unsafe(str(root))
    assert "can be written by the group " in words


@as_root
def test_access_list_that_lets_another_user_write_is_named(module: ModuleType, root: Path) -> None:
    """`setfacl -m u:USER:rwx`: mode and group look as if the directory were root's alone."""
    set_access_list(root, user=7)
    assert (root.stat().st_mode & 0o7777, root.stat().st_gid) == (0o775, 0)
    (words,) = module.unsafe(str(root))
    assert f"{root} (owner root (uid 0), mode 0775) can be written by those whom its access list" in words
    assert "setfacl -b it or chmod go-w it, or choose another stack_root" in words
    assert "access list" in module.writers(str(root))
    root.chmod(0o755)  # takes the right from everybody in the list
    assert module.unsafe(str(root)) == []
    set_access_list(root, user=5)
    assert module.unsafe(str(root)) == []


@as_root
@pytest.mark.parametrize(
    ("below", "rights", "who"),
    [
        (".", {"user": 7}, f"(uid {PLAIN}), who may write to all that is created in it"),
        ("generations/f00", {"user": 7}, f"(uid {PLAIN}), who may write to all that is created in it"),
        (".", {"user": 7, "limit": 5}, ""),
        (".", {"user": 5}, ""),
        (".", {"group": 7}, ""),  # the group root is root's
        (".", {"named_group": 7}, "the group "),
        (".", {"other": 7}, "everybody, who may write to all that is created in it"),
    ],
)
def test_default_list_that_lets_others_write_to_what_is_built_is_named(
    module: ModuleType, root: Path, below: str, rights: dict[str, int], who: str
) -> None:
    """`setfacl -d -m u:USER:rwx`: then the umask does not count, and USER can change sources while root builds them."""
    place = root / below
    set_access_list(place, "default", **{"user": 0, "limit": 7, **rights})
    built = place / "built"
    subprocess.run(["sh", "-c", 'umask 022; : > "$1"', "sh", built], check=True)
    assert built.stat().st_mode & 0o022 or not who
    found = module.unsafe(str(root))
    assert len(found) == bool(who)
    for words in found:
        assert f"{place} (owner root (uid 0), mode 0755) can be written by " in words
        assert who in words
        assert "remove its default access list (setfacl -k it), or choose another stack_root" in words


@as_root
def test_default_list_counts_only_where_something_is_created(
    module: ModuleType, root: Path, load: Callable[[str], ModuleType]
) -> None:
    """It changes nothing for what is there: /srv could have a list for the files of a group, or the CUDA directory."""
    push = load("push.place")
    set_access_list(root.parent, "default", user=7)
    assert module.unsafe(str(root)) == []
    assert module.unsafe_path(str(root / "nvcc"), "use another compiler") == []
    push.check_place(str(root / "data.h5"))
    (words,) = module.unsafe(str(root.parent / "new" / "stack"))
    assert words.startswith(f"{root.parent} (owner ")
    assert "who may write to all that is created in it" in words
    set_access_list(root, "default", user=7)
    assert module.unsafe_path(str(root / "nvcc"), "use another compiler") == []
    with pytest.raises(push.StackError, match="who may write to all that is created in it"):
        push.check_place(str(root / "data.h5"))


@as_root
def test_default_list_of_a_cuda_directory_refuses_the_swap_which_creates_files_there(
    root: Path, load: Callable[[str], ModuleType]
) -> None:
    places = {name: root / name for name in ("include", "lib", "ours")}
    for place in places.values():
        place.mkdir()
    tree = SimpleNamespace(root=str(root), **{name: str(place) for name, place in places.items()})
    swap = load("cudnn.swap")
    swap.check_tree(tree)
    for place in (root, places["ours"]):
        set_access_list(place, "default", user=7)
        with pytest.raises(swap.StackError, match="who may write to all that is created in it"):
            swap.check_tree(tree)
        os.removexattr(place, "system.posix_acl_default")


def set_access_list(
    path: Path, kind: str = "access", *, user: int, group: int = 5, other: int = 5, named_group: int = 0, limit: int = 0
) -> None:
    """Give the directory an access list in which one user and one group have these rights, as setfacl would."""
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), (2, user, PLAIN), (4, group, nobody), (8, named_group, PLAIN)]
    entries += [(0x10, limit or user, nobody), (0x20, other, nobody)]
    try:
        os.setxattr(
            path, f"system.posix_acl_{kind}", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
        )
    except OSError:
        pytest.skip("the file system has no access lists")


@as_root
def test_access_lists_are_seen_without_a_function_of_python_for_them(
    module: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Python 2.7."""
    monkeypatch.delattr(os, "getxattr")
    root.chmod(0o775)
    assert module.unsafe(str(root)) == []
    set_access_list(root, user=7)
    assert "access list" in module.unsafe(str(root))[0]


@pytest.mark.parametrize("errno_", [errno.EACCES, errno.EIO])
def test_access_list_that_cannot_be_read_counts_as_one(
    module: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch, errno_: int
) -> None:
    def refuse(*_arguments: object) -> bytes:
        raise OSError(errno_, "refused")

    monkeypatch.setattr(os, "getxattr", refuse)
    root.chmod(0o775)
    assert "access list" in module.unsafe(str(root))[0]


@pytest.mark.parametrize(
    ("members", "primary", "words"),
    [
        (["root"], ["root", "sync", "halt", "shutdown", "operator"], ""),
        (["root", "mallory"], ["root"], "the group root (mallory)"),
        ([], ["root", "oracle", "toor"], "the group root (oracle, toor)"),
        (["mallory"], ["oracle"], "the group root (mallory, oracle)"),
    ],
)
def test_other_members_of_the_group_root_are_named(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, members: list[str], primary: list[str], words: str
) -> None:
    monkeypatch.setattr(module.grp, "getgrgid", lambda gid: Row(gr_name="root", gr_mem=members))
    monkeypatch.setattr(
        module.pwd, "getpwall", lambda: [Row(pw_name=name, pw_gid=0) for name in primary] + [Row(pw_name="x", pw_gid=9)]
    )
    place = {"path": "/opt/s", "kind": "directory", "uid": 0, "gid": 0, "mode": 0o775}
    assert "".join(module.problems_of([place], 0)).partition(" can be written by ")[2].partition(":")[0] == words


def test_group_of_its_owner_alone_is_its_owner(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"path": "/home/u/s", "kind": "directory", "uid": 1000, "gid": 1000, "mode": 0o775}
    group = {"gr_name": "u", "gr_mem": []}
    monkeypatch.setattr(module.pwd, "getpwuid", lambda uid: Row(pw_name="u", pw_gid=1000))
    monkeypatch.setattr(module.grp, "getgrgid", lambda gid: Row(**group))
    monkeypatch.setattr(module.pwd, "getpwall", list)
    assert module.problems_of([place], 1000) == []
    group["gr_mem"] = ["v"]
    assert "by the group u" in module.problems_of([place], 1000)[0]
    assert "belongs to u (uid 1000)" in module.problems_of([place], 0)[0]


class Row:
    """A line of the user database."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


def test_what_is_not_there_below_a_directory_of_everybody_could_be_made_first(
    module: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "pub").mkdir()
    (tmp_path / "pub").chmod(0o1777)
    stack = tmp_path / "pub" / "x" / "stack"
    (words,) = module.unsafe(str(stack))
    assert words.startswith(f"{tmp_path / 'pub' / 'x'} does not exist, and everybody could create it first")
    assert f"({tmp_path / 'pub'} has mode 1777): create it with mkdir -m 755" in words
    stack.parent.mkdir(mode=0o755)
    assert module.unsafe(str(stack)) == []


@as_root
def test_link_of_another_user_is_refused_and_a_roots_link_is_followed(module: ModuleType, root: Path) -> None:
    link = root.parents[1] / "opt"
    link.symlink_to("srv")
    assert module.unsafe(str(link / "stack")) == []
    os.lchown(link, PLAIN, PLAIN)
    (words,) = module.unsafe(str(link / "stack"))
    assert words.startswith(f"{link} (link, ")
    os.lchown(link, 0, 0)
    os.chown(root.parent, PLAIN, PLAIN)
    (words,) = module.unsafe(str(link / "stack"))
    assert words.startswith(f"{root.parent} (directory, ")


def test_links_that_lead_round_end(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert module.places_of(str(tmp_path / "a" / "stack"))[-1]["kind"] == "other"


@as_root
def test_site_without_root_may_have_its_stack_in_its_own_home(module: ModuleType, root: Path) -> None:
    for path in (root, *root.rglob("*")):
        os.lchown(path, 1000, 1000)
    places = module.places_of(str(root))
    assert module.problems_of(places, 1000) == []
    assert len(module.problems_of(places, 1001)) == len(module.problems_of(places, 0)) == 6


@as_root
def test_module_reports_it_plan_refuses_and_the_lease_is_not_taken(run_module: Run, root: Path) -> None:
    os.chown(root, PLAIN, PLAIN)
    said = run_module("stack_state", stack_root=root)["state"]
    (words,) = said["unsafe"]
    assert {"path": str(root), "kind": "directory", "uid": PLAIN, "gid": PLAIN, "mode": 0o755, "acl": False} in said[
        "places"
    ]
    state = HostState.model_validate({**HOSTS["converged"]["state"], "unsafe": said["unsafe"]})
    assert plan("node1", state, RECIPE).refusals == (f"node1: {words}",)
    with pytest.raises(UsageError, match=r"node1: .* belongs to .* chown it to root"):
        leases.refuse({"node1": state})
    for check in (False, True):
        with pytest.raises(ModuleError, match="who can replace its contents"):
            run_module("host_lease", check=check, stack_root=root, holder="h", host="node1", state="held")
    assert not (root / "lease.json").exists()
