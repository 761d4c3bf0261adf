import html
import itertools
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import COUNT, LENGTH, RATIO, Range
from tamis.pipeline.ledger import ID, POSITION
from tamis.pipeline.reporting import atlas, choice, numbers, svg, words
from tamis.pipeline.reporting.flow import BAND, flow
from tamis.pipeline.reporting.page import render
from tamis.pipeline.reporting.shelf import Shelf, by_chance
from tamis.pipeline.workspace import StageFolder, write_table

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Balanced(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(page: str) -> None:
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not parser.seen & {"script", "link", "img", "iframe", "object", "b"}
    assert not re.search(r"""url\(|@import|(src|href)=["'](?!#)""", page)
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(picture)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("report")
    manifest = planted.make(folder)
    return folder, manifest, (folder / "out/report.html").read_text("utf-8")


def test_the_page_is_whole_and_asks_for_nothing(made):
    check_page(made[2])
    assert len(made[2]) < 300_000


def test_everything_from_the_data_is_escaped(made):
    page = made[2]
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 2  # a row that left, and one at the border or kept
    assert "&lt;b&gt;planted&lt;/b&gt;" in page and "<b>planted" not in page


def test_the_page_says_what_happened(made):
    _, manifest, page = made
    assert f"{manifest['rows_in']} rows in, {manifest['rows_out']} kept" in page
    for step in manifest["steps"]:
        assert step["op"] in page
    for anchor in ("flow", "steps", "filters", "duplicates", "selection", "broken", "provenance"):
        assert f'id="{anchor}"' in page
    assert "this is no JSON" in page  # the broken line's reason
    assert manifest["inputs"][0]["digest"] in page and manifest["content_hash"] in page


def test_batches_do_not_change_the_page(made, tmp_path):
    planted.make(tmp_path, batch_rows=3)
    again = (tmp_path / "out/report.html").read_text("utf-8")

    def answer(page: str) -> str:
        return re.sub(r", in [\d.]+ s\. Each", "", page[: page.index('id="provenance"')])

    assert answer(again) == answer(made[2])


@pytest.mark.parametrize("process", [[], [{"text_length_filter": {"min_len": 10**6}}], [{"document_deduplicator": {}}, {"alphanumeric_filter": {}}]])
def test_runs_that_keep_all_or_nothing_have_a_page_too(tmp_path, process):
    planted.make(tmp_path, process=process)
    check_page((tmp_path / "out/report.html").read_text("utf-8"))


def test_examples_are_the_rows_that_they_say(made):
    folder, _, page = made
    lines = (folder / "data/corpus.jsonl").read_bytes()
    shown = re.findall(r'<span class="where" title="id \w+">corpus.jsonl:(\d+)</span></div>\s*<div class="text" dir="auto">(.*?)</div>', page)
    assert len(shown) > 8
    for position, text in shown:
        line = lines[int(position):].split(b"\n", 1)[0]
        assert html.unescape(text)[:20].encode() in line


def test_the_numbers_of_a_filter_are_those_of_the_ledger(made):
    folder, manifest, _ = made
    stage = StageFolder(next((folder / "out/work").glob("01-rows-*")))
    ledger = pq.read_table(folder / "out/ledger").to_pylist()
    rows_in = manifest["rows_in"]
    asked, gone = ((1, "text_len"), (2, "alnum_ratio")), numbers.Departures(stage)
    together = numbers.reached(stage, [(stat, step) for step, stat in asked], gone)
    for (step, stat), rows in zip(asked, together, strict=True):
        before = {r[ID] for r in ledger if r["step"] < step}
        here = {r[ID]: r["value"] for r in ledger if r["step"] == step}
        assert len(rows.ids) == rows_in - len(before) and not before & set(rows.ids.tolist())
        left = {int(i): float(v) for i, v, out in zip(rows.ids, rows.values, rows.left, strict=True) if out}
        assert left == here and here
        alone, = numbers.reached(stage, [(stat, step)], gone)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(vars(alone).values(), vars(rows).values(), strict=True))
    nothing, = numbers.reached(stage, [("no_such_number", 99)], gone)
    assert len(nothing.ids) == 0 and len(gone.at("part-00000.parquet", 99)) == 0


def test_a_label_that_decides_has_its_bars(tmp_path):
    pytest.importorskip("fasttext")
    planted.make(tmp_path, process=[{"language_id_score_filter": {"lang": "en", "min_score": 0.1}}])
    stage = StageFolder(next((tmp_path / "out/work").glob("01-rows-*")))
    told = numbers.labels(stage, "lang", 1, numbers.Departures(stage))
    table = pq.read_table(stage.path / "stats").filter(pa.compute.field("lang").is_valid())
    assert sum(a + b for _, a, b in told) == len(table)
    assert all(stays == 0 for name, stays, _ in told if name != "en")
    check_page((tmp_path / "out/report.html").read_text("utf-8"))


@given(st.lists(st.one_of(st.integers(-5, 40), st.floats(0, 1), st.floats(0, 1e9), st.just(float("nan"))), max_size=200), st.floats(0, 50))
def test_a_histogram_holds_every_number_once_and_parts_at_the_bound(values: list[float], bound: float):
    told = np.array(values, float)
    left = told < bound
    h = numbers.histogram(told, left, numbers.spread(told), [bound])
    finite = np.isfinite(told)
    assert h.stays.sum() == (finite & ~left).sum() and h.left.sum() == (finite & left).sum()
    assert (np.diff(h.edges) > 0).all()
    picture = svg.histogram(h, [("min", bound)], "numbers")
    ET.fromstring(str(picture))


def test_a_bound_inside_the_picture_is_a_border_of_bins():
    values = np.random.default_rng(1).random(5000)
    h = numbers.histogram(values, values < 0.3717, numbers.spread(values), [0.3717])
    assert 0.3717 in h.edges
    assert not ((h.stays > 0) & (h.left > 0)).any()


def test_whole_numbers_have_bins_of_their_own_and_wide_spreads_a_logarithm():
    few = numbers.histogram(np.array([0.0, 1, 1, 3]), np.zeros(4, bool), numbers.spread(np.array([0.0, 1, 1, 3])))
    assert few.stays.tolist() == [1, 2, 0, 1] and not few.log
    wide = np.array([1.0, 2, 3, 4, 5, 6, 10**6])
    assert numbers.histogram(wide, np.zeros(7, bool), numbers.spread(wide)).log


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), max_size=100))
def test_a_spread_is_the_sorted_list(values: list[float]):
    told = numbers.spread(np.array(values, float))
    there = sorted(v for v in values if v == v)
    assert (told.count, told.nulls) == (len(values), len(values) - len(there))
    if there:
        assert (told.min, told.median, told.max) == (there[0], there[(len(there) - 1) // 2], there[-1])
    else:
        assert told.min is told.median is told.max is None


def test_the_flow_is_to_scale():
    steps: list[dict[str, Any]] = []
    for number, out in enumerate([1000, 600, 600, 590, 0]):
        rows = steps[-1]["rows_out"] if steps else 1000
        steps.append({"step": number, "op": f"op{number}", "rows_in": rows, "rows_out": out, "left": {"below_min": rows - out} if rows > out else {}})
    picture = str(flow(steps))
    ET.fromstring(picture)
    widths = [float(w) for w in re.findall(r'class="hit"[^>]* width="([\d.]+)"', picture)]
    assert widths == pytest.approx([BAND, 0.6 * BAND, 0.6 * BAND, 0.59 * BAND, 0], abs=0.06)
    strips = re.findall(r'class="left" d="M[\d.]+ [\d.]+A[^V]*?([\d.]+)H690\.0V([\d.]+)H', picture)
    assert [float(bottom) - float(top) for bottom, top in strips] == pytest.approx([0.4 * BAND, 0.01 * BAND, 0.59 * BAND], abs=0.11)


def vectors(folder: Path, parts: list[np.ndarray], ids: list[np.ndarray]) -> StageFolder:
    stage = StageFolder(folder)
    for i, (x, names) in enumerate(zip(parts, ids, strict=True)):
        column = pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float16).ravel(), pa.float16()), x.shape[1])
        write_table(stage.file("vectors", i), pa.table({ID: names, "vector": column}))
    return stage


def test_the_map_s_sample_is_the_same_however_rows_are_parted(tmp_path, monkeypatch):
    monkeypatch.setattr(atlas, "SAMPLE", 50)
    chance = np.random.default_rng(0)
    x, ids = chance.normal(size=(300, 8)), chance.integers(-(2**62), 2**62, 300)
    one = atlas.sample(vectors(tmp_path / "one", [x], [ids]))
    cuts = [0, 17, 18, 200, 300]
    pieces = list(itertools.pairwise(cuts))[::-1]
    many = atlas.sample(vectors(tmp_path / "many", [x[a:b] for a, b in pieces], [ids[a:b] for a, b in pieces]))
    assert (one[0] == many[0]).all() and (one[1] == many[1]).all() and one[2] == many[2] == 300
    assert len(one[0]) == 50 and set(one[0]) <= set(ids)


def test_the_map_s_axes_are_the_widest():
    chance = np.random.default_rng(2)
    x = chance.normal(size=(400, 6)) * np.array([9.0, 4, 1, 1, 1, 1])
    places, held = atlas.plane(x.astype(np.float32))
    centred = x - x.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert held == pytest.approx(values[:2].sum() / values.sum(), rel=1e-6)
    assert np.abs(np.corrcoef(places[:, 0], x[:, 0])[0, 1]) > 0.99
    assert (atlas.plane(x)[0] == atlas.plane(x.copy())[0]).all()


def selection(folder: Path, facts: dict[str, Any]) -> tuple[dict[str, Any], Any, dict[int, StageFolder]]:
    """A manifest, a plan and stage folders of 60 rows in three clusters, embedded and chosen from."""
    ids = np.arange(100, 160)
    cluster = np.repeat([0, 1, 2], [30, 20, 10])
    picked = ids % 3 == 0
    centres = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    x = centres[cluster] + np.random.default_rng(3).normal(scale=0.02, size=(60, 3))
    embedded = vectors(folder / "04-embed", [x], [ids])
    chosen = StageFolder(folder / "05-select")
    write_table(chosen.path / "selection.parquet", pa.table({
        ID: ids, "picked": picked, "order": np.where(picked, np.cumsum(picked) - 1, -1), "gain": np.where(picked, 1.0, np.nan),
        "cluster": cluster.astype(np.int32), "distance": np.abs(ids - 115.0)}))
    step = SimpleNamespace(number=9, op=SimpleNamespace(summary="Rows by cluster."))
    plan = SimpleNamespace(stages=[SimpleNamespace(index=4, kind="embed", steps=[step]), SimpleNamespace(index=5, kind="select", steps=[step])])
    told = {"step": 9, "op": "s", "rows_in": 60, "rows_out": 20, "facts": facts}
    return {"steps": [told]}, plan, {4: embedded, 5: chosen}


def test_a_selection_by_clusters(tmp_path):
    manifest, plan, folders = selection(tmp_path, {"k": 3, "quotas": [10.0, 7.0, 3.0], "budget": 20.0})
    shelf = Shelf()
    view = next(choice.views(manifest, plan, folders, shelf))
    picture = str(view.picture)
    ET.fromstring(picture)
    assert view.clusters == 3 and [name for name, _ in view.shown] == ["cluster 0: 10 of 30", "cluster 1: 6 of 20", "cluster 2: 4 of 10"]
    assert view.shown[0][1].id == 115  # the least distance
    assert picture.count('class="bound"') == 3 and "10 of 30, 33.3%" in picture
    assert ("budget", "20") in view.facts and ("k", "3") in view.facts


def test_the_map_shows_who_was_chosen(tmp_path):
    _, plan, folders = selection(tmp_path, {})
    view = atlas.view(plan, folders)
    assert view is not None and (view.shown, view.rows, view.chosen, view.selected) == (60, 60, 20, True)
    assert view.share > 0.95
    assert [(name, n) for _, name, n in view.legend] == [("cluster 0", 30), ("cluster 1", 20), ("cluster 2", 10)]
    dots = {kind: d.count("M") for kind, d in re.findall(r'<path class="dot (\w+ \w+)" d="([^"]*)"', str(view.picture))}
    assert dots == {"c0 in": 10, "c0 out": 20, "c1 in": 6, "c1 out": 14, "c2 in": 4, "c2 out": 6}


def test_chance_of_ids_does_not_know_their_order():
    ids = np.random.default_rng(5).integers(-(2**62), 2**62, 1000)
    order = np.random.default_rng(6).permutation(1000)
    assert set(ids[by_chance(ids, 20)]) == set(ids[order][by_chance(ids[order], 20)])


@pytest.mark.parametrize(("keep", "unit", "told"), [
    (Range(200, 100000), LENGTH, "200 to 100,000"), (Range(0.25, None), RATIO, "at least 0.25"), (Range(0, 0.4), RATIO, "at most 0.4"),
    (Range(0, 1), RATIO, "any value"), (Range(), COUNT, "any value"), (Range(1, None, min_closed=False), COUNT, "more than 1"),
    (Range(1, 5, reverse=True), COUNT, "at most 1 or at least 5"), (Range(1, 5, max_closed=False), COUNT, "at least 1 and less than 5"),
])
def test_bounds_in_words(keep, unit, told):
    assert words.stays(keep, unit) == told
    if not keep.reverse:
        return
    values = pa.array([0.0, 1, 3, 5, 9])
    assert keep.holds(values).to_pylist() == [True, True, False, True, True]


def test_numbers_in_words():
    assert [words.number(v) for v in (None, float("nan"), 0, 1234567, -2, 0.123456, 1234.6, 12.3456)] == [
        "–", "–", "0", "1,234,567", "−2", "0.123", "1,235", "12.35"]
    assert [words.share(*v) for v in ((0, 0), (0, 5), (1, 10**6), (10**6 - 1, 10**6), (5, 5), (1, 8))] == ["–", "0%", "<0.1%", ">99.9%", "100%", "12.5%"]
    assert [words.seconds(v) for v in (0.123, 12.34, 250, 7500)] == ["0.12 s", "12.3 s", "4 min 10 s", "2 h 5 min"]


def test_control_characters_do_not_hide():
    assert words.oneline("  a\r\n\n  b\tc\x00\u202ed ") == "a ⏎ b c□□d"


def test_a_template_that_asks_for_more_fails():
    with pytest.raises(Exception, match="undefined"):
        render("report.html.j2", title="x")


def test_positions_are_those_of_the_data(made):
    folder, _, _ = made
    data = (folder / "data/corpus.jsonl").read_bytes()
    for position in pq.read_table(folder / "out/kept").column(POSITION).to_pylist():
        assert data[position:position + 1] == b"{"
