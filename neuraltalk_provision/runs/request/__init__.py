"""What runs are asked to do: options, stages, sweeps, and what a run goes on from."""
