"""Rollouts over many hosts: in waves, within a budget of failures, with a journal from which they continue."""
