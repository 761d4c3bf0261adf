"""Filters: a number per row, and which numbers stay."""
