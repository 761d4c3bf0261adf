"""Addresses in one form against urllib, and golden rows of our own."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.dedup.urls import TRACKING, normal_urls, url_evidence, url_keys
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/document_url_deduplicator.jsonl").open()]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_golden_rows(case):
    assert normal_urls(pa.array(case["texts"], pa.string()), **case["params"]).to_pylist() == case["answers"]


def tracked(name):
    return any(name.lower().startswith(t[:-1]) if t.endswith("*") else name.lower() == t for t in TRACKING)


def plain(url):
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    host = host.removesuffix({"http": ":80", "https": ":443"}[parts.scheme]).removesuffix(":").removesuffix(".")
    user = parts.netloc[: parts.netloc.rfind("@") + 1]
    query = "&".join(p for p in parts.query.split("&") if p and not tracked(p.split("=")[0]))
    return user + host + parts.path.removesuffix("/") + (f"?{query}" if query else "")


URL = st.builds(
    "{}://{}{}{}{}{}{}".format, st.sampled_from(["http", "HTTP", "https"]), st.sampled_from(["", "me:pw@"]),
    st.sampled_from(["A.org", "b.example.", "x"]), st.sampled_from(["", ":80", ":443", ":8080", ":"]),
    st.sampled_from(["", "/", "/a/", "/A/b.html", "/é"]),
    st.lists(st.sampled_from(["a=1", "utm_source=q", "B", "", "GCLID=1", "gclidx=2", "b=%2F/"]), max_size=4).map(lambda p: "?" + "&".join(p)),
    st.sampled_from(["", "#top", "#!x"]),
)


@given(URL)
def test_the_form_is_that_of_urllib(url):
    assert normal_urls(pa.array([url])).to_pylist() == [plain(url)]
    again = normal_urls(pa.array([plain(url)]), ()).to_pylist()
    assert again[0] is not None and len(again[0]) <= len(url)


@given(st.lists(st.none() | st.text(max_size=40), max_size=5))
def test_anything_else_is_taken_as_it_comes(rows):
    column = pa.array(["pad", *rows], pa.string()).slice(1)
    normal, keys, more = normal_urls(column).to_pylist(), url_keys(column).to_pylist(), url_evidence(column).to_pylist()
    assert [k is None for k in keys] == [r is None for r in rows]
    for n, k, m in zip(normal, keys, more, strict=True):
        assert k is None or len(k) == len(m) == (1 if n else 0)


def test_rows_of_one_address_are_duplicates_and_those_of_none_are_not():
    rows = [{"text": str(i), "url": u} for i, u in enumerate(["http://a.b/c/", "https://A.b/c?utm_id=3", "", None, "", "http://a.b/C"])]
    done = apply([{"document_url_deduplicator": {}}], rows)
    assert [r["text"] for r in done.table.to_pylist()] == ["0", "2", "3", "4", "5"]
    assert done.ledger.to_pylist()[0]["excerpt"] == "https://A.b/c?utm_id=3"
    differ = apply([{"document_url_deduplicator": {"keep_scheme": True, "tracking_parameters": []}}], rows)
    assert differ.ledger.num_rows == 0


def test_mistakes_are_found_before_any_data_is_read():
    with pytest.raises(RecipeError, match="no column 'url'"):
        apply([{"document_url_deduplicator": {}}], [{"text": "a"}])
    with pytest.raises(RecipeError, match="Did you mean 'tracking_parameters'"):
        apply([{"document_url_deduplicator": {"tracking_parameter": ["x"]}}], [{"text": "a", "url": "b"}])
    with pytest.raises(RecipeError, match="'a&b' is neither"):
        apply([{"document_url_deduplicator": {"tracking_parameters": ["a&b"]}}], [{"text": "a", "url": "b"}])
