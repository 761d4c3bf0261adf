"""Units counted part by part, merged and cut out: against dictionaries, with hashes that collide on purpose."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.keep import kept
from tamis.operators.dedup.passages import repeated_lines, repeated_spans
from tamis.operators.dedup.repeats import UNIT, Counted, Frequent, count, from_column, merge, trim, unseen
from tamis.operators.kernels.units import Found
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

HASH = st.sampled_from([0, 1, 5, 2**63, 2**64 - 1])  # few of them, so that keys meet with another second half
ROWS = st.lists(st.lists(st.tuples(HASH, HASH), max_size=5), max_size=6)


def found(rows: list[list[tuple[int, int]]]) -> Found:
    bounds = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    key, check = (np.array([u[i] for row in rows for u in row], np.uint64) for i in (0, 1))
    nothing = np.zeros(len(key), np.int32)
    return Found(bounds, key, check, nothing, nothing, nothing)


def as_dict(told: Counted) -> dict[tuple[int, int], int]:
    assert told.key.tolist() == sorted(told.key.tolist())
    pairs = list(zip(told.key.tolist(), told.check.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == len(told)
    return dict(zip(pairs, told.count.tolist(), strict=True))


@settings(max_examples=100)
@given(st.lists(ROWS, max_size=4), st.booleans())
def test_units_are_counted_once_a_row_or_each_time(batches: list[list[list[tuple[int, int]]]], once: bool) -> None:
    expected = Counter(u for rows in batches for row in rows for u in (set(row) if once else row))
    assert as_dict(count([found(rows) for rows in batches], once)) == expected
    runs = [count([found(rows)], once) for rows in batches]
    merged, first = merge(runs)
    assert as_dict(merged) == expected
    where = {unit: next(i for i, run in enumerate(runs) if unit in as_dict(run)) for unit in expected}
    assert first.tolist() == [where[u] for u in zip(merged.key.tolist(), merged.check.tolist(), strict=True)]


@settings(max_examples=100)
@given(st.sets(st.tuples(HASH, HASH), max_size=10), ROWS)
def test_frequent_units_are_found_by_both_halves(frequent: set[tuple[int, int]], rows: list[list[tuple[int, int]]]) -> None:
    listed = sorted(frequent)
    table = Frequent(np.array([k for k, _ in listed], np.uint64), np.array([c for _, c in listed], np.uint64))
    got = table.find(found(rows)).tolist()
    assert got == [listed.index(u) if u in frequent else -1 for row in rows for u in row]


@given(st.lists(st.none() | st.text("ab\n", max_size=12), max_size=6), st.integers(0, 3), st.integers(0, 3))
def test_a_column_of_units_is_read_back_wherever_it_is_cut(rows: list[Any], skip: int, drop: int) -> None:
    column = repeated_lines(pa.array(rows, pa.string()), min_line_length=1)
    assert column.type == pa.list_(UNIT) and column.is_null().to_pylist() == [r is None for r in rows]
    part = column.slice(skip, max(0, len(rows) - skip - drop))
    units = from_column(part)
    told = part.to_pylist()
    assert np.diff(units.bounds).tolist() == [len(r or ()) for r in told]
    assert units.key.tolist() == [u["key"] for r in told for u in r or ()] and units.start.tolist() == [u["start"] for r in told for u in r or ()]


def test_nothing_is_nothing() -> None:
    assert len(count([], True)) == 0 and len(merge([])[0]) == 0 and merge([])[1].tolist() == []
    assert from_column(pa.array([], pa.list_(UNIT))).bounds.tolist() in ([], [0])
    text = pa.array(["a", None])
    made = trim(text, from_column(repeated_lines(text)), np.full(0, -1), unseen(np.zeros(0, bool)))
    assert made.text is text and made.points.tolist() == [0, 0] and made.pieces.tolist() == [0, 0]


def test_those_that_stay_once_stay_in_the_first_row_of_all_batches() -> None:
    batches = [pa.array(["x", "one\nx"]), pa.array(["two\ntwo", None, "one\ntwo\nend"])]
    units = [from_column(repeated_lines(b, min_line_length=1)) for b in batches]
    often, _ = merge([count([u], True) for u in units])
    table = Frequent(often.key[often.count > 1], often.check[often.count > 1])
    seen, left, at = unseen(np.ones(int((often.count > 1).sum()), bool)), [], 0
    for batch, unit in zip(batches, units, strict=True):
        made = trim(batch, unit, table.find(unit), seen, at)
        left += made.text.to_pylist()
        at += len(batch)
    assert left == ["x", "one", "two", None, "end"]


ASKED: list[tuple[dict[str, Any], str]] = [
    ({"min_line_length": 5}, "ab"), ({"skip_brackets": True}, "{};"), ({"skip_markdown_headers": True}, "# Menu"), ({"skip_latex_env": True}, "\\begin{table}"),
    ({"skip_latex_env": True}, "\\end{table}"), ({"skip_html_tags": True}, "<br/>"), ({"skip_html_tags": True}, "</div>"),
]


@pytest.mark.parametrize(("how", "line"), ASKED)
def test_a_line_is_exempt_by_its_own_setting_and_by_no_other(how: dict[str, Any], line: str) -> None:
    every = {"min_line_length": 1, "skip_brackets": False, "skip_markdown_headers": False, "skip_latex_env": False, "skip_html_tags": False}
    exempt = "min_line_length" not in how  # by default two characters are enough, brackets, headers, LaTeX and tags are not looked at
    for settings_, could_go in ((every, 2), (every | how, 1), ({}, 2 - exempt), (dict.fromkeys(how, False) if exempt else {}, 2)):
        assert [len(units) for units in repeated_lines(pa.array([f"{line}\nown text"]), **settings_).to_pylist()] == [could_go], settings_


@pytest.mark.parametrize(("documents", "goes"), [(6, False), (7, True)])
def test_by_default_a_line_stays_in_six_documents_and_goes_from_seven(documents: int, goes: bool) -> None:
    rows = [{"text": f"shared line\nown {i}\nshared line"} for i in range(documents)]
    left = apply([{"document_line_deduplicator": {}}], rows).table.column("text").to_pylist()
    assert left == ([f"own {i}" for i in range(documents)] if goes else [r["text"] for r in rows])


@pytest.mark.parametrize(("tokens", "goes"), [(49, False), (50, True)])
def test_by_default_a_run_of_fifty_tokens_goes_and_one_of_forty_nine_stays(tokens: int, goes: bool) -> None:
    run = " ".join(f"t{i}" for i in range(tokens))
    rows = [{"text": f"a {run} b"}, {"text": f"c {run} d"}, {"text": f"e {run}"}]
    left = apply([{"exact_substring_deduplicator": {}}], rows).table.column("text").to_pylist()
    assert left == ([rows[0]["text"], "c d", "e"] if goes else [r["text"] for r in rows])
    twice = apply([{"exact_substring_deduplicator": {"frequency_threshold": 3}}], rows).table.column("text").to_pylist()
    assert twice == [r["text"] for r in rows], "what occurs three times may"


def test_runs_of_characters_need_no_blanks() -> None:
    rows = ["東京は日本の首都です。", "大阪から東京は日本の首都ですと言う"]
    column = repeated_spans(pa.array(rows), min_tokens=5, tokenization="character")
    assert [len(r) for r in column.to_pylist()] == [len(r) - 4 for r in rows]
    done = apply([{"exact_substring_deduplicator": {"min_tokens": 5, "tokenization": "character"}}], [{"text": t} for t in rows])
    assert done.table.column("text").to_pylist() == [rows[0], "大阪からと言う"]


RULES: list[tuple[str, dict[str, Any], list[int]]] = [
    ("first", {}, [0, 0, 2, 0]), ("longest", {"length": np.array([1, 9, 5, 9])}, [1, 1, 2, 1]), ("best", {"score": np.array([0.1, np.nan, 0.0, 0.2])}, [3, 3, 2, 3]),
    ("oldest", {"date": np.array([np.nan, np.nan, 1.0, np.nan])}, [0, 0, 2, 0]),
]


@pytest.mark.parametrize(("rule", "columns", "expected"), RULES)
def test_of_a_cluster_one_row_stays_by_the_rule(rule: Any, columns: dict[str, Any], expected: list[int]) -> None:
    assert kept(np.array([0, 0, 2, 0]), rule=rule, **columns).tolist() == expected
    assert kept(np.empty(0, np.int64), rule=rule, **{k: v[:0] for k, v in columns.items()}).tolist() == []


def test_a_rule_that_is_none_is_found_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match="keep"):
        apply([{"document_deduplicator": {"keep": "newest"}}], [{"text": "a"}])
