# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The cards of a host and the processes on them, as nvidia-smi and the kernel report them.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import csv
import glob
import io
import os
import re

from ..host.commands import output_of
from ..host.environment import login_path
from ..host.errors import StackError
from ..host.files import read_text
from ..host.texts import PY2, as_text, text_of
from ..rules.gpu import CARD, CURE, NONE, UNKNOWN, capability_of

CARD_FIELDS = (
    ("index", "index"),
    ("uuid", "uuid"),
    ("name", "name"),
    ("memory.total", "memory"),
    ("memory.used", "used"),
    ("compute_mode", "mode"),
    ("utilization.gpu", "utilization"),
    ("driver_version", "driver"),
)
NEWER = (("compute_cap", "capability"), ("mig.mode.current", "mig"))
"""Drivers before 2021 and 2020 do not know these fields."""
PROCESS_FIELDS = (("pid", "pid"), ("gpu_uuid", "uuid"), ("used_memory", "memory"))
"""Without the name: it is a path, in which a user can have commas and line breaks, which nvidia-smi does not quote."""
ABSENT = "there is no nvidia-smi on the PATH"
DRIVER, DEVICES, BUS = "/proc/driver/nvidia", "/dev/nvidia*", "/sys/bus/pci/devices/*"
CONTAINERS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
UNKNOWN_FIELD = "not a valid field"
EMPTY = ("", "No devices were found", "No running processes found")
NUMBERS = ("index", "memory", "used", "utilization", "pid")
NEEDED = ("uuid", "name", "memory", "used")
"""What every working card reports, unless it says that it has no such thing."""
BROKEN = re.compile(r"\[?(GPU requires reset|GPU is lost)\]?\Z")
"""In place of any value of a card that computes no more. Its other values can look like those of an idle card."""
NO_ANSWER = re.compile(r"\[?(Unknown Error|ERR!)\]?\Z")
UNLISTED = "[Not Supported]"
"""In place of a pid, in the one row of a card for which the driver lists no processes: an old driver for a GeForce."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
LOST = re.compile(r"Unable to determine the device handle for GPU\s*(\S.*?):\s+([^:.]+?)\s*(?:\.|\Z)", re.IGNORECASE)
"""In place of the row of a card that the driver cannot reach, in every query; the other cards have their rows."""
WARNED = 14
"""The exit code of nvidia-smi if the infoROM of a card is damaged. Everything is reported, and the card computes."""
WARNING = "WARNING: infoROM is corrupted"


class FieldError(ValueError):
    """nvidia-smi does not know a field of the query."""


class AbsentError(ValueError):
    """There is no nvidia-smi."""


def query(what, fields):
    """(the rows of an nvidia-smi query, [[(our name, text)]]; [(place, fault)] of cards that the driver cannot reach).

    ValueError with its message if it fails.
    """
    names = ",".join(name for name, _ours in fields)
    argv = ["nvidia-smi", "--query-%s=%s" % (what, names), "--format=csv,noheader,nounits"]
    text, rc = output_of(argv, environment=login_path())
    if rc is None:
        raise AbsentError(ABSENT)
    if rc != 0 and UNKNOWN_FIELD in text:
        raise FieldError(text.strip())
    lost = [found.groups() for found in map(LOST.match, text.splitlines()) if found]
    if rc not in (0, WARNED) and not lost:
        raise ValueError(text.strip() or "nvidia-smi ended with %s" % rc)
    rows = []
    for cells in csv.reader(text.encode("utf-8").splitlines() if PY2 else io.StringIO(text)):
        cells = [as_text(cell).strip() for cell in cells]
        if len(cells) == len(fields):
            rows.append([(pair[1], cell) for pair, cell in zip(fields, cells)])
        elif "".join(cells) not in EMPTY and not cells[0].startswith(WARNING) and not LOST.match(cells[0]):
            raise ValueError("nvidia-smi reports: %s" % ", ".join(cells)[:500])
    return rows, lost


def _values(row):
    return dict((name, _value(name, cell)) for name, cell in row)


def _value(name, cell):
    if cell.startswith("[") or cell == "N/A":
        return None
    if name in NUMBERS:
        return int(cell) if re.match(r"\d+$", cell) else None
    return cell


def cards(newer=NEWER):
    """Every card. What its driver does not report is None. Memory in MiB. `fault` is empty if the card works.

    Of a card that the driver cannot reach, `index` is its place as nvidia-smi names it.
    """
    try:
        rows, lost = query("gpu", CARD_FIELDS + newer)
    except FieldError as error:
        if not newer:
            raise
        known = tuple(pair for pair in newer if '"%s"' % pair[0] not in text_of(error))
        return cards(known if known != newer else ())
    unknown = dict((name, None) for _theirs, name in CARD_FIELDS + NEWER)
    return [_card(row) for row in rows] + [dict(unknown, index=place, fault=fault) for place, fault in lost]


def _card(row):
    card = dict({"capability": None, "mig": None}, fault=_fault(row), **_values(row))
    return dict(card, capability=card["capability"] or capability_of(card["name"] or "") or None)


def _fault(row):
    """What nvidia-smi reports in place of the values of a card that does not work; empty if it works."""
    found = [BROKEN.match(cell) or name in NEEDED and NO_ANSWER.match(cell) for name, cell in row]
    return next((match.group(1) for match in found if match), "")


def processes():
    """[{pid, uuid, memory}] of the processes on the cards. Memory in MiB; None if it is not reported."""
    return listed_processes()[0]


def listed_processes():
    """(what `processes` returns, and whether the driver lists the processes of all cards)."""
    rows, _lost = query("compute-apps", PROCESS_FIELDS)
    listed = [_values(row) for row in rows if dict(row)["pid"] != UNLISTED]
    return listed, len(listed) == len(rows)


def driver():
    """The version of the NVIDIA driver in the kernel; empty if it is not loaded."""
    version = re.search(r"Kernel Module.*?\s(\d{3,}\.\d+(\.\d+)?)\s", read_text(DRIVER + "/version") or "")
    return version.group(1) if version else ""


def signs():
    """[(kind, description)] of the signs of an NVIDIA card that need no nvidia-smi: `driver`, `device` and `bus`."""
    found = []
    if os.path.isdir(DRIVER):
        found.append(("driver", "its driver is loaded (%s)" % DRIVER))
    devices = sorted(glob.glob(DEVICES), key=lambda path: (not re.search(r"\d$", path), path))
    if devices:
        found.append(("device", "there is %s" % ", ".join(devices[:4])))
    for device in sorted(glob.glob(BUS)):
        vendor, kind = (_line(os.path.join(device, name)) for name in ("vendor", "class"))
        if vendor == "0x10de" and kind.startswith("0x03"):
            found.append(("bus", "an NVIDIA card is on the PCI bus (%s)" % os.path.basename(device)))
    return found


def in_container():
    """Whether this is a container. It shows the PCI bus and /proc of its machine, but has only some of its devices."""
    return any(os.path.lexists(path) for path in CONTAINERS) or any(
        mark in "\0" + _line("/proc/1/environ") for mark in ("\0container=", "\0KUBERNETES_SERVICE_HOST=")
    )


def _line(path):
    """The text of a file without spaces at its ends; empty if it cannot be read."""
    try:
        return (read_text(path) or "").strip()
    except (IOError, OSError):
        return ""


def detect():
    """Whether the host has cards: {answer, cards, problem, evidence}; the answer is `card`, `none` or `unknown`.

    If one of the cards has a fault, the answer is `unknown`, as for a driver that fails. Unknown cards are not listed.
    """
    found = _looked()
    return dict(found, cards=[]) if found["answer"] == UNKNOWN else found


def _looked():
    """As `detect`, but with all cards that nvidia-smi lists if one of them has a fault.

    The answer is `none` only if there is no sign of a card. If nvidia-smi fails, the answer is `unknown`, because the
    host may have cards and a broken driver. In a container only nvidia-smi and device nodes count: the PCI bus and
    /proc belong to the machine, and without a device node no program in the container can compute.
    """
    found_signs = [sign for sign in signs() if sign[0] == "device" or not in_container()]
    described = "; ".join(sign[1] for sign in found_signs)
    try:
        found = cards()
    except AbsentError:
        if not found_signs:
            return _result(NONE, "no nvidia-smi, %s, %s, or NVIDIA card on the PCI bus" % (DEVICES, DRIVER))
        return _result(UNKNOWN, "%s, though %s" % (ABSENT, described))
    except ValueError as error:
        return _result(UNKNOWN, "%s%s" % (error, " (%s)" % described if described else ""))
    faults = ['nvidia-smi reports "%(fault)s" for card %(index)s' % card for card in found if card["fault"]]
    if faults:
        return _result(UNKNOWN, "; ".join(faults), found)
    if found:
        return _result(CARD, "%d by nvidia-smi: %s" % (len(found), ", ".join(c["name"] or "?" for c in found)), found)
    # A loaded driver is no sign here: nvidia-smi itself loads it.
    if [sign for sign in found_signs if sign[0] == "bus" or re.search(r"/nvidia\d", sign[1])]:
        return _result(UNKNOWN, "nvidia-smi lists no card, though %s" % described)
    return _result(NONE, "nvidia-smi lists no card, and there is none on the PCI bus")


def _result(answer, evidence, found=()):
    return {
        "answer": answer,
        "cards": list(found),
        "problem": evidence if answer == UNKNOWN else "",
        "evidence": evidence,
    }


MISSPELT = re.compile(
    r"\b((?:CUDA|NVIDIA|GPU)_?VISIBLE_?(?:DEVICES?|GPUS?|DEVICES?_ID)|CUDA_DEVICES?|CUDA_VISIBLE)(?=\s*=)"
)
CORRECT = (VISIBLE, "NVIDIA_VISIBLE_DEVICES")


def misleading_settings(home="~"):
    """Remarks on variables that seem to choose a card but that no program reads, such as CUDA_VISIBLE_DEVICE."""
    files = ["/etc/environment", "/etc/profile"] + sorted(glob.glob("/etc/profile.d/*.sh"))
    files += [os.path.join(os.path.expanduser(home), name) for name in (".bashrc", ".bash_profile", ".profile")]
    remarks = []
    for name in files:
        for number, line in enumerate((read_text(name) or "").splitlines(), 1):
            for found in MISSPELT.findall(line.split("#")[0]):
                if found not in CORRECT:
                    remarks.append(
                        "%s, line %d sets %s, which no program reads: the correct name is CUDA_VISIBLE_DEVICES. "
                        "This run gets its card by UUID" % (name, number, found)
                    )
    return remarks


def listed_cards():
    """Every card that nvidia-smi lists, also with a fault; empty if there is none. StackError if that is unknown."""
    result = _looked()
    if result["answer"] == UNKNOWN and not result["cards"]:
        raise StackError("it is not known whether this host has a card: %s. %s" % (result["problem"], CURE))
    return result["cards"]
