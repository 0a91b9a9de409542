"""The air gap of a lab: what its hosts send out of their network is refused at once, and recorded.

Docker's internal networks do not isolate from the machine that runs them, and keep no record; nftables does
both. It sees IPv4: Docker turns IPv6 off inside containers whose network has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab import shell


@dataclass(frozen=True, order=True)
class Crossing:
    """One attempt to get out: a connection, or a name asked for (protocol dns)."""

    source: str
    destination: str
    protocol: str
    port: int

    def as_json(self, names: dict[str, str]) -> dict[str, Any]:
        """The crossing as a record's entry, with the host's name."""
        return {"host": names.get(self.source, self.source), **asdict(self)}


def rules(table: str, bridge: str, subnet: str, gateway: str, open_ports: Iterable[int] = ()) -> str:
    """The nftables table of a gap, as `nft -f` reads it.

    Replies to what this machine asks of the hosts are no new connections, and pass. A port of this machine
    that hosts may use (the mirror's) is neither refused nor recorded.
    """
    ports = ", ".join(str(port) for port in sorted(set(open_ports)))
    let_in = f"ip daddr {gateway} tcp dport {{ {ports} }} return" if ports else ""
    seen = "add @crossings { ip saddr . ip daddr . meta l4proto"
    return f"""
table inet {table} {{
    set crossings {{
        type ipv4_addr . ipv4_addr . inet_proto . inet_service
        size 65535
    }}
    chain outward {{
        {let_in}
        ip daddr {subnet} ip daddr != {gateway} return
        meta l4proto {{ tcp, udp }} {seen} . th dport }}
        meta l4proto != {{ tcp, udp }} {seen} . 0 }}
    }}
    chain refuse {{
        {let_in}
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain prerouting {{
        type filter hook prerouting priority -150; policy accept;
        iifname "{bridge}" ct state new jump outward
    }}
    chain input {{
        type filter hook input priority -10; policy accept;
        iifname "{bridge}" ct state new jump refuse
    }}
    chain forward {{
        type filter hook forward priority -10; policy accept;
        iifname "{bridge}" oifname != "{bridge}" jump refuse
    }}
}}
"""


def nft(*args: str, stdin: str | None = None) -> str:
    """What `nft ARGS` printed, run as root."""
    shell.need("nft", "nftables")
    sudo = ("sudo", "-n") if os.geteuid() else ()
    hint = "nftables wants root: run as root or allow sudo without a password"
    return shell.run(*sudo, "nft", *args, stdin=stdin, hint=hint)


def close(table: str, bridge: str, subnet: str, gateway: str, open_ports: Iterable[int] = ()) -> None:
    """Put the gap up, with an empty record."""
    open_up(table)
    nft("-f", "-", stdin=rules(table, bridge, subnet, gateway, open_ports))


def open_up(table: str) -> None:
    """Take the gap away; nothing happens if there is none."""
    if f"table inet {table}" in nft("list", "tables").splitlines():
        nft("delete", "table", "inet", table)


def connections(table: str) -> list[Crossing]:
    """The connections that were tried."""
    return parse_set(nft("-j", "list", "set", "inet", table, "crossings"))


def forget(table: str) -> None:
    """Empty the record."""
    nft("flush", "set", "inet", table, "crossings")


def parse_set(listing: str) -> list[Crossing]:
    """The crossings in what `nft -j list set` prints."""
    found = []
    for entry in json.loads(listing)["nftables"]:
        for element in entry.get("set", {}).get("elem", []):
            source, destination, protocol, port = element["concat"]
            found.append(Crossing(source, destination, str(protocol), int(port)))
    return sorted(found)


def parse_names(log: str) -> list[Crossing]:
    """The names asked for, from what the sink wrote, each once per host."""
    asked = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return sorted({Crossing(one["source"], one["name"], "dns", 53) for one in asked})
