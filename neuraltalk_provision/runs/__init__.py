"""Trainings and captionings on hosts."""
