"""How a corpus is cut into parts for workers: by its files alone, never by how many workers there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from . import parquet
from .finding import Source
from .heads import layout_of
from .rows import BrokenError

SMALLEST, LARGEST, WANTED = 1 << 20, 32 << 20, 64  # bytes of a split; how many splits a small corpus makes


@dataclass(frozen=True)
class Split:
    """A part of the corpus that one worker reads: picklable, and the same for any number of workers.

    Attributes:
        index: 0, 1, 2 ... in the order of the corpus.
        url, source: the file; `source` is its path below the dataset path.
        format: jsonl, array (one JSON array), parquet, csv, tsv, text.
        start, stop: what of the file: bytes (jsonl: the lines that begin there), row groups (parquet), else all of it.
        size: bytes of the file as stored.
        codec: gzip, zstd or None.
        parts: text: (url, source) of every file in this split.
        modified: of local files, the latest time of last change when their digest was taken, in ns.
    """

    index: int
    url: str = field(repr=False)
    source: str
    format: str
    start: int
    stop: int
    size: int = 0
    codec: str | None = None
    parts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    modified: int = field(default=0, compare=False, repr=False)


def cut(sources: Sequence[Source], *, least: int = 0) -> list[Split]:
    """The splits, in the order of the sources: about a 64th of the corpus each, from 1 MiB to 32 MiB where files allow.

    `least` 1: where no file has rows there is one split nevertheless, of none.
    """
    target = min(LARGEST, max(SMALLEST, sum(s.bytes for s in sources) // WANTED))
    splits: list[Split] = []
    texts: list[Source] = []
    gathered = 0
    for source in sources:
        if source.format == "text":
            if texts and gathered + source.bytes > target:
                splits.append(_together(len(splits), texts))
                texts, gathered = [], 0
            texts.append(source)
            gathered += source.bytes
            continue
        format = layout_of(source)
        for start, stop in _ranges(source, format, target):
            splits.append(Split(len(splits), source.url, source.source, format, start, stop, source.bytes, source.codec,
                                modified=source.modified))
    if texts:
        return [*splits, _together(len(splits), texts)]
    if len(splits) < least and sources:
        first = sources[0]
        return [Split(0, first.url, first.source, layout_of(first), 0, 0, first.bytes, first.codec, modified=first.modified)]
    return splits


def _together(index: int, texts: list[Source]) -> Split:
    first, size = texts[0], sum(t.bytes for t in texts)
    parts = tuple((t.url, t.source) for t in texts)
    return Split(index, first.url, first.source, "text", 0, size, size, parts=parts, modified=max(t.modified for t in texts))


def _ranges(source: Source, format: str, target: int) -> list[tuple[int, int]]:
    if format == "parquet":
        try:
            return _group_ranges(parquet.group_sizes(source.url), target)
        except BrokenError:
            return [(0, -1)]  # `read` tells of it
    if format != "jsonl" or source.codec:
        return [(0, source.bytes)]
    count = max(1, round(source.bytes / target))
    edges = [source.bytes * i // count for i in range(count + 1)]
    return list(pairwise(edges)) if source.bytes else []


def _group_ranges(sizes: list[int], target: int) -> list[tuple[int, int]]:
    ranges, start = [], 0
    for stop in range(1, len(sizes) + 1):
        if stop == len(sizes) or sum(sizes[start:stop + 1]) > target:
            ranges.append((start, stop))
            start = stop
    return ranges
