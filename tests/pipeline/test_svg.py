"""Pictures by hand: where each mark stands, and that every word from the data is escaped."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline.reporting import svg
from tamis.pipeline.reporting.numbers import Histogram

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<b>\"&'"


def found(picture, tag, kind=None):
    """The elements of one tag (and class) of a picture, as mappings of their attributes and text."""
    root = ET.fromstring(str(picture))
    return [{**e.attrib, "text": e.text or "", "title": e.findtext("title") or ""} for e in root.iter(tag) if kind in (None, e.get("class"))]


def histogram(edges, stays, left, log=False):
    return Histogram(np.array(edges, float), np.array(stays), np.array(left), log)


def test_a_mark_says_what_it_was_told():
    assert str(svg.rect(1, 2.25, 3, 4, "k")) == '<rect class="k" x="1.0" y="2.2" width="3.0" height="4.0"></rect>'
    assert str(svg.rect(0, 0, -1, -2, "k", "t")) == '<rect class="k" x="0.0" y="0.0" width="0.0" height="0.0"><title>t</title></rect>'
    assert str(svg.text(1, 2, "w")) == '<text class="tick" x="1.0" y="2.0" text-anchor="start">w</text>'
    assert str(svg.text(1, 2, "w", "k", "end")) == '<text class="k" x="1.0" y="2.0" text-anchor="end">w</text>'
    assert str(svg.line(1, 2, 3, 4, "k")) == '<line class="k" x1="1.0" y1="2.0" x2="3.0" y2="4.0"/>'
    assert str(svg.path("M0 0", "k")) == '<path class="k" d="M0 0"></path>'
    assert str(svg.path("M0 0", "k", "t")) == '<path class="k" d="M0 0"><title>t</title></path>'


def test_words_of_the_data_are_never_markup():
    picture = svg.frame(10, 20, [svg.rect(0, 0, 1, 1, "k", EVIL), svg.text(0, 0, EVIL), svg.path("", "k", EVIL)], EVIL)
    root = ET.fromstring(str(picture))
    assert root.get("aria-label") == EVIL and root.get("role") == "img" and root.get("viewBox") == "0 0 10 20"
    assert [e.text for e in root.iter() if e.tag in ("title", "text")] == [EVIL] * 3
    assert len(list(root.iter())) == 6


@pytest.mark.parametrize(("low", "high", "about", "told"), [
    (0, 10, 5, [0, 2, 4, 6, 8, 10]), (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 3, 3, [0, 1, 2, 3]), (0, 9, 3, [0, 5]),
    (0.5, 4.5, 4, [1, 2, 3, 4]), (-10, 10, 4, [-10, -5, 0, 5, 10]), (3, 3, 5, [3]), (5, 4, 5, [5]), (0, 100, 4, [0, 50, 100]),
    (0, 99, 5, [0, 20, 40, 60, 80]), (0, 10000, 3, [0, 5000, 10000]),
])
def test_ticks_are_round(low, high, about, told):
    assert svg.ticks(low, high, about) == told


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_lie_inside_in_even_steps_and_are_about_as_many_as_asked(low, span, about):
    told = svg.ticks(low, low + span, about)
    slack = 1e-6 * max(abs(low), span)
    assert low - slack <= told[0] and told[-1] <= low + span + slack
    assert 0.4 * about - 1 <= len(told) <= about + 1
    if len(told) > 2:
        assert np.ptp(np.diff(told)) <= slack


@pytest.mark.parametrize(("low", "high", "told"), [
    (0, 1000, [0, 1, 10, 100, 1000]), (5, 1000, [10, 100, 1000]), (5, 100, [5, 10, 20, 50, 100]), (20, 90, [20, 50]), (1, 9, [1, 2, 5]),
    (0, 5, [1, 2, 5]),
])
def test_a_logarithm_has_ticks_at_powers_of_ten_or_between_them_where_these_are_few(low, high, told):
    assert svg.log_ticks(low, high) == told


def test_a_histogram_stands_to_scale_with_what_left_on_top():
    picture = svg.histogram(histogram([0, 1, 2, 4], [50, 0, 100], [50, 1, 0]), [], "alt", width=456, height=150)
    floor, rise = 150 - svg.BOTTOM, (150 - svg.BOTTOM - svg.TOP) / 100
    stays, left = found(picture, "rect", "stays"), found(picture, "rect", "left")
    assert [r["title"] for r in stays] == ["0 to 1: 50 stay", "2 to 4: 100 stay"]
    assert [r["title"] for r in left] == ["0 to 1: 50 leave", "1 to 2: 1 leave"]
    assert [(float(r["x"]), float(r["width"])) for r in stays] == [(46, 99), (246, 199)]  # one pixel between bars
    assert [float(r["height"]) for r in stays] == pytest.approx([50 * rise, 100 * rise])
    assert [float(r["y"]) for r in left] == pytest.approx([floor - 100 * rise, floor - 1])
    assert [float(r["height"]) for r in left] == pytest.approx([50 * rise, 1])
    grid = [(float(g["x1"]), float(g["x2"]), float(g["y1"]), float(g["y2"])) for g in found(picture, "line", "grid")]
    assert grid == [(46, 446, floor - c * rise, floor - c * rise) for c in (0, 50, 100)]
    labels = [(t["text"], float(t["x"]), t["text-anchor"]) for t in found(picture, "text", "tick")]
    assert labels[:3] == [("0", 40, "end"), ("50", 40, "end"), ("100", 40, "end")]
    assert labels[3:] == [(str(v), 46 + 100 * v, "middle") for v in range(5)]


def test_the_picture_begins_where_the_data_begins():
    picture = svg.histogram(histogram([-30, -20, 10], [1, 1], [0, 0]), [("min", -20)], "alt", width=456)
    assert [(float(r["x"]), float(r["width"])) for r in found(picture, "rect", "stays")] == [(46, 99), (146, 299)]
    assert found(svg.histogram(histogram([30, 31, 34], [1, 1], [0, 0]), [], "alt", width=456), "rect", "stays")[1]["x"] == "146.0"


def test_a_bar_of_one_row_among_many_can_be_seen():
    picture = svg.histogram(histogram([0, 1, 2], [10**6, 1], [0, 1]), [], "alt")
    small = [r for r in found(picture, "rect") if r["title"].startswith("1 to 2")]
    assert [float(r["height"]) for r in small] == [1, 1]
    assert float(small[0]["y"]) - float(small[1]["y"]) == 1


def test_thin_bars_have_thin_gaps():
    bars = found(svg.histogram(histogram(range(201), [1] * 200, [0] * 200), [], "alt", width=256), "rect", "stays")
    assert {float(b["width"]) for b in bars} == {0.8}


def test_an_empty_histogram_has_no_bars():
    picture = svg.histogram(histogram([0, 1], [0], [0]), [], "alt")
    assert not found(picture, "rect") and [g["y1"] for g in found(picture, "line", "grid")] == ["150.0", "87.0", "24.0"]


def test_a_bin_of_one_whole_number_is_called_by_it():
    picture = svg.histogram(histogram([1.5, 2.5, 3.5], [1, 1], [0, 0]), [], "alt")
    assert [r["title"] for r in found(picture, "rect")] == ["2: 1 stay", "3: 1 stay"]
    wider = svg.histogram(histogram([1.5, 3.5, 4.25], [1, 1], [0, 0]), [], "alt")
    assert [r["title"] for r in found(wider, "rect")] == ["1.5 to 3.5: 1 stay", "3.5 to 4.25: 1 stay"]
    assert found(svg.histogram(histogram([1, 2], [1], [0]), [], "alt"), "rect")[0]["title"] == "1 to 2: 1 stay"


def test_a_logarithmic_axis_is_that_of_one_more():
    picture = svg.histogram(histogram([0, 9, 99], [1, 1], [0, 0], log=True), [("max", 9)], "alt", width=456)
    assert [float(r["x"]) for r in found(picture, "rect", "stays")] == [46, 246]
    assert [float(b["x1"]) for b in found(picture, "line", "bound")] == [246]
    ticks = [t for t in found(picture, "text", "tick") if t["text-anchor"] == "middle"]
    assert [t["text"] for t in ticks] == ["0", "1", "10"]
    assert float(ticks[1]["x"]) == pytest.approx(46 + 200 * math.log10(2), abs=0.06)


@pytest.mark.parametrize(("bound", "x", "anchor"), [(0, 46, "start"), (1, 86, "start"), (2, 126, "middle"), (8, 366, "middle"), (9, 406, "end"), (10, 446, "end")])
def test_a_bound_is_a_line_whose_words_stay_in_the_picture(bound, x, anchor):
    picture = svg.histogram(histogram([0, 10], [1], [0]), [("min", bound)], "alt", width=456)
    line, = found(picture, "line", "bound")
    label, = found(picture, "text", "bound")
    assert float(line["x1"]) == float(line["x2"]) == float(label["x"]) == x
    assert (float(line["y1"]), float(line["y2"]), float(label["y"])) == (18, 150, 14)
    assert (label["text"], label["text-anchor"]) == (f"min {bound}", anchor)


@pytest.mark.parametrize(("bound", "told", "x", "anchor"), [(-0.5, "← max −0.5", 46, "start"), (-7, "← max −7", 46, "start"), (25, "max 25 →", 446, "end")])
def test_a_bound_off_the_picture_is_told_at_its_side(bound, told, x, anchor):
    picture = svg.histogram(histogram([0, 10], [1], [0]), [("max", bound)], "alt", width=456)
    assert not found(picture, "line", "bound")
    label, = found(picture, "text", "bound")
    assert (label["text"], float(label["x"]), float(label["y"]), label["text-anchor"]) == (told, x, 14, anchor)


def test_bars_are_to_one_scale_and_say_what_left():
    picture = svg.bars([("de", 30, 10), ("a label that is long", 20, 0), ("fourteen signs", 0, 0)], "alt", width=406)
    labels = found(picture, "text", "label")
    assert [t["text"] for t in labels] == ["de", "a label that …", "fourteen signs"]
    assert [float(t["y"]) for t in labels] == [15, 34, 53] and {t["x"] for t in labels} == {"88.0"}
    stays, left = found(picture, "rect", "stays"), found(picture, "rect", "left")
    assert [(float(r["x"]), float(r["y"]), float(r["width"])) for r in stays] == [(96, 6, 150), (96, 25, 100), (96, 44, 0)]
    assert [(float(r["x"]), float(r["width"])) for r in left] == [(246, 50), (196, 0), (96, 0)]
    assert (stays[0]["title"], left[0]["title"]) == ("de: 30 stay", "de: 10 leave")
    assert [(t["text"], float(t["x"])) for t in found(picture, "text", "tick")] == [("40  −10", 303), ("20", 203), ("0", 103)]
    assert re.search(r'viewBox="0 0 406 65"', str(picture))


def test_no_bars_are_a_picture_too():
    assert found(svg.bars([], "nothing"), "rect") == []
    assert [float(r["width"]) for r in found(svg.bars([("a", 0, 0)], "zero"), "rect")] == [0, 0]
