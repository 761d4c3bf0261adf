"""Redundant tables of a data lake: found, proved, planned, moved to the trash, and brought back."""
