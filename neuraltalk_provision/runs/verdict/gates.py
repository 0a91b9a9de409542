"""A verdict: gates, each with what it saw. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Colour = Literal["green", "red", "left out"]


@dataclass(frozen=True)
class Gate:
    """One question, its answer, and the evidence; `left out` is one that does not apply or was not asked for."""

    name: str
    colour: Colour
    evidence: str


@dataclass(frozen=True)
class Verdict:
    """All gates of one run; green only where none is red and some are green."""

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
    """A gate that was asked; without evidence it is red."""
    return Gate(name, "green" if right and evidence else "red", evidence or "nothing was seen")
