"""What each kind of deduplication costs: megabytes of text per CPU-second, one process, over files of real text.

    python benchmarks/dedup_kinds.py PATH.jsonl[.zst] ... [--megabytes 40]

Operator: the keys or units alone, Arrow in memory. Whole: keys, what is decided from them, and the texts cut, in memory;
reading, spilling and ledgers are not in it. Times are CPU-seconds of this process after a warm-up.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from tamis.operators.base import declared
from tamis.operators.dedup import repeats
from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import link
from tamis.operators.dedup.exact import exact_evidence, exact_keys
from tamis.operators.dedup.hamming import near, simhash_keys
from tamis.operators.dedup.passages import repeated_lines, repeated_spans
from tamis.operators.dedup.urls import url_evidence, url_keys


def read(paths: list[Path], most: int) -> list[str]:
    """Texts of the files, in turn, up to `most` bytes."""
    rows: list[str] = []
    for path in paths:
        held = 0
        raw = path.open("rb")
        plain = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        for line in io.TextIOWrapper(plain, encoding="utf-8"):
            rows.append(json.loads(line)["text"])
            held += len(rows[-1])
            if held >= most / len(paths):
                break
    return rows


def trimmed(operator: Callable[..., pa.ListArray], text: pa.Array, **settings: object) -> str:
    op = declared(operator)
    told = {k: s.default for k, s in op.settings.items()} | settings
    parts = [text.slice(i, 2000) for i in range(0, len(text), 2000)]
    counted = repeats.count([repeats.from_column(operator(p, **settings)) for p in parts], op.once_a_row)
    assert op.limit is not None
    often = counted.count > op.limit(len(text), **told)
    frequent = repeats.Frequent(counted.key[often], counted.check[often])
    seen, points, rows, at = repeats.unseen(np.full(int(often.sum()), bool(told["keep_first"]))), 0, 0, 0
    for part in parts:
        units = repeats.from_column(operator(part, **settings))
        done = repeats.trim(part, units, frequent.find(units), seen, at)
        at += len(part)
        points, rows = points + int(done.points.sum()), rows + int((done.points > 0).sum())
    return f"{points / 1e6:.2f} M code points out of {rows:,} rows"


def exact(keys: Callable[..., pa.ListArray], evidence: Callable[..., pa.ListArray], text: pa.Array) -> str:
    edges = link(keys(text), evidence(text), 1.0)
    return f"{int((components(edges.a, edges.b, len(text)) != np.arange(len(text))).sum()):,} duplicates"


def simhash(text: pa.Array) -> str:
    keys = simhash_keys(text)
    rows = np.flatnonzero(np.diff(np.asarray(keys.offsets)))
    edges = near(np.asarray(keys.values), rows)
    return f"{int((components(edges.a, edges.b, len(text)) != np.arange(len(text))).sum()):,} duplicates"


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    answer = work()
    return time.process_time() - began, answer


def main() -> None:
    """Print one table."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("paths", nargs="+", type=Path)
    asked.add_argument("--megabytes", type=float, default=40)
    told = asked.parse_args()
    text = pa.array(read(told.paths, int(told.megabytes * 1e6)), pa.large_string())
    pages = pa.array([f"https://Example{i % 997}.org:443/{i % 5003}/a?utm_source=x&id={i % 211}#top" for i in range(200_000)])
    kinds: list[tuple[str, pa.Array, Callable[[pa.Array], object], Callable[[pa.Array], object]]] = [
        ("exact", text, exact_keys, lambda t: exact(exact_keys, exact_evidence, t)),
        ("simhash", text, simhash_keys, simhash),
        ("lines", text, repeated_lines, lambda t: trimmed(repeated_lines, t)),
        ("paragraphs", text, lambda t: repeated_lines(t, unit="paragraph"), lambda t: trimmed(repeated_lines, t, unit="paragraph")),
        ("spans of 50 tokens", text, repeated_spans, lambda t: trimmed(repeated_spans, t)),
        ("addresses", pages, url_keys, lambda t: exact(url_keys, url_evidence, t)),
    ]
    print(f"{len(text):,} rows, {text.nbytes / 1e6:.1f} MB; {len(pages):,} addresses, {pages.nbytes / 1e6:.1f} MB")
    print(f"{'kind':<20}{'operator MB/CPU-s':>20}{'whole MB/CPU-s':>18}  finds")
    for name, column, operator, whole in kinds:
        operator(column.slice(0, 50))
        whole(column.slice(0, 50))
        alone, _ = seconds(lambda f=operator, c=column: f(c))  # type: ignore[misc]
        all_, found = seconds(lambda f=whole, c=column: f(c))  # type: ignore[misc]
        print(f"{name:<20}{column.nbytes / 1e6 / alone:>20.0f}{column.nbytes / 1e6 / all_:>18.0f}  {found}")


if __name__ == "__main__":
    main()
