"""What a lab's hosts tried to reach across the air gap, and the proof that this is noticed."""

from __future__ import annotations

import datetime
import json
from typing import Any

from tests.lab import engine, gap
from tests.lab.errors import LabError
from tests.lab.spec import Lab

PROBE = ("192.0.2.1", "probe.invalid")
"""An address and a name that are nobody's (RFC 5737, RFC 6761)."""


def state_of(name: str) -> dict[str, Any]:
    """What stands: if it has an air gap, this machine's address (gateway), the hosts by address."""
    file = Lab(name).state
    if not file.exists():
        raise LabError(f"there is no lab {name!r}: start it with `python -m tests.lab up {name}`")
    state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return state


def record(name: str, *, clear: bool = False) -> list[dict[str, Any]]:
    """Every attempt of the lab's hosts to cross the gap, each kind once; an empty list proves none.

    The lab's own probe is left out, unless the record begins anew (`clear`): its name may be asked again, and noted,
    after that.
    """
    lab, state = Lab(name), state_of(name)
    if not state["airgap"]:
        raise LabError(f"the lab {name!r} has no air gap, so nothing was recorded: start it with --airgap")
    if engine.docker("inspect", "--format", "{{.State.Running}}", lab.sink).strip() != "true":
        raise LabError(f"{lab.sink} has ended, so the record of names is not whole: see `docker logs {lab.sink}`")
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
    """Have a host try to get out, see both attempts in the record, and begin a new one.

    Without this an empty record might as well mean that nobody was looking.
    """
    address, unknown = PROBE
    host = next(iter(state_of(name)["hosts"].values()))
    attempt = f"! getent hosts {unknown} && ! timeout 5 bash -c '</dev/tcp/{address}/9' 2>/dev/null"
    engine.docker("exec", host, "bash", "-c", attempt)
    missing = set(PROBE) - {entry["destination"] for entry in record(name, clear=True)}
    if missing:
        tried = ", ".join(sorted(missing))
        raise LabError(f"{host} tried to reach {tried} and the record missed it: see `nft list ruleset`")
