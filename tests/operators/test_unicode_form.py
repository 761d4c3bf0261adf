"""Unicode form: the fast paths answer what ftfy and str answer on every row; what changes nothing costs no copy."""

import ftfy
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tamis.operators.mappers import unicode_form
from tamis.operators.mappers.unicode_form import fixed_unicode, one_kind_of_blank

lines = st.text(alphabet="ab<>&;lt\n\r\f\v\t\x1b[0m\x00\x7fÃ¶é“ﬁ\u2028\x85ｱ\u0301Å", max_size=80)


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(rows, pa.string())


@given(st.lists(st.one_of(st.none(), st.text(max_size=50), lines), max_size=6), st.integers(0, 2))
@example(["a &lt; b\n<i>\nc &lt; d\né &amp;", "x\ny\né\n\nz", "é", "\n", None], 0)
def test_line_by_line_is_the_whole_text(rows: list[str | None], skip: int) -> None:
    text = column(rows).slice(skip)
    assert fixed_unicode(text).to_pylist() == [r if r is None else ftfy.fix_text(r) for r in text.to_pylist()]


def test_every_ascii_character_that_is_not_looked_at_is_left_by_ftfy() -> None:
    plain = [chr(c) for c in range(128) if not unicode_form._RISKY_BYTES[c]]
    assert len(plain) == 97 and all(ftfy.fix_text(f"a{c}b") == f"a{c}b" for c in plain)


def test_plain_rows_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(ftfy, "fix_text", lambda text, **_: seen.append(text) or text)
    text = column(["plain\nascii", "one\nlïne\nof three", None, "tab\tand feed\f"])
    assert fixed_unicode(text).to_pylist() == text.to_pylist() and seen == ["lïne\n"]
    untouched = column(["plain", None, ""])
    assert fixed_unicode(untouched) is untouched


def test_long_lines_are_cut_where_ftfy_cuts_them() -> None:
    row = "plain\n" + "é&lt;" * 260_000 + "<" + "&gt;" * 10 + "\n&gt;"
    assert fixed_unicode(column([row])).to_pylist() == [ftfy.fix_text(row)]


def test_forms() -> None:
    assert fixed_unicode(column(["Å ﬁ"]), normalization="NFD").to_pylist() == [ftfy.fix_text("Å ﬁ", normalization="NFD")]
    with pytest.raises(ValueError, match="normalization must be one of NFC, NFKC, NFD, NFKD, it is 'NFX'"):
        fixed_unicode(column(["a"]), normalization="NFX")  # type: ignore[arg-type]


@given(st.lists(st.one_of(st.none(), st.text(alphabet="a\t \n\r\x1c\x1f\x84\x85\xa0\u1680\u2000\u200b\u200d\u2028\u3000\ufffc漢", max_size=30)), max_size=6), st.integers(0, 2))
def test_blanks_on_slices_and_large_strings(rows: list[str | None], skip: int) -> None:
    blanks = {"\t", " ", "\x84", "\xa0", *map(chr, range(0x2000, 0x200E)), "\u202f", "\u205f", "\u2060", "\u3000", "\ufffc"}
    for kind in (pa.string(), pa.large_string()):
        text = pa.array(rows, kind).slice(skip)
        answer = one_kind_of_blank(text)
        answer.validate(full=True)
        assert answer.type == kind
        assert answer.to_pylist() == [r if r is None else "".join(" " if c in blanks else c for c in r.strip()) for r in text.to_pylist()]
