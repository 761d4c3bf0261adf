"""Repeated runs of tokens against plain Python, and golden rows of our own."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup import repeats
from tamis.operators.dedup.passages import repeated_spans
from tamis.pipeline.run import apply

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/exact_substring_deduplicator.jsonl").open()]


def tokens_left(rows, width, keep_first=True, threshold=1):
    """The definition, over lists of tokens: every window that is not the first of its kind goes, but for what that one holds."""
    told = [row.split() for row in rows]
    count = Counter(tuple(t[i : i + width]) for t in told for i in range(len(t) - width + 1))
    first, out = {}, []
    for row, t in enumerate(told):
        goes = set()
        for i in range(len(t) - width + 1):
            window = tuple(t[i : i + width])
            if count[window] > threshold:
                where = first.setdefault(window, (row, i)) if keep_first else None
                if where != (row, i):
                    goes |= {k for k in range(i, i + width) if not (where and where[0] == row and k < where[1] + width)}
        out.append([w for k, w in enumerate(t) if k not in goes])
    return out


def trimmed(rows, width, keep_first=True, threshold=1, batches=1, **how):
    columns = [pa.array(part.tolist(), pa.string()) for part in np.array_split(np.array([*rows, ""], object)[:-1], batches)]
    units = [repeats.from_column(repeated_spans(c, min_tokens=width, **how)) for c in columns]
    counted, _ = repeats.merge([repeats.count([u], False) for u in units])
    often = counted.count > threshold
    frequent, seen = repeats.Frequent(counted.key[often], counted.check[often]), repeats.unseen(np.full(int(often.sum()), keep_first))
    out: list[str | None] = []
    for c, u in zip(columns, units, strict=True):
        out += repeats.trim(c, u, frequent.find(u), seen, len(out)).text.to_pylist()
    return out


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_golden_rows(case):
    told = {"min_tokens": 50, "keep_first": True} | case["params"]
    assert trimmed(case["texts"], told.pop("min_tokens"), **told) == case["answers"]


WORD = st.sampled_from(["a", "b", "c", "é", "漢字", "longer-than-eight-bytes"])
ROW = st.lists(st.tuples(WORD, st.sampled_from([" ", "\n", "  ", "\u3000", "\t"])), max_size=30).map(lambda p: "".join(w + s for w, s in p))


@settings(max_examples=150)
@given(st.lists(ROW, max_size=6), st.integers(2, 7), st.booleans(), st.integers(1, 2), st.integers(1, 3))
def test_what_is_left_are_the_tokens_of_the_definition(rows, width, keep_first, threshold, batches):
    found = trimmed(rows, width, keep_first, threshold, batches)
    assert [t.split() for t in found] == tokens_left(rows, width, keep_first, threshold)
    assert all(t == row for t, row in zip(found, rows, strict=True) if t.split() == row.split())


def test_spans_planted_in_real_text_go_all_but_the_first(demo_corpus):
    rows = [t for line in demo_corpus.open() if len((t := json.loads(line)["text"]).split()) > 150][:80]
    rows = list(dict.fromkeys(rows))
    span = " ".join(f"planted{i}" for i in range(60))
    draw = random.Random(1)
    planted = []
    for row in rows:
        words = row.split(" ")
        at = draw.randrange(len(words))
        planted.append(" ".join([*words[:at], span, *words[at:]]))
    left = trimmed(planted, 50)
    assert sum("planted30" in t for t in left) == 1 and left[0].count(span) == 1
    assert [t.split() for t in left] == tokens_left(planted, 50)


def test_the_whole_path_with_ledger_and_numbers():
    span = " ".join(f"w{i}" for i in range(10))
    rows = [{"text": f"one {span} end"}, {"text": f"two {span} end"}, {"text": span}, {"text": "none of it"}]
    done = apply([{"exact_substring_deduplicator": {"min_tokens": 8}}], rows)
    assert [r["text"] for r in done.table.to_pylist()] == [f"one {span} end", "two", "none of it"]
    assert done.ledger.to_pylist()[0]["reason"] == "emptied" and done.ledger.to_pylist()[0]["excerpt"] == span
    assert done.stats.column("removed_spans").to_pylist() == [0, 1, 1, 0]
    assert done.stats.column("removed_span_chars").to_pylist() == [0, len(f" {span} end"), len(span), 0]


def test_a_long_text_of_one_word_and_one_of_no_space():
    assert trimmed(["q " * 200_000], 50)[0].split() == ["q"] * 50
    assert trimmed(["x" * 5_000_000, "", " \n "], 50) == ["x" * 5_000_000, "", " \n "]


def test_patterns_that_break_rolling_hashes_do_not_collide():
    """Thue and Morse's word and its opposite have the same polynomial hash modulo 2^64, whatever the base."""
    word = [bin(i).count("1") % 2 for i in range(2048)]
    rows = [" ".join("ab"[w] for w in word), " ".join("ba"[w] for w in word)]
    assert trimmed(rows, 2048) == rows


@pytest.mark.parametrize("how", [{"min_tokens": 1}, {"frequency_threshold": 0}])
def test_settings_that_make_no_sense_are_refused(how):
    with pytest.raises(ValueError, match="min_tokens|frequency_threshold"):
        repeated_spans(pa.array([], pa.string()), **how)
