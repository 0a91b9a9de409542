"""How far a long piece of work is, in words."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

Load = Callable[[str], ModuleType]


def test_progress_tells_count_rate_and_time_left(load: Load) -> None:
    module = load("programs.progress")
    now, lines = [0.0], []
    progress = module.Progress(lines.append, "read", 200_000, 100_000, clock=lambda: now[0])
    for _second in range(10):
        now[0] += 5
        progress.add(500, 50_000_000)
        progress.tick()
    assert lines[0] == ("read 101,000 of 200,000 pictures (50 %), 100 a second, about 16 minutes left, 100.0 MB read")
    assert len(lines) == 5  # every 10 s
    for _second in range(4):
        now[0] += 1
        progress.add(1500)
        progress.tick()
    assert [line.split()[1] for line in lines[5:]] == ["106,500", "108,000", "111,000"]  # and at each percent
