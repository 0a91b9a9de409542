"""What is taken from this machine's configuration of apt."""

from __future__ import annotations

import pytest

from neuraltalk_provision.mirror.apt_machine import Machine

PROXY = 'Acquire::http::Proxy "http://proxy.example.org:3128";'


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ((), {}),
        ((PROXY,), {"http_proxy": "http://proxy.example.org:3128", "https_proxy": "http://proxy.example.org:3128"}),
        (
            (PROXY, 'Acquire::https::Proxy "DIRECT";'),
            {"http_proxy": "http://proxy.example.org:3128"},
        ),
        (
            (PROXY.lower(), 'Acquire::HTTP::Proxy::in.example.org "DIRECT";'),
            {
                "http_proxy": "http://proxy.example.org:3128",
                "https_proxy": "http://proxy.example.org:3128",
                "no_proxy": "near.example.org,in.example.org",
            },
        ),
        (('Acquire::https::CaInfo "/etc/ca.pem";',), {"CURL_CA_BUNDLE": "/etc/ca.pem"}),
        (('Acquire::Retries "7";', 'Acquire::http::Timeout "30";'), {}),
    ],
)
def test_curl_uses_the_proxies_of_apt(
    settings: tuple[str, ...], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "near.example.org")
    assert Machine("debian", 12, ("bookworm",), (), settings, {}).proxies == variables
