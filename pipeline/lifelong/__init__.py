"""A pool that lives: each run takes new rows into it, and brings it back under its cap (docs/lifelong.md)."""
