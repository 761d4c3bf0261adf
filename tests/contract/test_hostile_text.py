"""Every operator on text that breaks programs: no crash, one answer of the same type for each row, null where there is none."""

import contextlib
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_operators import OPERATORS, answer

from tamis.operators.base import Operator

LINE = int(os.environ.get("TAMIS_HOSTILE_BYTES", 300_000))  # 10,000,000 has been run by hand: 10 MB in one line
PIECES = [
    "\x00", "\u200b", "\u200d", "\ufeff", "\u202e", "\u2066", "\u2069", "\u0301" * 40, "e\u0301", "\U0001F468\u200d\U0001F469", "\U0010FFFF",
    "\ufffe", "İ", "ẞ", "ﬃ", "Σς", "\x85", "\u2028", "\u2029", "\x1c", "\r", "\r\n", "\n", "\t", " ", "\u3000", "\u00a0", "ا", "א", "漢", "한", "ก",
    "a", "B", "7", ".", "。", "!", "\\", "%", "{", "}", "<", ">", "<li>", "</p>", "<table><tr><td>", "&#0;", "&amp;", "/*", "*/", "//", "#",
    "http://", "www.", "@", "1.2.3.4", "::1", "\\newcommand{\\a}{\\a}", "\\a ", "\\begin{", "\\section{", "|", "-----BEGIN", "eyJ", "(?", "[",
    "$1", "\\1", "password=", "<script>", "\x7f", "Ã©", "â€™", "𝒳", "٣", "Ⅷ", "½", "\U000E0001", "\u180e",
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join).filter(lambda t: _encodes(t))
GIANTS = [
    "\u0301" * (LINE // 3), "a" * LINE, "漢" * (LINE // 3), "word " * (LINE // 5), "\u200b\u202ea" * (LINE // 7), "\n" * LINE, "a\n" * (LINE // 2),
    "<" * (LINE // 10), "\\" * (LINE // 10), ("a@b." * (LINE // 4)), "1.2.3.4.5" * (LINE // 90), "\x00" * LINE,
]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.fixture(params=OPERATORS, ids=lambda op: op.name)
def op(request: pytest.FixtureRequest) -> Operator:
    return request.param  # type: ignore[no-any-return]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(texts=st.lists(st.none() | HOSTILE, min_size=1, max_size=6))
def test_hostile_text_is_text(op: Operator, texts: list[str | None]) -> None:
    got = answer(op, pa.array(texts, pa.string()))
    assert len(got) == len(texts) and got.type == answer(op, pa.array([], pa.string())).type
    got.validate(full=True)
    alone = [answer(op, pa.array([t], pa.string())).to_pylist()[0] for t in texts[:2]]
    assert got.to_pylist()[:2] == alone


def test_giants(op: Operator) -> None:
    for text in GIANTS:
        got = answer(op, pa.array([text, None, "a"], pa.string()))
        assert len(got) == 3
        got.validate(full=True)


def test_bytes_that_are_no_text_are_an_answer_or_a_sentence(op: Operator) -> None:
    """Lone surrogates and other broken UTF-8, as a careless writer leaves in a Parquet file: reading refuses it (test_hostile.py)."""
    raw = [b"\xed\xa0\x80 lone", b"ok", b"\xff\xfe", b"\xc3", b"a\xf0\x9f\x98", b"\xed\xbf\xbf\xed\xa0\x80" * 10]
    ends = np.cumsum([0, *map(len, raw)]).astype(np.int32)
    text: Any = pa.StringArray.from_buffers(len(raw), pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(raw)))
    with contextlib.suppress(ValueError):
        assert len(answer(op, text)) == len(raw)
