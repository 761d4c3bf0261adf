"""Texts that a selection shall be likened to: one column of the rows of a file or folder."""

from pathlib import Path

from . import corpus


def place(path: str) -> str:
    """Where they lie. Raises ValueError where nothing does."""
    found = Path(path).expanduser()
    if not found.exists():
        raise ValueError(f"target_path {path!r}: nothing lies there")
    return str(found)


def load(path: str, key: str) -> list[str | None]:
    """The texts, in the order of the files and rows."""
    texts: list[str | None] = []
    sources = corpus.discover(path, base=Path.cwd())
    corpus.peek_schema(sources, (key,))
    for split in corpus.cut(sources):
        for batch in corpus.read(split, text_keys=(key,), batch_rows=8192, batch_bytes=1 << 24, tolerate=False):
            texts += batch.column(key).to_pylist()
    return texts
