"""Containment between the tables of a data lake (R2D2): pure functions on schemas, statistics and row hashes."""
