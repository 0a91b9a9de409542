"""Names of many hosts in few words, and one line for all hosts of which the same is said."""

from __future__ import annotations

import random
import re
import time

import pytest

from neuraltalk_provision import host_names
from neuraltalk_provision.host_names import MOST_LINES, MOST_NAMED, lines, named


def numbered(first: int, last: int, form: str = "node{:03}") -> list[str]:
    return [form.format(number) for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ([], ""),
        (numbered(1, 3), "node001, node002, node003"),
        (numbered(1, 500), "node[001-500]"),
        (numbered(98, 130, "gpu{}"), "gpu[98-130]"),
        ([*numbered(1, 25), "node030", *numbered(40, 50)], "node[001-025,030,040-050]"),
        ([*numbered(1, 30, "n{}.lan"), "login"], "n[1-30].lan, login"),
        (numbered(1, 254, "10.0.0.{}"), "10.0.0.[1-254]"),
        (numbered(1, 30, "rack7-n{}-ib0"), "rack7-n[1-30]-ib0"),
        ([f"r{rack}n{node:02}" for rack in (1, 2) for node in range(1, 31)], "r1n[01-30], r2n[01-30]"),
        ([*numbered(8, 30, "n{}"), "n08"], "n[8-9,08,10-30]"),
        ([*numbered(1, 30), "node007"], "node[001-030]"),
    ],
)
def test_hosts_in_a_sentence(hosts: list[str], text: str) -> None:
    assert named(hosts) == text


def test_no_host_is_left_out_silently() -> None:
    scattered = numbered(1, 199)[::2]
    found = named(scattered)
    assert found.startswith("node[001,003,") and found.endswith("] and 80 others")
    assert len(re.findall(r"\d{3}", found)) == MOST_NAMED


@pytest.mark.parametrize("seed", range(30))
def test_folded_names_are_exactly_the_hosts(seed: int) -> None:
    chance = random.Random(seed)
    forms = ["n{}", "n{:02}", "n{:04}", "a{}-b", "x", "10.1.{}.7", "r3c{}s1", "7", "n{}n"]
    hosts = list(dict.fromkeys(chance.choice(forms).format(chance.randrange(150)) for _ in range(200)))
    unfolded = []
    for before, numbers, after, size in host_names._folded(hosts):
        first, _, last = numbers.partition("-")
        one_range = range(int(first), int(last or first) + 1) if numbers else [""]
        unfolded += [f"{before}{str(one).zfill(len(first))}{after}" for one in one_range]
        assert size == len(one_range)
    assert sorted(unfolded) == sorted(hosts)


def test_hosts_of_which_the_same_is_said_have_one_line() -> None:
    told = [(host, f"{host}: /opt is full") for host in numbered(1, 500)]
    told[3] = ("node004", "node004: its Python is broken")
    assert lines(told) == ["node[001-003,005-500] (499 hosts): /opt is full", "node004: its Python is broken"]


def test_word_before_the_name_stays_before_it() -> None:
    told = [(host, f"FAIL {host} link: {host} has none") for host in numbered(1, 30)]
    assert lines(told) == ["FAIL node[001-030] (30 hosts) link: HOST has none"]
    assert lines((host, "the rack is off") for host in numbered(1, 30)) == ["node[001-030] (30 hosts): the rack is off"]


def test_sentence_whose_subject_is_the_host_stays_whole() -> None:
    told = [(host, f"{host} has no complete generation to return to") for host in numbered(1, 7)]
    assert lines(told) == [
        "node001, node002, node003, node004, node005, node006, node007 (7 hosts): "
        "HOST has no complete generation to return to"
    ]
    asked = [(host, f"{host}, Build Torch: rc 2") for host in numbered(1, 30)]
    assert lines(asked) == ["node[001-030] (30 hosts), Build Torch: rc 2"]


def test_few_hosts_have_a_line_each() -> None:
    told = [(host, f"{host}: /opt is full") for host in numbered(1, MOST_LINES)]
    assert lines(told) == [text for _host, text in told]


def test_name_and_address_in_the_words_of_ssh_do_not_keep_hosts_apart() -> None:
    why = "{0}: switch it on\n  Failed to connect via ssh: ssh: connect to host 10.1.2.{1} port 22{1}: No route"
    (line,) = lines((f"n{number}", why.format(f"n{number}", number)) for number in range(30))
    assert line.splitlines() == [
        "n[0-29] (30 hosts): switch it on",
        "  Failed to connect via ssh: ssh: connect to host ADDRESS: No route",
    ]
    denied = "{0}: root@{0}: Permission denied (publickey)."
    (line,) = lines((f"n{number}", denied.format(f"n{number}")) for number in range(30))
    assert line == "n[0-29] (30 hosts): ADDRESS: Permission denied (publickey)."
    shares = "{0} shares /opt with n0.lan; leave it out: --limit '!{0}'"
    (line,) = lines((f"n{number}", shares.format(f"n{number}")) for number in range(30))
    assert line == "n[0-29] (30 hosts): HOST shares /opt with n0.lan; leave it out: --limit '!HOST'"


def test_long_message_of_a_host_is_read_in_linear_time() -> None:
    """A host that lies can answer with one long word: 1,000 characters took 2 s, and 10,000 half an hour."""
    began = time.process_time()
    assert lines([("n1", "a@" * 500)]) == ["a@" * 500]
    assert time.process_time() - began < 0.5


def test_versions_and_other_numbers_keep_hosts_apart() -> None:
    told = [(f"n{number}", f"n{number}: it has cuDNN 8.9.2.{number % 2}") for number in range(30)]
    assert len(lines(told)) == 2
