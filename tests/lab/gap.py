"""The air gap of a lab: connections of its hosts out of their network are refused at once, and recorded.

Docker's internal networks do not isolate hosts from the machine that runs them, and record nothing; nftables does
both. It only handles IPv4: Docker disables IPv6 in containers whose network has none.
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
    """One attempt to leave the network: a connection, or a DNS query (protocol dns)."""

    source: str
    destination: str
    protocol: str
    port: int

    def as_json(self, names: dict[str, str]) -> dict[str, Any]:
        """The crossing as an entry of the record, with the host's name."""
        return {"host": names.get(self.source, self.source), **asdict(self)}


def rules(table: str, bridge: str, subnet: str, gateway: str, open_ports: Iterable[int] = ()) -> str:
    """The nftables table of a gap, as `nft -f` reads it.

    Replies to connections of this machine are not new connections, so they pass. A port of this machine that
    hosts can use (the mirror's) is neither refused nor recorded.
    """
    ports = ", ".join(str(port) for port in sorted(set(open_ports)))
    let_in = f"ip daddr {gateway} tcp dport {{ {ports} }} return" if ports else ""
    record = "add @crossings { ip saddr . ip daddr . meta l4proto"
    return f"""
table inet {table} {{
    set crossings {{
        type ipv4_addr . ipv4_addr . inet_proto . inet_service
        size 65535
    }}
    chain outward {{
        {let_in}
        ip daddr {subnet} ip daddr != {gateway} return
        meta l4proto {{ tcp, udp }} {record} . th dport }}
        meta l4proto != {{ tcp, udp }} {record} . 0 }}
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
    """Run `nft ARGS` as root; its output."""
    shell.need("nft", "nftables")
    sudo = ("sudo", "-n") if os.geteuid() else ()
    hint = "nftables needs root: run as root or allow sudo without a password"
    return shell.run(*sudo, "nft", *args, stdin=stdin, hint=hint)


def close(table: str, bridge: str, subnet: str, gateway: str, open_ports: Iterable[int] = ()) -> None:
    """Close the gap, with an empty record."""
    open_up(table)
    nft("-f", "-", stdin=rules(table, bridge, subnet, gateway, open_ports))


def open_up(table: str) -> None:
    """Remove the air gap, if there is one."""
    if f"table inet {table}" in nft("list", "tables").splitlines():
        nft("delete", "table", "inet", table)


def connections(table: str) -> list[Crossing]:
    """The attempted connections."""
    return parse_set(nft("-j", "list", "set", "inet", table, "crossings"))


def forget(table: str) -> None:
    """Empty the record."""
    nft("flush", "set", "inet", table, "crossings")


def parse_set(listing: str) -> list[Crossing]:
    """The crossings in the output of `nft -j list set`."""
    found = []
    for entry in json.loads(listing)["nftables"]:
        for element in entry.get("set", {}).get("elem", []):
            source, destination, protocol, port = element["concat"]
            found.append(Crossing(source, destination, str(protocol), int(port)))
    return sorted(found)


def parse_names(log: str) -> list[Crossing]:
    """The DNS queries in the log of the sink, each once per host."""
    queries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return sorted({Crossing(one["source"], one["name"], "dns", 53) for one in queries})
