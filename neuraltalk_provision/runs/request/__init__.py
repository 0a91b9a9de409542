"""Requests for runs: options, stages, sweeps, and the run that a run continues."""
