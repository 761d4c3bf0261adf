"""One batch through the steps of a pass: what stays, every number, and every word of every ledger line."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators import base, catalog
from tamis.operators.base import COUNT, Range, declared
from tamis.pipeline import batch as batches
from tamis.pipeline import decide, ledger, steps
from tamis.pipeline.batch import Steps
from tamis.pipeline.errors import OperatorError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.resources import Pin
from tamis.pipeline.steps import Step

ANY = Range()


def rows(texts, first=0, **columns):
    """A batch as the corpus gives it: position i is row `first` + i, its id a hundred more."""
    n = len(texts)
    told = {
        ID: pa.array([100 + first + i for i in range(n)], pa.int64()), SOURCE: pa.array(["a.jsonl"] * n, pa.string()),
        POSITION: pa.array([first + i for i in range(n)], pa.int64()), "text": pa.array(texts, pa.string()),
    }
    return pa.RecordBatch.from_pydict(told | {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()})


def built(*process, text_keys=("text",), pins=None, **more):
    """The steps of a process list, as a recipe would build them."""
    made = []
    for number, entry in enumerate(process, 1):
        if isinstance(entry, Step):
            made.append(replace(entry, number=number))
            continue
        (name, given), = entry.items()
        step, wrong, _ = steps.build(number, name, given, "text")
        assert not wrong
        made.append(step)
    return Steps(tuple(made), pins or tuple(() for _ in made), text_keys, "r.yaml", **more)


def of(function, keep=ANY, **settings):
    """A step of an operator that a test has marked."""
    op = declared(function)
    return Step(0, op, settings, "text", keep if op.kind == "filter" else None, stats=op.stats)


def through(stage, *entered):
    outcomes = list(stage(entered))
    return outcomes[0] if len(entered) == 1 else outcomes


def positions(batch):
    return batch.column(POSITION).to_pylist()


def told(left, *names):
    return [tuple(r[n] for n in names) for r in left.to_pylist()]


@base.filter("lengths_filter", unit=COUNT, keep=Range(min=0))
def lengths(text):
    """Length; fails on a text with 'bad' in it, and tells of every call in `seen`."""
    seen.append(len(text))
    for t in text.to_pylist():
        if "bad" in t:
            raise ValueError(f"cannot measure {t!r}")
    return pa.array([len(t) for t in text.to_pylist()], pa.int64())


seen: list[int] = []


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()


# ---- ledger lines

@pytest.mark.parametrize(("settings", "texts", "expected"), [
    ({"min_len": 3}, ["ab", "abc"], [(0, "below_min", 2.0, "3 <= v")]),
    ({"min_len": 0, "max_len": 2}, ["ab", "abc"], [(1, "above_max", 3.0, "0 <= v <= 2")]),
    ({"min_len": 2, "min_closed_interval": False}, ["ab", "abc"], [(0, "below_min", 2.0, "2 < v")]),
    ({"min_len": 0, "max_len": 3, "max_closed_interval": False}, ["ab", "abc"], [(1, "above_max", 3.0, "0 <= v < 3")]),
    ({"min_len": None, "max_len": 2}, ["ab", "abc"], [(1, "above_max", 3.0, "v <= 2")]),
    ({"min_len": 2, "max_len": 4, "reversed_range": True}, ["ab", "abc", "abcd"], [(1, "in_reversed_range", 3.0, "not 2 < v < 4")]),
    ({"min_len": 2, "max_len": 2}, ["abc", "a", "ab"], [(0, "above_max", 3.0, "2 <= v <= 2"), (1, "below_min", 1.0, "2 <= v <= 2")]),
])
def test_a_line_says_which_number_left_which_range(settings, texts, expected):
    outcome = through(built({"text_length_filter": settings}), rows(texts))
    assert told(outcome.left, POSITION, "reason", "value", "bound") == expected
    assert set(told(outcome.left, ID, "step", "op", "stat", "kept_id", "note", "excerpt")) == {
        (100 + i, 1, "text_length_filter", "text_len", None, None, texts[i]) for i, *_ in expected}
    assert positions(outcome.rows) == [i for i in range(len(texts)) if i not in {e[0] for e in expected}]
    assert outcome.left.schema == ledger.SCHEMA


def test_an_excerpt_is_the_first_160_code_points_of_the_first_text_column():
    stage = built({"text_length_filter": {"min_len": 9, "text_key": "title"}}, text_keys=("text", "title"))
    left = through(stage, rows(["é" * 200, "x"], title=["short", "long enough"])).left
    assert told(left, "stat", "value", "excerpt") == [("text_len", 5.0, "é" * 160)]


class Answers:
    """A language model that knows a few texts."""

    def predict(self, text):
        return {"yes": ("en", 0.9), "oui": ("fr", 0.8), "low": ("en", 0.1)}.get(text, ("xx", 0.5))


@pytest.mark.parametrize(("wanted", "bound"), [("en", "lang in en"), (["en", "fr"], "lang in en, fr"), (["en", ""], "lang in en")])
def test_a_label_that_is_not_wanted_leaves_before_the_number_is_looked_at(monkeypatch, wanted, bound):
    pin = Pin("model", "language_model", "nowhere", "")
    monkeypatch.setattr(batches.resources, "load", lambda pins: {p.keyword: Answers() for p in pins})
    stage = built({"language_id_score_filter": {"lang": wanted, "min_score": 0.5}}, pins=((pin,),))
    outcome = through(stage, rows(["yes", "oui", "low", "???"]))
    lines = {r[POSITION]: r for r in outcome.left.to_pylist()}
    gone = {3, 2} | ({1} if "fr" not in wanted else set())
    assert set(lines) == gone
    assert [(lines[3][k]) for k in ("reason", "stat", "value", "bound", "note")] == ["not_member", "lang", None, bound, "lang is xx"]
    assert [(lines[2][k]) for k in ("reason", "stat", "value", "bound")] == ["below_min", "lang_score", 0.1, "0.5 <= v"]
    assert outcome.stats.column("lang").to_pylist() == ["en", "fr", "en", "xx"]


def test_without_wanted_labels_only_the_number_decides(monkeypatch):
    monkeypatch.setattr(batches.resources, "load", lambda pins: {p.keyword: Answers() for p in pins})
    stage = built({"language_id_score_filter": {"min_score": 0.5}}, pins=((Pin("model", "language_model", "nowhere", ""),),))
    assert positions(through(stage, rows(["yes", "oui", "low", "???"])).rows) == [0, 1, 3]


@base.filter("gaps_filter", unit=COUNT, keep=Range(min=2))
def gaps(text):
    """Length, or null for a text that begins with '-'."""
    return pa.array([None if t.startswith("-") else len(t) for t in text.to_pylist()], pa.int64())


def test_a_row_without_a_number_leaves_as_such():
    left = through(built(of(gaps, Range(min=2))), rows(["-abc", "a", "abc"])).left
    assert told(left, POSITION, "reason", "stat", "value", "bound") == [(0, "no_number", "gaps", None, "2 <= v"), (1, "below_min", "gaps", 1.0, "2 <= v")]


def test_broken_and_empty_rows_leave_at_reading():
    errors = pa.array([None, "a.jsonl, line 2: not JSON", None], pa.string())
    entered = rows(["abc", None, None], title=["t", None, "t"], __error__=errors)
    outcome = through(built({"text_length_filter": {"min_len": 1}}, text_keys=("text", "title")), entered)
    assert told(outcome.left, POSITION, "step", "op", "reason", "stat", "note") == [
        (1, 0, "read", "error", None, "a.jsonl, line 2: not JSON"), (2, 0, "read", "null_text", "text", None)]
    assert outcome.rows.schema.names == [ID, SOURCE, POSITION, "text", "title"]
    assert outcome.stats.column("text_len").to_pylist() == [3, None, None]


# ---- features, compaction, numbers

@pytest.fixture
def counted(monkeypatch):
    """How often the feature `words` is computed, and over how many rows."""
    op, calls = catalog.by_name("words"), []
    monkeypatch.setitem(batches._FEATURES, "words", replace(op, function=lambda text: calls.append(len(text)) or op.function(text)))
    return calls


def words_step(low, high=1.0, **more):
    return {"stopwords_filter": {"min_ratio": low, "max_ratio": high, **more}}


@pytest.fixture
def listed(monkeypatch):
    words = {"stopwords": frozenset({"the", "of"}), "flagged_words": frozenset({"damn"})}
    monkeypatch.setattr(batches.resources, "load", lambda pins: {p.keyword: words[p.kind] for p in pins})
    return (Pin("stopwords", "stopwords", "", ""),), (Pin("flagged_words", "flagged_words", "", ""),)


def test_a_feature_is_computed_once_for_all_that_ask(counted, listed):
    stop, flagged = listed
    stage = built(words_step(0.0), {"flagged_words_filter": {}}, words_step(0.0), pins=(stop, flagged, stop))
    stage = replace(stage, steps=(*stage.steps[:2], replace(stage.steps[2], stats=("again",))))
    entered = rows(["the cat of the house", "damn", "a b"])
    counted.clear()
    outcomes = list(stage([entered, entered]))
    assert [c for c in counted if c] == [3, 3], "once a batch"
    assert outcomes[0].stats.column("stopwords_ratio").to_pylist() == outcomes[0].stats.column("again").fill_null(0.0).to_pylist() == [0.6, 0.0, 0.0]
    assert outcomes[0].stats.column("again").null_count == 1, "one had left for its flagged word"


def test_a_mapper_makes_features_of_its_column_anew_and_of_no_other(counted, listed):
    stop, _ = listed
    title = words_step(0.0, text_key="title")
    stage = built(words_step(0.0), title, {"whitespace_normalization_mapper": {}}, words_step(0.0), title, pins=(stop, stop, (), stop, stop))
    names = iter("abcd")
    stage = replace(stage, steps=tuple(replace(s, stats=(next(names),)) if s.stats else s for s in stage.steps))
    outcome = through(stage, rows([" the\u00a0cat "], title=["the of"]))
    assert [c for c in counted if c] == [1, 1, 1], "text, title, text again"
    numbers = [outcome.stats.column(n)[0].as_py() for n in "abcd"]
    assert numbers == [0.0, 1.0, 0.5, 1.0], "a no-break space parts no words until it is a space"
    assert outcome.rows.column("text").to_pylist() == ["the cat"] and outcome.changed == {3: 1}


def test_after_a_filter_only_the_rows_that_stay_are_worked_on(counted, listed):
    stop, _ = listed
    texts = ["the cat", "x", "of of of", "y", "the the damn"]
    alone = through(built(words_step(0.0), pins=(stop,)), rows(texts)).stats.column("stopwords_ratio").to_pylist()
    stage = built(words_step(0.0), {"text_length_filter": {"min_len": 2}}, of(lengths), words_step(0.9), pins=(stop, (), (), stop))
    stage = replace(stage, steps=(*stage.steps[:3], replace(stage.steps[3], stats=("again",))))
    counted.clear(), seen.clear()
    outcome = through(stage, rows(texts))
    assert [c for c in counted if c] == [5] and [s for s in seen if s] == [3]
    assert outcome.stats.column("again").to_pylist() == [alone[0], None, alone[2], None, alone[4]], "the feature shrinks with its rows"
    assert positions(outcome.rows) == [2]


def test_numbers_of_all_rows_in_order_null_after_leaving():
    stage = built({"text_length_filter": {"min_len": 2}}, {"words_num_filter": {"min_num": 2}}, {"alphanumeric_filter": {"min_ratio": 0.9}})
    outcome = through(stage, rows(["a", "a b", "ab", "a1 b2"]))
    assert outcome.stats.to_pydict() == {
        ID: [100, 101, 102, 103], SOURCE: ["a.jsonl"] * 4, POSITION: [0, 1, 2, 3],
        "text_len": [1, 3, 2, 5], "num_words": [None, 2, 1, 2], "alnum_ratio": [None, 2 / 3, None, 0.8]}
    assert len(outcome.rows) == 0 and told(outcome.left, POSITION, "step") == [(0, 1), (2, 2), (1, 3), (3, 3)]


def test_types_do_not_depend_on_whether_anyone_gets_there():
    stage = built({"text_length_filter": {"min_len": 9}}, {"alphanumeric_filter": {}}, {"fix_unicode_mapper": {}}, of(lengths))
    none, some = through(stage, rows(["a"]), rows(["a" * 10]))
    assert none.stats.schema == some.stats.schema == stage.stats_schema()
    assert none.rows.schema == some.rows.schema
    assert [s for s in seen if s] == [1], "an operator is not called for nobody"


def test_without_deciding_every_row_has_every_number():
    process = {"text_length_filter": {"min_len": 5}}, {"words_num_filter": {"min_num": 5}}
    outcome = through(built(*process, decide=False), rows(["a", "b c"]))
    assert len(outcome.left) == 0 and positions(outcome.rows) == [0, 1]
    assert outcome.stats.column("num_words").to_pylist() == [1, 2]


@given(st.lists(st.text(alphabet="ab .-!é", max_size=12), max_size=24), st.lists(st.integers(1, 7), min_size=1, max_size=24))
def test_batch_borders_change_nothing(texts, cuts):
    stage = built({"whitespace_normalization_mapper": {}}, {"text_length_filter": {"min_len": 2, "max_len": 9}}, of(gaps, Range(min=0)),
                  {"alphanumeric_filter": {"min_ratio": 0.2, "max_ratio": 0.9}})
    whole = through(stage, rows(texts))
    parts, start = [], 0
    while start < len(texts):
        size = cuts[len(parts) % len(cuts)]
        parts.append(rows(texts[start : start + size], first=start))
        start += size
    outcomes = list(stage(parts))
    for side in ("rows", "stats", "left"):
        pieces = [r for o in outcomes for r in getattr(o, side).to_pylist()]
        assert sorted(pieces, key=lambda r: r[ID]) == sorted(getattr(whole, side).to_pylist(), key=lambda r: r[ID])
    assert len(whole.rows) + len(whole.left) == len(texts)


# ---- failing operators

@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_halving_finds_exactly_the_failing_rows(planted):
    n, bad = planted
    seen.clear()
    texts = [f"bad {i}" if i in bad else f"good {i}" for i in range(n)]
    outcome = through(built(of(lengths), {"text_length_filter": {"min_len": 1}}, tolerate=True), rows(texts))
    assert {r[POSITION]: (r["step"], r["reason"], r["note"], r["excerpt"]) for r in outcome.left.to_pylist()} == {
        i: (1, "error", f"cannot measure 'bad {i}'", f"bad {i}") for i in bad}
    assert positions(outcome.rows) == [i for i in range(n) if i not in bad]
    assert outcome.stats.column("lengths").to_pylist() == [None if i in bad else len(texts[i]) for i in range(n)]
    assert len(seen) <= 3 + 2 * len(bad) * (1 + int(np.ceil(np.log2(n))))


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_when_it_stops_it_names_the_first_failing_row(planted):
    n, bad = planted
    texts = [f"bad {i}" if i in bad else "good" for i in range(n)]
    with pytest.raises(OperatorError) as e:
        through(built({"text_length_filter": {"min_len": 1}}, of(lengths)), rows(texts))
    first = min(bad)
    assert str(e.value) == f"r.yaml, step 2 (lengths_filter), a.jsonl at {first}: cannot measure 'bad {first}'"


@base.mapper("together_mapper")
def together(text):
    """Fails where it sees two rows or more."""
    if len(text) > 1:
        raise ValueError("two are too many")
    return text


def test_what_fails_only_together_stops_even_where_rows_may_be_set_aside():
    with pytest.raises(OperatorError, match=r"step 1 \(together_mapper\), a\.jsonl at 0: two are too many"):
        through(built(of(together), tolerate=True), rows(["a", "b", "c"]))


def test_a_failing_feature_is_the_fault_of_its_row(monkeypatch, listed):
    op = catalog.by_name("words")

    def fussy(text):
        if "bad" in text.to_pylist():
            raise ValueError("no words")
        return op.function(text)

    monkeypatch.setitem(batches._FEATURES, "words", replace(op, function=fussy))
    process, pins = (words_step(0.0), of(lengths)), (listed[0], ())
    outcome = through(built(*process, pins=pins, tolerate=True), rows(["the", "bad", "of"]))
    assert told(outcome.left, POSITION, "op", "reason", "note") == [(1, "stopwords_filter", "error", "no words")]
    assert outcome.stats.column("stopwords_ratio").to_pylist() == [1.0, None, 1.0]
    with pytest.raises(OperatorError, match="a.jsonl at 1: no words"):
        through(built(*process, pins=pins), rows(["the", "bad", "of"]))


# ---- columns of the user's

def test_a_column_called_like_a_feature_does_not_stand_in_for_it(listed):
    outcome = through(built(words_step(0.5), pins=(listed[0],)), rows(["the of", "cat"], words=[7, 8], text_len=[1, 2]))
    assert outcome.stats.column("stopwords_ratio").to_pylist() == [1.0, 0.0]
    assert outcome.rows.column("words").to_pylist() == [7] and outcome.rows.column("text_len").to_pylist() == [1]


@pytest.mark.parametrize("step", [{"text_length_filter": {"text_key": "title"}}, {"fix_unicode_mapper": {"text_key": "title"}}], ids=str)
@pytest.mark.parametrize("title", [None, pa.nulls(2), pa.array([None, None], pa.string())], ids=["absent", "of type null", "null"])
def test_a_batch_in_which_no_row_has_the_column_leaves_as_null(step, title):
    columns = {} if title is None else {"title": title}
    outcome = through(built(step), rows(["a", "b"], **columns))
    assert told(outcome.left, "step", "reason", "stat", "excerpt") == [(1, "null_text", "title", "a"), (1, "null_text", "title", "b")]
    assert outcome.rows.schema == rows(["a", "b"], **columns).schema


@pytest.mark.parametrize(("column", "what"), [
    (pa.array([1, 2]), "a number"), (pa.array([{"a": 1}, None]), "an object"), (pa.array([["a"], []]), "a list"),
    (pa.array([True, None]), "true/false"), (pa.array([b"a", b"b"]), "binary"),
], ids=str)
def test_a_column_that_is_no_text_is_refused_by_name(column, what):
    with pytest.raises(OperatorError, match=rf"r\.yaml, step 1 \(text_length_filter\), a\.jsonl at 0: column 'x' is {what}, not text"):
        through(built({"text_length_filter": {"text_key": "x"}}, tolerate=True), rows(["a", "b"], x=column))


def test_a_mapper_of_another_column_leaves_the_text_alone():
    outcome = through(built({"whitespace_normalization_mapper": {"text_key": "title"}}), rows([" a "], title=[" b "]))
    assert outcome.rows.column("text").to_pylist() == [" a "] and outcome.rows.column("title").to_pylist() == ["b"]


def test_reasons_know_open_and_closed_ends():
    values = pa.array([1.0, 2.0, 3.0])
    assert decide.reasons(Range(min=2, min_closed=False), values).to_pylist()[:2] == ["below_min", "below_min"]
    assert decide.reasons(Range(min=2, max=2.5), values).to_pylist()[::2] == ["below_min", "above_max"]
    assert decide.reasons(Range(min=0, max=9, reverse=True), values).to_pylist() == ["in_reversed_range"] * 3
