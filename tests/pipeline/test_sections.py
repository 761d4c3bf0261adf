"""The sections of a report, each from files written by hand: which rows are shown, and what is said of them."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators.base import Range
from tamis.pipeline import ledger, steps
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.reporting import choice, duplicates, filters, shelf, steps_table
from tamis.pipeline.reporting.numbers import Reached, Spread
from tamis.pipeline.reporting.shelf import Example, Shelf, by_chance
from tamis.pipeline.workspace import StageFolder, write_table


def built(name: str, number: int = 1, **given: Any) -> steps.Step:
    step, wrong, _ = steps.build(number, name, given, "text")
    assert step is not None and not wrong
    return step


def told(step: steps.Step, rows_in: int, left: dict[str, int], facts: dict[str, Any] | None = None) -> dict[str, Any]:
    out = rows_in - sum(left.values())
    return {"step": step.number, "op": step.name, "stage": 1, "rows_in": rows_in, "rows_out": out, "left": left, "facts": facts or {}}


# ---- examples

def test_examples_find_their_place_and_how_they_begin_wherever_they_left(tmp_path):
    """Row 1 left at the first stage, row 2 at the second, row 3 stays, row 4 stays without a text, row 5 is not asked for."""
    rows, narrow = StageFolder(tmp_path / "a"), StageFolder(tmp_path / "b")
    keys = {ID: [1, 2, 3, 4, 5], SOURCE: ["s"] * 5, POSITION: [0, 10, 20, 30, 40]}
    write_table(rows.file("stats", 0), pa.table(keys))
    write_table(rows.path / "rows/part-00000-000.parquet", pa.table({ID: [2, 3, 4, 5], "text": ["two", "three" * 50, None, "five"]}))
    write_table(rows.file("ledger", 0), pa.Table.from_pylist([{ID: 1, "excerpt": "one"}], ledger.SCHEMA))
    write_table(narrow.file("ledger", 0), pa.Table.from_pylist([{ID: 2, "excerpt": "two, as it left"}], ledger.SCHEMA))
    held = Shelf()
    asked = [held.take(3), held.take(1, 2.5, "why"), held.take(2), held.take(4), held.take(99)]
    held.fill([rows, narrow], "text")
    assert [(e.where, e.excerpt) for e in asked] == [
        ("s:20", ("three" * 50)[:160]), ("s:0", "one"), ("s:10", "two, as it left"), ("s:30", ""), ("", "")]
    assert asked[1] == Example(1, 2.5, "why", "s:0", "one")


def test_no_examples_and_no_rows_read_nothing(tmp_path):
    Shelf().fill([StageFolder(tmp_path)], "text")
    held = Shelf()
    held.take(1)
    held.fill([StageFolder(tmp_path / "nowhere")], "text")
    assert held.examples == [Example(1)]


def test_parts_come_in_order(tmp_path):
    made = StageFolder(tmp_path)
    for part in (11, 2, 100):
        write_table(made.file("stats", part), pa.table({"x": [1]}))
    assert [shelf.part_number(p) for p in shelf.parts(made, "stats")] == [2, 11, 100]


# ---- filters

def reached(values: list[float], left: list[bool]) -> Reached:
    return Reached(np.arange(100, 100 + len(values)), np.array(values, float), np.array(left))


def test_rows_at_the_border_are_the_nearest_on_either_side():
    rows = reached([1, 4.5, 4.9, 5, 5.2, 9, np.nan], [True, True, True, False, False, False, True])
    held = Shelf()
    near = filters._nearest(rows, [5.0], rows.left, held)
    assert [(e.id, e.value) for e in near] == [(102, 4.9), (101, 4.5)]
    near = filters._nearest(rows, [5.0], ~rows.left, held)
    assert [(e.id, e.value) for e in near] == [(103, 5.0), (104, 5.2)]


def test_the_nearer_of_two_bounds_counts_and_equal_distances_are_drawn_by_chance():
    rows = reached([0, 3, 10, 13, 20], [True, False, False, True, True])
    assert [e.id for e in filters._nearest(rows, [2.0, 12.0], rows.left, Shelf())] == [103, 100]
    same = reached([7.0] * 20 + [0.0], [False] * 20 + [True])
    chosen = [e.id for e in filters._nearest(same, [5.0], ~same.left, Shelf())]
    assert chosen == same.ids[:20][by_chance(same.ids[:20], 2)].tolist()


def test_no_border_is_shown_where_none_is_drawn_or_nobody_left():
    rows = reached([1, 2], [True, False])
    assert filters._nearest(rows, [], rows.left, Shelf()) == []
    assert filters._nearest(reached([1, 2], [False, False]), [1.5], np.array([True, True]), Shelf()) == []
    assert filters._nearest(reached([np.nan], [True]), [1.5], np.array([True]), Shelf()) == []


def test_rows_that_left_are_drawn_by_their_ids_three_at_most_and_a_missing_number_is_none():
    rows = reached([1, 2, np.nan, 4, 5, 6], [True, True, True, True, False, False])
    gone = filters._gone(rows, Shelf())
    assert [e.id for e in gone] == rows.ids[:4][by_chance(rows.ids[:4], 3)].tolist()
    assert all((e.value is None) == (e.id == 102) for e in filters._gone(reached([1, 2, np.nan], [True] * 3), Shelf()))


def test_a_filter_s_view(tmp_path):
    step = built("text_length_filter", min_len=5, max_len=50)
    folder = StageFolder(tmp_path)
    write_table(folder.file("stats", 0), pa.table({ID: [1, 2, 3, 4], "text_len": [3, 7, 70, None]}))
    write_table(folder.file("ledger", 0), pa.Table.from_pylist(
        [{ID: 1, "step": 1}, {ID: 3, "step": 1}, {ID: 4, "step": 1}], ledger.SCHEMA))
    plan: Any = SimpleNamespace(stages=[SimpleNamespace(index=1, steps=(step, built("fix_unicode_mapper", 2)))])
    manifest = {"steps": [told(step, 4, {"below_min": 1, "above_max": 1, "no_number": 1})]}
    view, = filters.views(manifest, plan, {1: folder}, Shelf())
    assert (view.stays, view.stat, view.unit, view.members) == ("5 to 50", "text_len", "code points", None)
    assert (view.spread.count, view.spread.nulls, view.spread.min, view.spread.max) == (4, 1, 3, 70)
    assert "Histogram of text_len: 4 rows, 3 left" in str(view.picture) and str(view.picture).count('class="bound"') >= 2
    assert {e.id for e in view.gone} == {1, 3, 4} and [e.id for e in view.near_left] == [1, 3] and [e.id for e in view.near_stays] == [2]
    assert view.note == "1 rows have no number and are not drawn"


def test_filters_are_viewed_alike_together_and_one_at_a_time(tmp_path, monkeypatch):
    made = [built("text_length_filter", min_len=5), built("words_num_filter", 2, min_num=2), built("alphanumeric_filter", 3)]
    folder = StageFolder(tmp_path)
    write_table(folder.file("stats", 0), pa.table(
        {ID: [1, 2, 3, 4], "text_len": [3, 7, 70, 9], "num_words": [None, 1, 9, 3], "alnum_ratio": [None, None, 0.5, 0.1]}))
    write_table(folder.file("ledger", 0), pa.Table.from_pylist([{ID: 1, "step": 1}, {ID: 2, "step": 2}, {ID: 4, "step": 3}], ledger.SCHEMA))
    plan: Any = SimpleNamespace(stages=[SimpleNamespace(index=1, steps=tuple(made))])
    manifest = {"steps": [told(step, 4 - i, {"below_min": 1}) for i, step in enumerate(made)]}
    together = [*filters.views(manifest, plan, {1: folder}, Shelf())]
    monkeypatch.setattr(filters, "HELD", 1)
    alone = [*filters.views(manifest, plan, {1: folder}, Shelf())]
    assert alone == together and [v.spread.count for v in together] == [4, 3, 2]
    assert [[e.id for e in v.gone] for v in together] == [[1], [2], [4]]


def test_a_note_says_what_the_picture_does_not():
    log, plain = SimpleNamespace(log=True), SimpleNamespace(log=False)
    assert filters._note(log, Spread(9, 0)) == "the axis is logarithmic" and filters._note(plain, Spread(9, 0)) == ""
    assert filters._note(log, Spread(9000, 3000)) == "the axis is logarithmic; 3,000 rows have no number and are not drawn"


# ---- duplicates

def clusters(folder: Path, groups: list[list[int]], similarity: dict[int, float | None], notes: dict[int, str] | None = None) -> duplicates.DedupView:
    """The view of clusters whose first row is kept."""
    made = StageFolder(folder)
    rows = [(row, i, group[0]) for i, group in enumerate(groups) for row in group]
    write_table(made.path / "clusters.parquet", pa.table(
        {ID: [r[0] for r in rows], "cluster": [r[1] for r in rows], "kept_id": [r[2] for r in rows]}, pa.schema([(n, pa.int64()) for n in (ID, "cluster", "kept_id")])))
    gone = [row for group in groups for row in group[1:]]
    write_table(made.path / "decisions.parquet", pa.table({
        ID: pa.array(gone, pa.int64()), "value": pa.array([similarity[g] for g in gone], pa.float64()),
        "note": pa.array([(notes or {}).get(g) for g in gone], pa.string())}))
    step = built("document_deduplicator")
    plan: Any = SimpleNamespace(stages=[SimpleNamespace(index=1, kind="dedup", steps=(step,)), SimpleNamespace(index=2, kind="rows", steps=())])
    view, = duplicates.views({"steps": [told(step, 50, {"duplicate": len(gone)})]}, plan, {1: made}, Shelf())
    return view


def test_the_largest_clusters_come_first_with_the_row_that_stays_and_how_alike_the_others_are(tmp_path):
    groups = [[30, 31], [10, 11, 12, 13, 14], [20, 21, 22], [40, 41, 42]]
    view = clusters(tmp_path, groups, {row: row / 100 for group in groups for row in group}, {21: "chained"})
    assert (view.clusters, view.rows, view.largest) == (4, 13, 5)
    assert [c.size for c in view.shown] == [5, 3, 3, 2] and [c.kept.id for c in view.shown] == [10, 20, 40, 30]
    assert {c.kept.label for c in view.shown} == {"stays"}
    assert len(view.shown[0].members) == 3 and {m.id for m in view.shown[0].members} <= {11, 12, 13, 14}
    assert {m.id: m.label for m in view.shown[1].members} == {21: "0.210, linked through others", 22: "0.220"}
    assert view.similarity is not None and "Similarity of the rows that left" in str(view.similarity)


def test_five_clusters_are_shown_at_most(tmp_path):
    view = clusters(tmp_path, [[10 * i, 10 * i + 1] for i in range(1, 8)], {10 * i + 1: 0.9 for i in range(1, 8)})
    assert [c.kept.id for c in view.shown] == [10, 20, 30, 40, 50] and view.clusters == 7


@pytest.mark.parametrize(("similarity", "label"), [(1.0, "1.000"), (None, "not verified")])
def test_where_keys_alone_decide_no_similarity_is_drawn(tmp_path, similarity, label):
    view = clusters(tmp_path, [[1, 2]], {2: similarity})
    assert view.similarity is None and [m.label for m in view.shown[0].members] == [label]


def test_no_duplicates_are_a_view_too(tmp_path):
    view = clusters(tmp_path, [], {})
    assert (view.clusters, view.rows, view.largest, view.shown, view.similarity) == (0, 0, 0, [], None)


@pytest.mark.parametrize(("sizes", "labels"), [
    ([2, 2, 3], ["2 rows", "3 rows"]), ([2], ["2 rows"]), ([7], ["2 rows", "3 rows", "6–10 rows"]), ([], ["2 rows"]),
    ([4, 5, 6, 10, 11, 20, 21, 50, 51, 100, 101, 1000, 1001], ["2 rows", "3 rows", "4–5 rows", "6–10 rows", "11–20 rows", "21–50 rows", "51–100 rows", "101–1000 rows", "over 1,000"]),
])
def test_clusters_by_size(sizes, labels):
    picture = str(duplicates._sizes(np.array(sizes, int)))
    assert re.findall(r'class="label"[^>]*>([^<]*)<', picture) == labels
    counts = [int(n) for n in re.findall(r'class="tick"[^>]*>(\d+)<', picture)]
    assert sum(counts) == len(sizes)


# ---- selection

def choose(folder: Path, facts: dict[str, Any], **columns: Any) -> choice.ChoiceView:
    made = StageFolder(folder)
    write_table(made.path / "selection.parquet", pa.table(columns))
    step = built("random_selector")
    plan: Any = SimpleNamespace(stages=[SimpleNamespace(index=1, kind="rows", steps=()), SimpleNamespace(index=2, kind="select", steps=(step,))])
    view, = choice.views({"steps": [told(step, 9, {"not_selected": 1}, facts)]}, plan, {2: made}, Shelf())
    return view


def test_a_choice_without_clusters_shows_its_first_picks(tmp_path):
    view = choose(tmp_path, {"left": 2.0, "note_one": "words", "lists": [1]}, **{
        ID: list(range(10, 26)), "picked": [True] * 14 + [False] * 2, "order": [*range(13, -1, -1), -1, -1]})
    assert [(name, e.id) for name, e in view.shown] == [(f"pick {i}", 24 - i) for i in range(1, choice.SHOWN + 1)]
    assert view.facts == [("left", "2"), ("note one", "words")] and view.picture is None and view.clusters == 0
    assert "uniformly" in view.summary


def test_clusters_come_largest_first_and_show_a_typical_row(tmp_path):
    view = choose(tmp_path, {}, **{
        ID: [1, 2, 3, 4, 5, 6], "picked": [False, True, True, False, True, False], "order": [-1, 2, 0, -1, 1, -1], "cluster": [7, 7, 7, 8, 8, 9]})
    assert [(name, e.id, e.value) for name, e in view.shown] == [("cluster 7: 2 of 3", 3, None), ("cluster 8: 1 of 2", 5, None), ("cluster 9: 0 of 1", 6, None)]
    assert view.clusters == 3 and view.hidden == 0 and 'class="bound"' not in str(view.picture)


def test_a_typical_row_is_the_nearest_to_the_centre(tmp_path):
    view = choose(tmp_path, {}, **{ID: [5, 4, 3], "picked": [True] * 3, "order": [0, 1, 2], "cluster": [0] * 3, "distance": [np.nan, 0.25, 0.25]})
    assert [(e.id, e.value) for _, e in view.shown] == [(3, 0.25)]


def test_many_clusters_are_drawn_in_part_and_the_rest_is_counted(tmp_path):
    n = choice.CLUSTERS + 3
    view = choose(tmp_path, {"quotas": [1.0] * n}, **{ID: list(range(n)), "picked": [True] * n, "order": list(range(n)), "cluster": list(range(n))})
    assert (view.clusters, view.hidden, len(view.shown)) == (n, 3, choice.SHOWN)
    assert str(view.picture).count('class="pale"') == str(view.picture).count('class="bound"') == choice.CLUSTERS


@pytest.mark.parametrize(("more", "drawn"), [({"quotas": [1.0, 2.0]}, True), ({"quotas": [1.0]}, False), ({"quotas": 3}, False), ({}, False)])
def test_quotas_are_drawn_where_there_is_one_of_each_cluster(tmp_path, more, drawn):
    view = choose(tmp_path, more, **{ID: [1, 2], "picked": [True, True], "order": [0, 1], "cluster": [0, 1]})
    assert ('class="bound"' in str(view.picture)) is drawn


def test_quotas_in_tokens_and_noise_have_no_mark():
    assert choice._quotas({"facts": {"quotas": [1, 2]}, "select_tokens": 5}, np.array([0, 1])) is None
    assert choice._quotas({"facts": {"quotas": [1, 2]}}, np.array([-1, 1])) is None
    assert choice._quotas({"facts": {"quotas": [1, 2, 3]}}, np.array([0, 2])) == [1.0, 3.0]


def test_bars_of_clusters_are_to_scale_and_in_two_columns_when_many():
    picture = str(choice._clusters([(4, 10, 5, 8.0), (6, 5, 5, None)], width=394))
    assert [float(w) for w in re.findall(r'class="pale"[^>]* width="([\d.]+)"', picture)] == [200, 100]
    assert [float(w) for w in re.findall(r'class="stays"[^>]* width="([\d.]+)"', picture)] == [100, 100]
    assert re.findall(r'class="bound" x1="([\d.]+)"', picture) == ["204.0"]
    assert "5 of 10, 50.0%" in picture and "5 of 5, 100%" in picture and "cluster 4: 10 rows" in picture
    one, two = ({float(x) for x in re.findall(r'class="pale" x="([\d.]+)"', str(choice._clusters([(i, 1, 1, None) for i in range(n)])))} for n in (8, 9))
    assert one == {44.0} and two == {44.0, 564.0}
    assert 'viewBox="0 0 1040 103"' in str(choice._clusters([(i, 1, 1, None) for i in range(9)]))  # five deep
    assert choice._clusters([(0, 0, 0, None)])


# ---- the table of steps

def test_what_was_asked_beyond_the_defaults():
    assert steps_table.differing(built("text_length_filter", min_len=3), "text") == []
    assert steps_table.differing(built("text_length_filter", text_key="title"), "text") == [("text_key", "title")]
    assert steps_table.differing(built("document_deduplicator", lowercase=True, keep="longest"), "text") == [("lowercase", "true"), ("keep", "longest")]
    assert steps_table.differing(built("document_deduplicator", keep="first"), "text") == []
    assert steps_table.differing(built("random_selector", select_num=0), "text") == [("select_num", "0")]
    assert steps_table.differing(built("word_repetition_filter", rep_len=3), "text") == [("rep_len", "3")]


def test_each_step_is_a_line():
    length, mapper, chosen = built("text_length_filter", max_len=50), built("fix_unicode_mapper", 2), built("random_selector", 3, select_num=5)
    plan: Any = SimpleNamespace(stages=[SimpleNamespace(steps=(length, mapper)), SimpleNamespace(steps=(chosen,))], recipe=SimpleNamespace(text_keys=["text"]))
    read = {"step": 0, "op": "read", "rows_in": 12, "rows_out": 10, "left": {"error": 2}, "facts": {}}
    lines = steps_table.views({"steps": [read, told(length, 10, {"below_min": 3}), told(mapper, 7, {}, {"changed": 1200}), told(chosen, 7, {"not_selected": 2})]}, plan)
    assert [(v.number, v.op, v.stays, v.rows_in, v.rows_out, v.left, v.share, v.reasons) for v in lines] == [
        (0, "read", "", 12, 10, 2, "16.7%", "2 error"), (1, "text_length_filter", "10 to 50", 10, 7, 3, "30.0%", "3 below the minimum"),
        (2, "fix_unicode_mapper", "", 7, 7, 0, "", "1,200 texts changed"), (3, "random_selector", "", 7, 5, 2, "28.6%", "2 not selected")]
    assert [v.asked for v in lines] == [[], [], [], [("select_num", "5")]]
    assert length.keep == Range(10, 50)


@pytest.mark.parametrize(("left", "facts", "words"), [
    ({}, {}, ""), ({}, {"changed": 1}, "1 texts changed"), ({"emptied": 2}, {"changed": 5}, "2 nothing left"),
    ({}, {"frequent": 3, "changed": 0}, "3 passages stand too often; 0 texts shortened"),
    ({"emptied": 2}, {"frequent": 0, "changed": 5}, "2 nothing left; 0 passages stand too often; 5 texts shortened"),
])
def test_what_a_step_did(left, facts, words):
    assert steps_table._what({"left": left, "facts": facts}) == words


def test_broken_rows_are_listed_up_to_a_number_step_by_step(tmp_path):
    folders = {}
    for stage, steps_there in ((1, [(0, 15), (1, 4)]), (2, [(5, 9)])):
        folders[stage] = StageFolder(tmp_path / str(stage))
        lines = [{SOURCE: f"s{step}", POSITION: i, "step": step, "op": f"op{step}", "reason": "error", "note": f"n{i}" if i else None} for step, n in steps_there for i in range(n)]
        lines.append({SOURCE: "x", POSITION: 0, "step": 1, "op": "op1", "reason": "below_min"})
        write_table(folders[stage].file("ledger", 0), pa.Table.from_pylist(lines, ledger.SCHEMA))
    manifest = {"steps": [{"step": n, "stage": s, "left": {r: 1}} for n, s, r in ((0, 1, "error"), (1, 1, "error"), (2, 1, "below_min"), (5, 2, "error"), (6, 2, "error"))]}
    listed = list(steps_table.broken(manifest, folders))
    assert len(listed) == steps_table.ASIDE == 20
    assert listed[0] == ("s0:0", "op0", "") and listed[14] == ("s0:14", "op0", "n14") and listed[15][1] == "op1" and listed[19] == ("s5:0", "op5", "")
