"""Engines: where and how a stage runs."""
