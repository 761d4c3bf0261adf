"""Loops over Arrow string buffers: one pass, no Python object per row."""
