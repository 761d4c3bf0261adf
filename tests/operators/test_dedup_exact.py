"""Exact deduplication: equal key and evidence = equal text after folding, as Python folds."""

import json
import string
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import link
from tamis.operators.dedup.exact import exact_evidence, exact_keys

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/document_deduplicator.jsonl").open()]
POINTS = [chr(p) for p in range(sys.maxunicode + 1) if not 0xD800 <= p < 0xE000]
NON_CHARACTER = regex.compile(rf"\s+|\d+|[{regex.escape(string.punctuation)}]")


def digests(rows: list[str | None], **how: bool) -> list[tuple[int, int] | None]:
    text = pa.array(rows, pa.string())
    both = zip(exact_keys(text, **how).to_pylist(), exact_evidence(text, **how).to_pylist(), strict=True)
    return [None if key is None else (key[0], other[0]) for key, other in both]


def survivors(rows: list[str], **how: bool) -> list[int]:
    text = pa.array(rows, pa.string())
    edges = link(exact_keys(text, **how), exact_evidence(text, **how))
    return np.flatnonzero(components(edges.a, edges.b, len(rows)) == np.arange(len(rows))).tolist()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_keeps_the_rows_that_data_juicer_keeps(case):
    assert survivors(case["texts"], **case["params"]) == case["kept"]


def test_declares_evidence_with_the_same_settings():
    assert declared(exact_keys).evidence is exact_evidence
    assert set(declared(exact_keys).settings) == {"lowercase", "ignore_non_character"}


def test_lower_case_is_pythons_for_every_code_point():
    rows = ["aB" + "".join(POINTS[i : i + 16]) + "Zz" for i in range(0, len(POINTS), 16)]
    assert digests(rows, lowercase=True) == digests([row.lower() for row in rows])


@pytest.mark.parametrize("word", ["ΟΔΟΣ", "ΟΔΟΣ ΣΟΦΙΑΣ", "İSTANBUL", "AΣ'B", "Σ", "XΣ.", "Kelvin K", "ȺȾ" * 50])
def test_irregular_lower_case_is_pythons_too(word):
    rows = ["before", word, None, word + " A", "after"]
    assert digests(rows, lowercase=True) == digests([None if row is None else row.lower() for row in rows])


def test_strips_what_str_strip_strips_and_nothing_else():
    x = digests(["x"])[0]
    assert [d == x for d in digests([c + "x" + c for c in POINTS])] == [c.isspace() for c in POINTS]


def test_non_characters_are_data_juicers():
    xy = digests(["xy"])[0]
    alone = [d == xy for d in digests([f"x{c}y" for c in POINTS], ignore_non_character=True)]
    assert alone == [NON_CHARACTER.sub("", f"x{c}y") == "xy" for c in POINTS]


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("aA1. ßẞΣσςİıé\x1c\u3000"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS | st.none(), max_size=12), st.booleans(), st.booleans())
def test_equal_digest_means_equal_folded_text(rows, lowercase, ignore):
    def folded(row: str) -> str:
        row = row.lower() if lowercase else row
        return (NON_CHARACTER.sub("", row) if ignore else row).strip()

    found = digests(rows, lowercase=lowercase, ignore_non_character=ignore)
    for i, a in enumerate(rows):
        assert (found[i] is None) == (a is None)
        for j, b in enumerate(rows[:i]):
            if a is not None and b is not None:
                assert (found[i] == found[j]) == (folded(a) == folded(b))


def test_slices_large_strings_and_nulls_have_the_same_keys():
    rows = ["one", None, "Two ΣΑΣ", "", "x" * 1000, "two σας"]
    whole = exact_keys(pa.array(rows), lowercase=True)
    assert whole.to_pylist()[1] is None
    assert exact_keys(pa.array(rows, pa.large_string()), lowercase=True).equals(whole)
    for at in range(len(rows) + 1):
        text = pa.array(rows)
        parts = [exact_keys(text.slice(0, at), lowercase=True), exact_keys(text.slice(at), lowercase=True)]
        assert pa.concat_arrays(parts).to_pylist() == whole.to_pylist()


def test_all_null_and_no_rows():
    assert exact_keys(pa.array([None, None], pa.null())).to_pylist() == [None, None]
    assert exact_keys(pa.array([], pa.string())).type == pa.list_(pa.uint64())


def test_refuses_what_is_no_text():
    with pytest.raises(ValueError, match="reads text"):
        exact_keys(pa.array([1, 2]))


def test_digests_spread_over_all_bits_and_do_not_collide():
    rows = [f"{i}" for i in range(100_000)] + [" x" * i + "y" for i in range(300)] + ["\0" * i + "y" for i in range(1, 64)]
    text = pa.array(rows)
    for half in (exact_keys, exact_evidence):
        hashes = half(text).flatten().to_numpy()
        assert len(np.unique(hashes)) == len(rows)
        shares = [((hashes >> np.uint64(bit)) & np.uint64(1)).mean() for bit in range(64)]
        assert min(shares) > 0.49 and max(shares) < 0.51
    both = np.stack([exact_keys(text).flatten().to_numpy(), exact_evidence(text).flatten().to_numpy()]).astype(float)
    assert abs(np.corrcoef(both)[0, 1]) < 0.01
