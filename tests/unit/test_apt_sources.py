"""Sources of apt in both formats, and for other releases of the same system."""

from __future__ import annotations

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import apt_sources
from neuraltalk_provision.mirror.apt_sources import Source

LIST = """
# deb http://commented.example.org bookworm main
deb http://a.example.org/debian bookworm main contrib # the release
deb-src http://a.example.org/debian bookworm main
deb [arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.gpg check-valid-until=no] https://b.example.org/ bookworm-updates main
deb [arch=arm64] https://c.example.org/ bookworm main
deb [trusted=yes] file:/srv/own ./
deb broken
"""
DEB822 = """# two of them
Types: deb deb-src
URIs: http://a.example.org/debian
  http://b.example.org/debian
Suites: bookworm bookworm-updates
# a comment between
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdAD/P5Nvvnvk66SxBBHDbhRml9ORg1WV5CvzKY
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example.org
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example.org
Suites: bookworm
Components: main

types: deb
uris: http://c.example.org
suites: bookworm-security
components: main
check-valid-until: no
"""


def test_lines_are_read() -> None:
    a, b, own = apt_sources.parse_list(LIST)
    assert a == Source(("http://a.example.org/debian",), ("bookworm",), ("main", "contrib"))
    assert b == Source(("https://b.example.org/",), ("bookworm-updates",), ("main",), "/k/a.gpg /k/b.gpg", False)
    assert own == Source(("file:/srv/own",), ("./",))


def test_fields_are_read() -> None:
    a, c = apt_sources.parse_deb822(DEB822)
    assert (a.uris, a.suites) == (
        ("http://a.example.org/debian", "http://b.example.org/debian"),
        ("bookworm", "bookworm-updates"),
    )
    assert a.signed_by.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME")
    assert (c.uris, c.check_valid_until) == (("http://c.example.org",), False)


def test_what_is_written_is_read_again() -> None:
    sources = apt_sources.parse_deb822(DEB822)
    assert apt_sources.parse_deb822(apt_sources.deb822(sources)) == sources
    assert "trusted" not in apt_sources.deb822(apt_sources.parse_list(LIST)).lower()


def sources(*suites: str) -> tuple[Source, ...]:
    return (Source(("http://a.example.org",), suites, ("main",)),)


@pytest.mark.parametrize(
    ("suites", "key", "changed"),
    [
        (("bookworm", "bookworm-updates"), "debian-11-x86_64", ("bullseye", "bullseye-updates")),
        (("bookworm-security",), "debian-11-x86_64", ("bullseye-security",)),
        (("bookworm-security",), "debian-10-x86_64", ("buster/updates",)),
        (("buster/updates", "buster"), "debian-13-x86_64", ("trixie-security", "trixie")),
        (("jammy", "jammy-security", "jammy-backports"), "ubuntu-24-x86_64", ("noble", "noble-security")),
    ],
)
def test_suites_are_those_of_the_other_release(suites: tuple[str, ...], key: str, changed: tuple[str, ...]) -> None:
    codename = next(name for name in target.CODENAMES if suites[0].startswith(name))
    own = apt_sources.of_release(sources(*suites), [codename])
    (found,) = apt_sources.for_release(own, [codename], target.parse(key))
    assert found.suites == changed


def test_suites_of_others_are_not_used() -> None:
    every = sources(
        "bookworm", "bookworm-backports", "bookworm-proposed-updates", "stable", "nodistro", "bookwormish", "./"
    )
    assert [one.suites for one in apt_sources.of_release(every, ["bookworm"])] == [("bookworm",)]
    assert apt_sources.of_release(sources("stable"), ["bookworm"]) == ()


def test_sources_of_ubuntu_pro_are_not_used() -> None:
    """apt has a login for each of them in /etc/apt/auth.conf.d, curl has not: it could not move their packages."""
    pro = """# Written by ubuntu-pro-client
Types: deb
URIs: https://esm.example.org/apps/ubuntu
Suites: noble-apps-security noble-apps-updates
Components: main
Signed-By: /usr/share/keyrings/ubuntu-pro-esm-apps.gpg

Types: deb
URIs: http://packages.example.org/ubuntu/
Suites: noble noble-updates
Components: main
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""
    older = "deb https://esm.example.org/infra/ubuntu noble-infra-security main\n"
    found = apt_sources.of_release([*apt_sources.parse_deb822(pro), *apt_sources.parse_list(older)], ["noble"])
    assert [one.uris for one in found] == [("http://packages.example.org/ubuntu/",)]


def test_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="contains a user name or password") as caught:
        apt_sources.refuse_unsafe([Source(("https://me:secret@a.example.org/debian",), ("bookworm",))])
    assert "secret" not in caught.value.message
    assert "https://...@a.example.org" in caught.value.message
    assert "auth.conf" in caught.value.advice
    apt_sources.refuse_unsafe([Source(("https://a.example.org/@x",), ("bookworm",))])


def test_disks_are_not_used_and_lists_of_mirrors_are_refused() -> None:
    disk = Source(("cdrom:[Debian 12]/",), ("bookworm",), ("main",))
    assert apt_sources.of_release([disk], ["bookworm"]) == ()
    with pytest.raises(UsageError, match=r"begins with mirror\+file:, which is not used here") as caught:
        apt_sources.refuse_unsafe([Source(("mirror+file:///etc/apt/mirrors/debian.list",), ("bookworm",))])
    assert "--repositories FILE" in caught.value.advice
