"""The record of a lab's air gap, and the check that attempts are recorded."""

from __future__ import annotations

import datetime
import json
from typing import Any

from tests.lab import engine, gap
from tests.lab.errors import LabError
from tests.lab.spec import Lab

PROBE = ("192.0.2.1", "probe.invalid")
"""A reserved address and a reserved name (RFC 5737, RFC 6761)."""


def state_of(name: str) -> dict[str, Any]:
    """The state of a running lab: `airgap`, `gateway` (this machine's address), and `hosts` as {address: name}."""
    file = Lab(name).state
    if not file.exists():
        raise LabError(f"there is no lab {name!r}: start it with `python -m tests.lab up {name}`")
    state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return state


def record(name: str, *, clear: bool = False) -> list[dict[str, Any]]:
    """Every attempt of the lab's hosts to cross the gap, each kind once; an empty list proves that there was none.

    The lab's own probe is not included, except with `clear`, which starts a new record. The resolver of a host may
    repeat the query of the probe after that.
    """
    lab, state = Lab(name), state_of(name)
    if not state["airgap"]:
        raise LabError(f"the lab {name!r} has no air gap, so nothing was recorded: start it with --airgap")
    if engine.docker("inspect", "--format", "{{.State.Running}}", lab.sink).strip() != "true":
        raise LabError(
            f"{lab.sink} has ended, so the record of DNS queries is incomplete: see `docker logs {lab.sink}`"
        )
    now = datetime.datetime.now(datetime.UTC).isoformat()
    since = ("--since", state["cleared"]) if "cleared" in state else ()
    crossings = [*gap.connections(lab.bridge), *gap.parse_names(engine.logs(lab.sink, *since))]
    if clear:
        gap.forget(lab.bridge)
        lab.state.write_text(json.dumps({**state, "cleared": now}), encoding="utf-8")
    hosts: dict[str, str] = state["hosts"]
    found = [crossing.as_json(hosts) for crossing in crossings]
    return found if clear else [crossing for crossing in found if crossing["destination"] not in PROBE]


def prove(name: str) -> None:
    """Try from a host to leave the network, check that both attempts are in the record, and start a new one.

    Without this an empty record could also mean that nothing was recorded.
    """
    address, unknown = PROBE
    host = next(iter(state_of(name)["hosts"].values()))
    attempt = f"! getent hosts {unknown} && ! timeout 5 bash -c '</dev/tcp/{address}/9' 2>/dev/null"
    engine.docker("exec", host, "bash", "-c", attempt)
    missing = set(PROBE) - {entry["destination"] for entry in record(name, clear=True)}
    if missing:
        tried = ", ".join(sorted(missing))
        raise LabError(f"{host} tried to reach {tried} and the record does not have it: see `nft list ruleset`")
