"""A verdict: gates, each with its evidence. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Colour = Literal["green", "red", "left out"]


@dataclass(frozen=True)
class Gate:
    """One check of a training with its result and evidence; `left out` if it does not apply or was not requested."""

    name: str
    colour: Colour
    evidence: str


@dataclass(frozen=True)
class Verdict:
    """All gates of one run; green only if none is red and at least one is green."""

    gates: tuple[Gate, ...]

    @property
    def green(self) -> bool:
        """Whether the run can be trusted: no gate is red, and not all of them were left out."""
        colours = {gate.colour for gate in self.gates}
        return "green" in colours and "red" not in colours

    def as_json(self) -> dict[str, Any]:
        """The verdict as `--json` prints it."""
        return {"green": self.green, "gates": [asdict(gate) for gate in self.gates]}


def gate(name: str, right: bool, evidence: str) -> Gate:
    """A gate that was checked; without evidence it is red."""
    return Gate(name, "green" if right and evidence else "red", evidence or "there is no evidence")
