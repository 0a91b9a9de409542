"""Trainings, evaluations and data preparations on hosts."""
