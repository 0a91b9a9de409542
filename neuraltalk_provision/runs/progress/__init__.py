"""The state of runs: how far they got, whether they are healthy, how they ended."""
