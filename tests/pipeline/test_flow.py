"""The band of rows: to scale, without seams, and each loss said in words."""

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline.reporting import flow
from tamis.pipeline.reporting.flow import BAND, END, LOUD, QUIET, X0


def steps(*losses: dict[str, int], rows: int = 1000) -> list[dict[str, Any]]:
    told = []
    for number, left in enumerate(losses):
        out = rows - sum(left.values())
        told.append({"step": number, "op": f"op{number}" if number else "read", "rows_in": rows, "rows_out": out, "left": left})
        rows = out
    return told


def texts(picture: str, kind: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(picture).iter("text") if e.get("class") == kind]


def test_every_step_says_what_goes_on_and_what_leaves():
    picture = str(flow.flow(steps({"error": 100}, {}, {"below_min": 400, "above_max": 50}, {"emptied": 1}, {"no_number": 449})))
    assert texts(picture, "label") == ["read", "1  op1", "2  op2", "3  op3", "4  op4"]
    assert texts(picture, "count") == ["900", "900", "450", "449", "0"]
    assert texts(picture, "loss") == ["−100", "−450", "−1", "−449"]
    assert texts(picture, "strong") == ["1,000 rows in", "0 rows kept"]
    assert texts(picture, "tick") == ["10.0%", "error", "50.0%", "400 below the minimum, 50 above the…", "0.2%", "nothing left", "100%", "no number", "0%"]
    assert "Flow of rows through 4 steps: 1,000 in, 0 kept" in picture
    titles = [e.text for e in ET.fromstring(picture).iter("title")]
    assert "2  op2: 450 rows leave, 400 below the minimum, 50 above the maximum" in titles and "1  op1: 900 rows go on" in titles


def test_words_stand_left_of_the_band_and_beside_the_strip_that_leaves():
    root = ET.fromstring(str(flow.flow(steps({"error": 100}, {}))))
    at = {e.text: (float(e.get("x", 0)), float(e.get("y", 0)), e.get("text-anchor")) for e in root.iter("text")}
    assert at["1,000 rows in"] == (X0 - 14, 20, "end") and at["read"] == (0, 43, "start")
    assert at["900 rows kept"][0::2] == (X0 - 14, "end") and at["90.0%"][0::2] == (X0 + 0.9 * BAND + 10, "start")
    middle = 26 + 9 + 0.05 * BAND + 4  # of the strip, which is a tenth of the band
    assert at["−100"] == (END + 62, pytest.approx(middle, abs=0.06), "end")
    assert at["error"][:2] == (END + 122, pytest.approx(middle, abs=0.06))
    assert [e.get("x") for e in root.iter("text") if e.get("class") == "count"] == [f"{X0 - 14:.1f}"] * 2


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6))
def test_steps_lie_below_each_other_without_gaps(losses):
    told = steps(*[{"error": n} if n else {} for n in losses], rows=2000)
    root = ET.fromstring(str(flow.flow(told)))
    hits = [(float(e.get("y", 0)), float(e.get("height", 0)), float(e.get("width", 0))) for e in root.iter("rect")]
    assert hits[0][0] == 6 + flow.CAP
    assert all(a[0] + a[1] == b[0] for a, b in itertools.pairwise(hits))
    assert all(h[1] == QUIET if not n else h[1] >= LOUD for h, n in zip(hits, losses, strict=True))
    assert [h[2] for h in hits] == pytest.approx([s["rows_out"] * BAND / 2000 for s in told], abs=0.06)
    height = float(root.get("viewBox", "").split()[3])
    assert height == pytest.approx(hits[-1][0] + hits[-1][1] + flow.CAP + 8, abs=1)
    outline = next(e.get("d") or "" for e in root.iter("path") if e.get("class") == "stays")
    assert outline.count("M") == len(told) + 2  # and a cap at either end
    assert f"H{X0 + BAND:.1f}V6Z" in outline and f"V{height - 8:.1f}H{X0:.1f}Z" in outline


def test_a_step_is_as_high_as_its_loss_needs():
    low, high = steps({"error": 1}, {"error": 999}), steps({"error": 999}, {})
    assert flow._height(low[0], BAND / 1000) == LOUD
    assert flow._height(high[0], BAND / 1000) == round(9 + 0.999 * BAND + 12)
    assert flow._height(high[1], BAND / 1000) == QUIET


def test_a_strip_is_as_wide_as_its_loss_but_never_too_thin_to_see():
    picture = str(flow.flow(steps({"error": 500}, {"error": 1}, rows=100_000)))
    strips = re.findall(r'class="left" d="M([\d.]+) ([\d.]+)A[^H]*H([\d.]+)V([\d.]+)H', picture)
    arcs = re.findall(r'class="left" d="M[\d.]+ [\d.]+A([\d.]+)', picture)
    assert [float(a) for a in arcs] == pytest.approx([9 + 500 * BAND / 100_000, 9.8], abs=0.06)
    assert {float(s[2]) for s in strips} == {END}


def test_nothing_read_is_a_picture_too():
    picture = str(flow.flow(steps({}, rows=0)))
    assert texts(picture, "strong") == ["0 rows in", "0 rows kept"] and texts(picture, "tick") == ["–"]


@pytest.mark.parametrize(("words", "told"), [("x" * 36, "x" * 36), ("x" * 37, "x" * 35 + "…"), ("", "")])
def test_long_reasons_are_cut(words, told):
    assert flow._short(words) == told
