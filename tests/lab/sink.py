"""A name server that answers every query with "no such name" (NXDOMAIN) and logs it.

Runs as a script in a container, with only the standard library.
"""

from __future__ import annotations

import json
import socket


def question(packet: bytes) -> tuple[str, int]:
    """The name in a DNS query, and the offset at which its first question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 5


def refusal(packet: bytes, end: int) -> bytes:
    """The answer NXDOMAIN, with which a program fails at once and not after its timeout."""
    flags = bytes(
        [0x80 | packet[2] & 0x79, 0x83]
    )  # a response, with opcode and recursion flag of the query, name error
    return packet[:2] + flags + b"\0\1\0\0\0\0\0\0" + packet[12:end]


def serve(port: int = 53) -> None:
    """Answer queries without end; prints one JSON object per query."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    while True:
        packet, client = server.recvfrom(4096)
        try:
            name, end = question(packet)
        except IndexError:
            continue
        print(json.dumps({"source": client[0], "name": name}), flush=True)
        server.sendto(refusal(packet, end), client)


if __name__ == "__main__":
    serve()
