"""The formats a corpus may lie in: one file per format, each turning bytes into `Rows`; `corpus.py` is the way in."""
