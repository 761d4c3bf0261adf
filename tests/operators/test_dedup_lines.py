"""Repeated lines and paragraphs against plain Python, and Data-Juicer's recorded answers."""

import json
import re
import string
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.passages import repeated_lines
from tamis.pipeline.run import apply

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/document_line_deduplicator.jsonl").open()]
SPECIAL = re.compile(rf"\s+|\d+|[{re.escape(string.punctuation)}]")


def keyed(line, lowercase=False, special=False, shortest=2, brackets=True, headers=True, latex=True, html=True):
    """Data-Juicer's rule, by its expressions: what a line is compared by, or None where it is exempt."""
    bare = line.strip()
    if (len(bare) < shortest or (brackets and set(bare) <= set("{}[]();")) or (headers and bare.startswith("#"))
            or (latex and re.match(r"\\(begin|end)\{", bare)) or (html and re.match(r"</?[a-z][a-z0-9]*[^>]*>?\s*$", bare, re.I))):
        return None
    line = line.lower() if lowercase else line
    return (SPECIAL.sub("", line) if special else line).strip()


def plain(rows, threshold, keep_first=False, **how):
    told = [[keyed(line, **how) for line in row.split("\n")] if row else [] for row in rows]
    often = {k for k, n in Counter(k for keys in told for k in set(keys) - {None}).items() if n > threshold}
    seen = set()
    out = []
    for row, keys in zip(rows, told, strict=True):
        left = []
        for line, key in zip(row.split("\n") if row else [], keys, strict=True):
            if key not in often or (keep_first and key not in seen):
                left.append(line)
            seen.add(key)
        out.append("\n".join(left))
    return out


def trimmed(rows, **settings):
    """What is left of every row, by the whole path; a row that leaves is None."""
    done = apply([{"document_line_deduplicator": settings}], [{"n": i, "text": r} for i, r in enumerate(rows)])
    left = {r["n"]: r["text"] for r in done.table.to_pylist()}
    return [left.get(i) for i in range(len(rows))], done


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_the_answers_of_data_juicer(case):
    assert trimmed(case["texts"], **case["params"])[0] == case["answers"]


PIECE = st.sampled_from([
    "menu", "Menu", " menu ", "{ }", "{};", "# head", "\\begin{x}", "\\end{", "<div>", "</p >", "<ſ>", "<a>b", "<1>", "a1", "a 2!", "é", "ΣΑΣ", "İx",
    "", " ", "\r", "漢字", "ok\x00", "x" * 40, "\u2028z",
])
ROWS = st.lists(st.lists(PIECE, max_size=6).map("\n".join), min_size=1, max_size=8)


@settings(max_examples=60)
@given(ROWS, st.integers(1, 3), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_lines_are_those_of_the_definition(rows, threshold, lowercase, special, rules, keep_first):
    expected = plain(rows, threshold, keep_first, lowercase=lowercase, special=special, brackets=rules, headers=rules, latex=rules, html=rules)
    found, done = trimmed(
        rows, frequency_threshold=threshold, lowercase=lowercase, ignore_special_character=special, skip_brackets=rules,
        skip_markdown_headers=rules, skip_latex_env=rules, skip_html_tags=rules, keep_first=keep_first)
    for row, want, have in zip(rows, expected, found, strict=True):
        assert have == (None if want != row and not want.strip() else want)
    gone = done.ledger.to_pylist()
    assert all(r["reason"] == "emptied" and r["value"] > 0 for r in gone) and len(gone) == found.count(None)


def test_each_row_is_told_how_much_went():
    rows = [f"Menu | Home\nbody {i}\nfooter ©" for i in range(4)] + ["alone\nMenu | Home"]
    found, done = trimmed(rows, frequency_threshold=3)
    assert found == ["body 0", "body 1", "body 2", "body 3", "alone"]
    assert done.stats.column("removed_lines").to_pylist() == [2, 2, 2, 2, 1]
    assert done.stats.column("removed_line_chars").to_pylist() == [len("Menu | Home\n\nfooter ©")] * 4 + [len("\nMenu | Home")]
    facts = done.manifest["steps"][1]["facts"]
    assert facts == {"changed": 5, "units": 7, "frequent": 2, "more_than": 3, "removed_lines": 9, "removed_line_chars": 96}


def test_paragraphs_go_whole():
    note = "This is the licence.\nIt has two lines."
    rows = [f"{note}\n\nbody {i}\n \n{note}\n" for i in range(3)] + ["It has two lines.\n\nx y"]
    assert trimmed(rows, unit="paragraph", frequency_threshold=2)[0] == ["body 0", "body 1", "body 2", "It has two lines.\n\nx y"]
    kept = trimmed(rows, unit="paragraph", frequency_threshold=2, keep_first=True)[0]
    assert kept[0] == f"{note}\n\nbody 0" and kept[1:3] == ["body 1", "body 2"]


def test_a_share_of_the_documents_is_a_threshold_too():
    rows = [f"common line\nown {i}" for i in range(6)] + [f"rest {i}" for i in range(4)]
    assert trimmed(rows, frequency_ratio=0.6)[0] == rows
    assert trimmed(rows, frequency_ratio=0.5)[0] == [f"own {i}" for i in range(6)] + rows[6:]


def test_boilerplate_planted_in_real_text_goes_and_nothing_else(demo_corpus):
    rows = [json.loads(line)["text"] for line in demo_corpus.open()][:200]
    planted = [f"SUBSCRIBE to our newsletter today\n{row}\nAll rights reserved, Example Ltd" for row in rows]
    assert trimmed(planted, frequency_threshold=150)[0] == [r if r.strip() else None for r in rows]


@pytest.mark.parametrize("how", [{"frequency_threshold": 0}, {"frequency_ratio": 1.0}, {"frequency_ratio": -0.1}])
def test_thresholds_that_make_no_sense_are_refused(how):
    with pytest.raises(ValueError, match="frequency_"):
        repeated_lines(pa.array([], pa.string()), **how)
