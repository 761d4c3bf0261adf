"""Corpus-wide deduplication, in pure pieces: keys, candidate edges, components, keep rule."""
