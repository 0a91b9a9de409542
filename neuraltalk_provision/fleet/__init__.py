"""The fleet: which hosts a rollout works on, in which order, with how many failures, and its journal."""
