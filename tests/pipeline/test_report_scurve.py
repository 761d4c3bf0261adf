"""The S-curve: drawn from the facts of the manifest, with the threshold and what was measured."""

import re

import pytest

from tamis.operators.dedup.bands import candidate_probability
from tamis.pipeline.reporting import scurve, svg
from tamis.pipeline.run import run

FACTS = {"bands": 34, "rows": 6, "threshold": 0.7, "expected_recall": 0.986}


def test_curve_rises_and_passes_where_the_formula_says():
    drawn = scurve.curve(FACTS)
    points = [tuple(map(float, p.split(","))) for p in re.search(r'd="M([^Z]*)Z"', drawn).group(1).split("L")]
    heights = [y for _, y in points[: scurve.STEPS + 1]]
    assert heights == sorted(heights, reverse=True)
    low, high = heights[0], heights[-1]
    at = (low - heights[int(0.7 * scurve.STEPS)]) / (low - high)
    assert at == pytest.approx(candidate_probability(0.7, 34, 6), abs=0.002)
    assert "threshold 0.7: 98." in drawn and drawn.startswith("<svg") and svg.LEFT > 0


def test_nothing_is_drawn_where_there_are_no_bands():
    assert scurve.curve({"clusters": 3}) is None and scurve.words({"clusters": 3}) == ""


def test_words_tell_what_was_measured():
    told = scurve.words(FACTS | {"sampled_pairs": 1200, "measured_recall": 0.9991, "expected_of_sample": 0.9989})
    assert "98.6%" in told and "1,200 pairs" in told and "99.91%" in told
    assert "Measured" not in scurve.words(FACTS | {"sampled_pairs": 0})


def test_it_stands_in_the_report(tmp_path):
    text = "the quick brown fox jumps over the lazy dog again and again until the evening comes"
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "{text}"}}\n{{"text": "{text} at last"}}\n')
    run({"dataset_path": str(tmp_path / "rows.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
         "process": [{"document_minhash_deduplicator": {}}]})
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Pairs that become candidates" in page and "34 bands of 6" in page
