"""The benchmark of a converge that changes nothing: what it prints of its measurements."""

from __future__ import annotations

from tests.bench import noop
from tests.bench.noop import Measured

MEASURED = (
    Measured(1, noop.OURS, (1.0, 3.0, 2.0), (0.5, 0.7, 0.6)),
    Measured(1, noop.PYINFRA, (4.0, 4.0, 4.0), (0.5, 0.5, 0.5)),
    Measured(11, noop.OURS, (3.0, 3.0, 3.0), (1.0, 0.9, 0.8)),
    Measured(11, noop.PYINFRA, (6.0, 6.0, 6.0), (1.5, 1.5, 1.5)),
    Measured(11, noop.PLAIN, (60.0,), (20.0,)),
)


def test_medians_ratios_and_the_time_of_each_further_host_are_printed() -> None:
    lines = list(noop.lines(MEASURED))
    assert lines[1].split() == ["1", "provision", "site", "2.00", "1.00", "3.00", "0.60"]
    assert f"provision site on 1: 0.500 of {noop.PYINFRA}" in lines
    assert f"provision site on 11: 0.500 of {noop.PYINFRA}" in lines
    assert f"provision site on 11: 0.050 of {noop.PLAIN}" in lines
    assert "provision site on 11: 0.030 s of the controller's processor time for each further host" in lines
    assert f"{noop.PYINFRA} on 11: 0.100 s of the controller's processor time for each further host" in lines
    assert not any(line.startswith(noop.PLAIN) for line in lines)
