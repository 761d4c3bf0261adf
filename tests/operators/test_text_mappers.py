"""Mappers of text against what Data-Juicer 1.6.1 says in a line or two of Python."""

import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.kernels.codepoints import spread
from tamis.operators.kernels.special_characters import SPECIAL
from tamis.operators.mappers import latex, punctuation, redaction, replacing, rewriting, sentences, source_code, tables, words

HEADING = "|".join(
    rf"\\\b{name}\b\*?(?:\[(.*?)\])?\{{(.*?)\}}"
    for name in ("chapter", "part", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
)
ENDING = r"(\\appendix|\\begin\{references\}|\\begin\{REFERENCES\}|\\begin\{thebibliography\}|\\bibliography\{.*\}).*$"


def texts_of(*pieces: str, most: int = 14) -> st.SearchStrategy[list[str]]:
    return st.lists(st.lists(st.sampled_from(pieces), max_size=most).map("".join), max_size=5)


def column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.string())


@given(texts_of("\\section", "\\chapter*", "\\part", "{", "}", "[", "]", "a", " ", "\n", "\\", "*", "é", "_"), st.booleans())
def test_headings(texts: list[str], drop: bool) -> None:
    def by_expression(text: str) -> str:
        if not regex.search(f"^(.*?)({HEADING})", text, regex.DOTALL):
            return "" if drop else text
        return regex.sub(f"^(.*?)({HEADING})", r"\2", text, flags=regex.DOTALL)

    assert latex.from_first_heading(column(texts), drop_no_head=drop).to_pylist() == [by_expression(t) for t in texts]


@given(texts_of("\\appendix", "\\begin{references}", "\\begin{REFERENCES}", "\\bibliography{", "\\bibliography", "}", "a", "\n"))
def test_bibliographies(texts: list[str]) -> None:
    assert latex.without_bibliography(column(texts)).to_pylist() == [regex.sub(ENDING, "", t, flags=regex.DOTALL) for t in texts]


@given(texts_of("%", "\\", "a", "\n", " ", "\r", "\u2028"))
def test_comments(texts: list[str]) -> None:
    inline = [regex.sub(r"[^\\]%.+$", "", t, flags=regex.MULTILINE) for t in texts]
    assert latex.without_comments(column(texts), multiline=False).to_pylist() == inline
    both = [regex.sub(r"^%.*\n?", "", t, flags=regex.MULTILINE) for t in inline]
    assert latex.without_comments(column(texts)).to_pylist() == both


def test_macros_expand_in_the_order_of_their_definitions() -> None:
    text = "\\newcommand{\\R}{real \\x}\n\\def\\x{é\\n}\n\\R! \\Rx \\R"
    assert latex.with_macros_expanded(column([text])).to_pylist() == [
        "\\newcommand{real é\\n}{real é\\n}\n\\def\\x{é\\n}\nreal é\\n! \\Rx \\R".replace("\\def\\x", "\\defé\\n")
    ]


@given(texts_of("/*", "*/", "*", "/", "copyright", "Copyrİght", "COPYRIGHT", "#", "--", "//", "\n", "a", " "))
def test_copyrights(texts: list[str]) -> None:
    def by_expression(text: str) -> str:
        found = regex.search(r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/", text)
        if found:
            named = regex.search("copyright", found[0], regex.IGNORECASE)
            return text[: found.start()] + text[found.end() :] if named else text
        lines = text.split("\n")
        while lines and (lines[0].startswith(("//", "#", "--")) or not lines[0]):
            lines.pop(0)
        return "\n".join(lines)

    assert source_code.without_copyright(column(texts)).to_pylist() == [by_expression(t) for t in texts]


SPECIALS = frozenset(chr(i) for i, special in enumerate(spread(SPECIAL)) if special)


def strip(word: str) -> str:
    while word and word[0] in SPECIALS:
        word = word[1:]
    while word and word[-1] in SPECIALS:
        word = word[:-1]
    return word


def filtered(text: str, stays: object) -> str:
    lines = [[[w for w in part.split(" ") if w and stays(w)] for part in line.split("\t")] for line in text.split("\n")]  # type: ignore[operator]
    return "\n".join(line for line in ("\t".join(" ".join(part) for part in line if part) for line in lines) if line)


@given(texts_of("a", "é", "中", "!", "...", "1", " ", "\n", "\t", "\r", "\u00a0", "ー", "http", "//"), st.integers(0, 3), st.integers(1, 5))
def test_words(texts: list[str], low: int, high: int) -> None:
    def stays(word: str) -> bool:
        return low <= len(word) <= high or (len(word) > high and low <= len(strip(word)) <= high)

    assert words.without_long_words(column(texts), min_len=low, max_len=high).to_pylist() == [filtered(t, stays) for t in texts]
    parts = ["http", "é1", "//"]
    wanted = [filtered(t, lambda w: not any(p in strip(w) for p in parts)) for t in texts]
    assert words.without_words_holding(column(texts), substrings=parts).to_pylist() == wanted


@given(texts_of("a", "b", "|", " ", "\n", "\n", "\t", "\u00a0", "é", "\r", most=24), st.sampled_from([(2, 20), (2, 3), (3, 4)]))
def test_tables(texts: list[str], columns: tuple[int, int]) -> None:
    def by_expression(text: str) -> str:
        for n in range(columns[0] - 1, columns[1]):
            text = regex.sub(rf"(?<=\n)((\S+?)([ |\t](\S+?)){{{n}}}\n+){{2,}}", "", text)
        return text

    got = tables.without_table_text(column(texts), min_col=columns[0], max_col=columns[1]).to_pylist()
    assert got == [by_expression(t) for t in texts]


def test_a_line_of_a_thousand_bars_ends() -> None:
    line = "a|" * 1000 + "a\n"
    assert tables.without_table_text(column(["x\n" + line * 3])).to_pylist() == ["x\n"]


@given(texts_of("a", "A", ".", "!", "?", "。", "…", "’", "”", "2", "{", " ", "\n", "Σ", "İ", "é", "中", most=28), st.booleans(), st.booleans(), st.integers(0, 3))
def test_repeated_sentences(texts: list[str], lowercase: bool, ignore: bool, shortest: int) -> None:
    def by_expression(text: str) -> str:
        seen: set[str] = set()
        lines = []
        for line in text.split("\n"):
            for cut in (r"([.。！!？\?])([^’”])", r"(\.{6})([^’”])", r"(…{2})([^’”])", r"([.。！!？\?\.{6}…{2}][’”])([^’”])"):
                line = regex.sub(cut, r"\1\n\2", line)
            stays = ""
            for sentence in line.split("\n") if line else []:
                key = sentence.strip().lower() if lowercase else sentence.strip()
                key = regex.sub(r"[^a-zA-Z0-9\u4e00-\u9fa5\n\t ]", "", key) if ignore else key
                if len(key) < shortest or key not in seen:
                    stays += sentence
                if len(key) >= shortest:
                    seen.add(key)
            lines.append(stays)
        return "\n".join(lines)

    got = sentences.without_repeated_sentences(
        column(texts), lowercase=lowercase, ignore_special_character=ignore, min_repeat_sentence_length=shortest
    )
    assert got.to_pylist() == [by_expression(t) for t in texts]


def test_a_tokenizer_that_is_code_is_refused() -> None:
    with pytest.raises(ValueError, match="Python code"):
        sentences.without_repeated_sentences(column([]), tokenizer="lambda t: [t]")


ONE_BY_ONE = "[^\u4e00-\u9fa5A-Za-z0-9.， ,\\-。%《*》/•、&＆(—)（+）：？!！“”·]+"


def test_single_characters_over_all_code_points() -> None:
    points = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    assert punctuation.only_chinese(column([points]))[0].as_py() == regex.sub(ONE_BY_ONE, "", points)
    assert punctuation.english_punctuation(column([points]))[0].as_py() == "".join(punctuation.ENGLISH.get(c, c) for c in points)
    assert punctuation.without_characters(column(["a]b^c-d\\é", "►"]), chars_to_remove=["]^", "-", "\\", "é"]).to_pylist() == ["abcd", "►"]


@given(texts_of("1", "12", "255", "256", ".", "a:", "1:2:3:4:5:6:7:8", "٣", ":", " "))
def test_addresses_of_machines(texts: list[str]) -> None:
    assert replacing.without_ips(column(texts), repl="<I>").to_pylist() == [regex.sub(replacing.IP, "<I>", t) for t in texts]


def test_replacements_one_by_one() -> None:
    got = replacing.with_replacements(column(["a1b", None, ""]), pattern=[r"\d", "b"], repl=["<\\g<0>>", "1"])  # type: ignore[list-item]
    assert got.to_pylist() == ["a<1>1", None, ""]
    assert replacing.with_replacements(column(["abc"]), pattern=["a", "b"], repl="-").to_pylist() == ["--c"]
    with pytest.raises(ValueError, match="1 entries for 2 patterns"):
        replacing.with_replacements(column([]), pattern=["a", "b"], repl=["x"])


@pytest.mark.parametrize(("text", "hidden"), [
    ("mail a.b+c@x.co.uk now", "mail [EMAIL_REDACTED] now"), ("@nobody", "@nobody"), ("-----@a.de", "-----@a.de"),
    ("PASSWORD : 'hunter2'", "PASSWORD : '[REDACTED]'"), ("paſſword=x", "paſſword=[REDACTED]"), ("user_id=ou_1", "user_id[ID_REDACTED]"),
    ("see /home/me/x and C:\\a", "see [PATH_REDACTED] and [PATH_REDACTED]"), ("1.2.3.4:5 .1.2.3.4", "[IP_REDACTED]:5 .1.2.3.4"),
    ("-----BEGIN KEY-----\nx\n-----END KEY----- y", "[PEM_REDACTED] y"), ("-----BEGIN KEY-----", "-----BEGIN KEY-----"),
    ("+49 1512345678 or 13812345678", "[PHONE_REDACTED] or [PHONE_REDACTED]"), ("eyJa.b.c", "[JWT_REDACTED]"),
])
def test_redaction(text: str, hidden: str) -> None:
    assert redaction.redacted(column([text])).to_pylist() == [hidden]


def test_redaction_of_ones_own_and_of_less() -> None:
    assert redaction.redacted(column(["a@b.co x9"]), mask_emails=False, extra_patterns=[[r"x\d", "#"]]).to_pylist() == ["a@b.co #"]
    with pytest.raises(ValueError, match="not a valid regular expression"):
        redaction.redacted(column([]), extra_patterns=[["(", ""]])
    long = "x" * 200_000 + "@"
    assert redaction.redacted(column([long + " 1.2.3.4"]))[0].as_py() == long + " [IP_REDACTED]"


@pytest.mark.parametrize(("pattern", "is_simple"), [(r"\d+", True), ("[aeiou]", True), ("a", True), (r"(\w+) (\w+)", False), ("a+b*", False)])
def test_only_patterns_that_cannot_blow_up_run_without_a_clock(pattern: str, is_simple: bool) -> None:
    assert rewriting.simple(pattern) is is_simple
