"""Secrets are left out of what is shown and logged, and what is none stays."""

from __future__ import annotations

import time

import pytest

from neuraltalk_provision import redaction

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nQmFzZQ==\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get https://bot:s3cr3t@mirror/nn.tgz failed", "get https://***@mirror/nn.tgz failed"),
        ("http://s3cr3t@h:80/x and ftp://a:b@c/", "http://***@h:80/x and ftp://***@c/"),
        ("https://bot:s3@cr3t@mirror/a@b", "https://***@mirror/a@b"),
        (
            "https://s3.example/torch.tgz?X-Amz-Signature=s3cr3t&size=3",
            "https://s3.example/torch.tgz?X-Amz-Signature=***&size=3",
        ),
        ("https://h/x?token=s3cr3t", "https://h/x?token=***"),
        (
            '{"ansible_become_password": "s3 cr\\"3t", "changed": false}',
            '{"ansible_become_password": "***", "changed": false}',
        ),
        ("{'ansible_ssh_pass': 's3cr3t', 'a': 1}", "{'ansible_ssh_pass': '***', 'a': 1}"),
        ('{"become_password": 1234, "a": 1}', '{"become_password": "***", "a": 1}'),
        ('{"api_token": ["s3cr3t"], "a": 1}', '{"api_token": "***", "a": 1}'),
        ("ansible_become_pass: s3cr3t\nother: x", "ansible_become_pass: ***\nother: x"),
        ("ansible_become_password=s3cr3t ansible_host=h", "ansible_become_password=*** ansible_host=h"),
        ('ansible_become_password: "s3cr3t two"\nother: x', "ansible_become_password: ***\nother: x"),
        ("ansible_password: 's3cr3t'", "ansible_password: ***"),
        ('8  ansible_become_password: "Xq7{{zulu whisky"', "8  ansible_become_password: ***"),
        ('ansible_become_password: "s3cr3t\n  two three', "ansible_become_password: ***\n  two three"),
        ("  ansible_become_password: |\n    s3cr3t\n    two\n  other: x", "  ansible_become_password: ***\n  other: x"),
        ("ansible_become_pass: my long phrase", "ansible_become_pass: ***"),
        ("ansible_password=pa&ss;word ansible_host=h", "ansible_password=*** ansible_host=h"),
        (
            "Expected key=value host variable assignment, got: s3cr3t",
            "Expected key=value host variable assignment, got: ***",
        ),
        ("'***' error in template: expected '}', got 'whisky'", "'***' error in template: expected '}', got ***"),
        ("pip --token=s3cr3t install", "pip --token=*** install"),
        ("MYSQL_PASSWORD='s3 cr3t' run", "MYSQL_PASSWORD=*** run"),
        ("Authorization: Bearer s3cr3t\nHost: h", "Authorization: ***\nHost: h"),
        ("authorization: Basic Ym90OnM=", "authorization: ***"),
        (f"it holds\n{KEY}\nand more", "it holds\n*** (a private key)\nand more"),
        (KEY.split("QmFz")[0], "*** (a private key)"),
    ],
)
def test_secret_is_left_out(text: str, expected: str) -> None:
    assert redaction.redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://mirror/a@b, ops@node1: no",
        "Missing sudo password",
        "sudo: a password is required",
        "ops@node1: Permission denied (publickey,password).",
        "SyntaxError: unexpected token: '}'",
        "cannot open /etc/ssl/private.key: No such file or directory",
        "ansible_ssh_private_key_file: /home/ops/.ssh/id_ed25519",
        '{"ansible_become_password_file": "/root/pass", "max_tokens": 3}',
        "tokens: words\n-word_count_threshold 5",
        "the compass: north",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redaction.redact(text) == text


def test_values_that_are_known_to_be_secret_are_left_out_wherever_they_stand() -> None:
    variables = {
        "provision_pip_index_url": "https://bot:s3cr%2Ft-1@index/simple",
        "nested": [{"my_password": "open sesame"}, {"password": "x"}],
        "provision_mirror": "/srv/mirror",
    }
    known = redaction.known(variables)
    assert known == ("open sesame", "s3cr%2Ft-1", "s3cr/t-1")
    told = redaction.redact("got s3cr/t-1 and s3cr%2Ft-1 from open sesame on /srv/mirror x", known)
    assert told == "got *** and *** from *** on /srv/mirror x"


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "password" * 40_000, '"password": "' * 30_000, "://a:b" * 50_000, "x=" * 150_000]
)
def test_text_of_any_form_costs_little(text: str) -> None:
    started = time.monotonic()
    redaction.redact(text)
    assert time.monotonic() - started < 3
