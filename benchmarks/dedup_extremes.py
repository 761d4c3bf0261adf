"""What near-duplicate removal is not made for, from file to files: right answer, seconds, peak memory of the process tree.

    python benchmarks/dedup_extremes.py [CASE ...] [--rows 1000000] [--workers 2] [--megabytes 50] [--data FOLDER]

identical     one text, ROWS times: one stays.
written       one set of shingles, ROWS times, each row written otherwise (letters' case, blanks): one stays.
one_key       texts of a common head and own words: with one band of one minimum about ROWS of them share one key, and none are
              alike (Jaccard below 0.5 against 0.9 asked): all stay. Their square would be 10^12 comparisons.
boilerplate   ROWS / 5 of these under the default settings: 34 bands, of which each row shares some with thousands.
nothing       ROWS rows, in turn empty, blank, one of 1,000 words, two of 1,000 words: of the equal ones with a word one stays.
long          two texts of MEGABYTES that differ in their last words, one of MEGABYTES without a space, and small ones: one leaves.
long_lines, long_spans, long_simhash, long_exact      the same rows through the other kinds of deduplication.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from dedup_scale import watched

MINHASH = "document_minhash_deduplicator"
Lines = Iterator[str]
HEAD = " ".join(f"head{i}" for i in range(20))
ONE_BAND = {"num_bands": 1, "num_rows_per_band": 1, "jaccard_threshold": 0.9}
SENTENCE = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"


def identical(rows: int, size: int) -> Lines:
    for _ in range(rows):
        yield SENTENCE


def written(rows: int, size: int) -> Lines:
    """Each word begins with a capital or not, by the bits of the row's number; equal sets, different texts."""
    words = SENTENCE.split(" ")
    for row in range(rows):
        yield " ".join(w.capitalize() if row >> i & 1 else w.lower() for i, w in enumerate(words))


def one_key(rows: int, size: int) -> Lines:
    """Of 16 + 12 shingles the least is the head's in nearly half of the rows."""
    chance = np.random.default_rng(1)
    for low in range(0, rows * 11 // 5, 10_000):
        for own in chance.integers(0, 1 << 40, (min(10_000, rows * 11 // 5 - low), 8)).tolist():
            yield f"{HEAD} {' '.join(map(str, own))}"


def boilerplate(rows: int, size: int) -> Lines:
    return one_key(rows // 11, size)


def nothing(rows: int, size: int) -> Lines:
    for row in range(rows):
        n = row // 4 % 1000
        yield ("", " " * (1 + n % 7), f"word{n}", f"word{n} two")[row % 4]


def long(rows: int, size: int) -> Lines:
    words = " ".join(map(str, np.random.default_rng(2).integers(0, 1 << 40, size // 13).tolist()))
    yield from ("small", words, "", "x" * size, words[:-60] + " and another end of it", "small one", HEAD)


def stays_of_long(rows: int) -> int:
    return 6


# case -> (rows of text, step, how many rows stay of how many were asked for)
CASES: dict[str, tuple[Callable[[int, int], Lines], dict[str, Any], Callable[[int], int]]] = {
    "identical": (identical, {MINHASH: {}}, lambda rows: 1),
    "written": (written, {MINHASH: {}}, lambda rows: 1),
    "one_key": (one_key, {MINHASH: ONE_BAND}, lambda rows: rows * 11 // 5),
    "boilerplate": (boilerplate, {MINHASH: {}}, lambda rows: rows // 11 * 11 // 5),
    "nothing": (nothing, {MINHASH: {}}, lambda rows: rows // 2 + 2 * min(1000, rows // 4)),
    "long": (long, {MINHASH: {}}, stays_of_long),
    "long_exact": (long, {"document_deduplicator": {"lowercase": True}}, lambda rows: 7),
    "long_simhash": (long, {"document_simhash_deduplicator": {}}, stays_of_long),
    "long_lines": (long, {"document_line_deduplicator": {"frequency_threshold": 1}}, lambda rows: 7),
    "long_spans": (long, {"exact_substring_deduplicator": {}}, lambda rows: 7),
}


def main() -> None:
    """Generate, run, check and print, for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--data", type=Path, help="where to write")
    asked = parser.parse_args()
    print("| case | rows | MB | seconds | of it deduplication | peak RSS, MB | rows that stay | as they must |")
    print("|---|---|---|---|---|---|---|---|")
    wrong = False
    for case in asked.cases or CASES:
        texts, step, stay = CASES[case]
        with tempfile.TemporaryDirectory(dir=asked.data) as scratch:
            corpus, recipe = Path(scratch, "rows.jsonl"), Path(scratch, "recipe.yaml")
            with corpus.open("w", encoding="utf-8") as out:
                out.writelines(json.dumps({"text": text}) + "\n" for text in texts(asked.rows, asked.megabytes * 1_000_000))
            recipe.write_text(json.dumps({
                "dataset_path": str(corpus), "export_path": str(Path(scratch, "out")), "np": asked.workers, "process": [step]}))
            seconds, peak = watched([sys.executable, "-m", "tamis", "run", str(recipe), "--json"], Path(scratch, "manifest"))
            told = json.loads(Path(scratch, "manifest").read_text())
            own, right = next(t["seconds"] for t in told["timing"] if t["stage"] == 2), told["rows_out"] == stay(asked.rows)
            wrong |= not right
            size = corpus.stat().st_size / 1e6
            print(f"| {case} | {told['rows_in']:,} | {size:.0f} | {seconds:.1f} | {own:.1f} | {peak / 1e6:,.0f} "
                  f"| {told['rows_out']:,} | {'yes' if right else f'NO: {stay(asked.rows):,}'} |", flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
