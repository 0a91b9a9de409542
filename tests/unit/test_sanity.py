"""`tests/sanity`: what ansible-test gets from this machine, and which of its findings are ignored."""

from __future__ import annotations

import pytest

from neuraltalk_provision import paths
from tests.sanity import findings
from tests.sanity.__main__ import pip_configuration


def test_pip_gets_the_configuration_of_the_machine_with_that_of_the_environment() -> None:
    listing = "global.index-url='https://one/simple'\nglobal.find-links='/a\\n/b'\n:env:.cert='/etc/ca.crt'\n"
    assert list(pip_configuration(listing)) == [
        "[global]\n",
        "cert = /etc/ca.crt\n",
        "find-links = /a /b\n",
        "index-url = https://one/simple\n",
    ]


@pytest.mark.parametrize("pattern", sorted({pattern for pattern, _finding, _reason in findings.IGNORED}))
def test_what_is_ignored_is_there(pattern: str) -> None:
    assert list(paths.share().glob(pattern))


def test_each_ignored_finding_has_its_reason_and_its_python() -> None:
    lines = list(findings.ignore_lines(paths.share(), "3.11"))
    assert all(" # " in line for line in lines)
    assert [line for line in lines if "import-3.11!skip" in line]
