"""Mappers: text in, text out."""
