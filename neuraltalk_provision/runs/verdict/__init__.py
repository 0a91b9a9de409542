"""Whether a training can be trusted: its evidence, the gates, and the verdict."""
