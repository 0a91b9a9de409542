# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Records every attempt of a machine, or of a network namespace, to reach something: connections and name look-ups.

Runs as a program of its own, as root, under Python 2.7 and 3 with the standard library only. It prints one line of
JSON for each thing that was tried, until its standard input ends; the last line says whether it saw everything.

The kernel hands it only packets that leave: the first packet of each TCP connection, and every other packet. What goes
to the machine itself (127.0.0.0/8, ::1) is not an attempt to leave it, unless it asks for a name (port 53).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import errno
import json
import select
import socket
import struct
import sys
import time

MOST = 150
"""Different attempts that are printed; more are counted. So many fit into a pipe that nobody reads meanwhile."""
SNAP = 1024
BUFFER = 32 << 20
ALL, IPV4, IPV6 = 0x0003, 0x0800, 0x86DD
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
DNS = 53
# Values of <linux/filter.h> and <linux/if_packet.h> that Python does not name.
ATTACH_FILTER, BUFFER_FORCE, SOL_PACKET, STATISTICS = 26, 33, 263, 6
SPECIAL, KIND, OUTGOING = 0xFFFFF000, 4, 4
# Answers to others, errors, and what the kernel itself sends to find neighbours: nobody tried to reach anything.
NO_ATTEMPT = {ICMP: (0, 3, 4, 5, 11, 12), ICMP6: (1, 2, 3, 4, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143)}
LOAD_WORD, LOAD_HALF, LOAD_BYTE, LOAD_BYTE_X, LOAD_LENGTH = 0x20, 0x28, 0x30, 0x50, 0xB1
EQUAL, ANY_BIT, AND, RETURN = 0x15, 0x45, 0x54, 0x06


def program():
    """The filter of the kernel (classic BPF): [(code, jump if true, jump if false, value)]."""
    accept, drop = "accept", "drop"
    steps = [
        ("", LOAD_WORD, "", "", SPECIAL + KIND),
        ("", EQUAL, "", drop, OUTGOING),
        ("", LOAD_WORD, "", "", SPECIAL),  # the protocol
        ("", EQUAL, "v4", "", IPV4),
        ("", EQUAL, "v6", drop, IPV6),
        ("v4", LOAD_HALF, "", "", 6),
        ("", ANY_BIT, drop, "", 0x1FFF),  # a later fragment
        ("", LOAD_BYTE, "", "", 9),
        ("", EQUAL, "", accept, TCP),
        ("", LOAD_LENGTH, "", "", 0),
        ("", LOAD_BYTE_X, "", "", 13),
        ("", AND, "", "", 0x12),  # SYN and ACK
        ("", EQUAL, accept, drop, 0x02),
        ("v6", LOAD_BYTE, "", "", 6),
        ("", EQUAL, "", accept, TCP),
        ("", LOAD_BYTE, "", "", 53),
        ("", AND, "", "", 0x12),
        ("", EQUAL, accept, drop, 0x02),
        (accept, RETURN, "", "", SNAP),
        (drop, RETURN, "", "", 0),
    ]
    places = dict((step[0], number) for number, step in enumerate(steps) if step[0])
    return [
        (code, places[yes] - number - 1 if yes else 0, places[no] - number - 1 if no else 0, value)
        for number, (_label, code, yes, no, value) in enumerate(steps)
    ]


def opened():
    """A socket that receives the packets of all interfaces which the filter accepts, from this moment on."""
    code = b"".join(struct.pack("HBBI", *step) for step in program())
    kept = ctypes.create_string_buffer(code, len(code))
    watching = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
    watching.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", len(code) // 8, ctypes.addressof(kept)))
    try:
        watching.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, BUFFER)
    except EnvironmentError:
        watching.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    watching.setblocking(False)
    receive(watching, None)  # what came before the filter was there
    return watching


def attempt(packet, protocol):
    """(kind, address or name, port) of what a packet tries to reach; None if nothing is tried."""
    if protocol == IPV4 and len(packet) >= 20:
        start, inner = 4 * (ord(packet[0:1]) & 15), ord(packet[9:10])
        address = socket.inet_ntop(socket.AF_INET, packet[16:20])
        local = address.startswith("127.")
    elif protocol == IPV6 and len(packet) >= 40:
        start, inner = 40, ord(packet[6:7])
        address = socket.inet_ntop(socket.AF_INET6, packet[24:40])
        local = address == "::1"
    else:
        return None
    rest = packet[start:]
    port = struct.unpack("!H", rest[2:4])[0] if inner in (TCP, UDP) and len(rest) >= 4 else 0
    if local and port != DNS:
        return None
    if inner == UDP and port == DNS:
        return "name", question(rest[8:]), port
    if inner in NO_ATTEMPT and rest[0:1] and ord(rest[0:1]) in NO_ATTEMPT[inner]:
        return None
    kind = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp"}.get(inner, "protocol %d" % inner)
    return kind, address, port


def question(message):
    """The name that a DNS query asks for; if it cannot be read, a text that says so."""
    labels = []  # type: list[str]
    at = 12
    while at < len(message) and len(labels) < 128:
        length = ord(message[at : at + 1])
        if not length and labels:
            return ".".join(labels)
        if not 0 < length < 64 or at + 1 + length > len(message):
            break
        label = message[at + 1 : at + 1 + length].decode("ascii", "replace")
        labels.append("".join(letter if letter.isalnum() or letter in "-_" else "?" for letter in label))
        at += 1 + length
    return "(a query that cannot be read)"


class Record(object):
    """What was tried so far; each different attempt is printed once."""

    def __init__(self, output):
        self.output, self.seen, self.more = output, set(), 0

    def add(self, found, now):
        if found is None or found in self.seen:
            return
        if len(self.seen) >= MOST:
            self.more += 1
            return
        self.seen.add(found)
        self.say({"kind": found[0], "to": found[1], "port": found[2], "at": round(now, 3)})

    def say(self, line):
        self.output.write(json.dumps(line, sort_keys=True) + "\n")
        self.output.flush()


def receive(watching, record):
    """Record all packets that are waiting; without a record they are discarded."""
    while True:
        try:
            packet, sender = watching.recvfrom(SNAP)
        except EnvironmentError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            if error.errno == errno.ENETDOWN:  # an interface was taken down; the others go on
                continue
            raise
        if record:
            record.add(attempt(packet, sender[1]), time.time())


def watch(watching, record, ending):
    """Record until `ending`, an open file, ends."""
    while True:
        try:
            ready = select.select([watching, ending], [], [])[0]
        except select.error as error:  # Python 2: a signal
            if error.args[0] != errno.EINTR:
                raise
            continue
        receive(watching, record)
        if ending in ready and not ending.read(1):
            break
    receive(watching, record)
    packets, dropped = struct.unpack("II", watching.getsockopt(SOL_PACKET, STATISTICS, 8))
    record.say({"end": True, "packets": packets, "dropped": dropped, "more": record.more})


def run(prepare, record, ending):
    """Call `prepare`, then record until `ending` ends; the exit code. What prevents it becomes a line of the record."""
    try:
        prepare()
        watching = opened()
    except (EnvironmentError, AttributeError) as error:
        record.say({"problem": "packets cannot be recorded: %s" % error})
        return 1
    record.say({"begin": True})
    watch(watching, record, ending)
    return 0


def main():
    return run(lambda: None, Record(sys.stdout), sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
