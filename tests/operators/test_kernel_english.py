"""English words against spaCy's own expressions and its loop over prefixes, suffixes and infixes, written out.

Addresses, contractions and other exceptions, which are no matter of expressions: against its recorded answers.
"""

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tamis.operators.filters.gopher import runs
from tamis.operators.kernels.english_lists import _ABBREVIATIONS
from tamis.operators.kernels.english_parts import UNITS as SPACY_UNITS

# spaCy 3.8 (MIT), lang/char_classes.py and lang/punctuation.py
PUNCT = "…|……|,|:|;|!|\\?|¿|؟|¡|\\(|\\)|\\[|\\]|\\{|\\}|<|>|_|#|\\*|&|。|？|！|，|、|；|：|～|·|।|،|۔|؛|٪"
QUOTES = "'|\"|”|“|`|‘|´|’|‚|,|„|»|«|「|」|『|』|（|）|〔|〕|【|】|《|》|〈|〉|〈|〉|⟦|⟧"
CURRENCY = r"\$|£|€|¥|฿|₽|﷼|₴|₠|₡|₢|₣|₤|₥|₦|₧|₨|₩|₪|₫|₭|₮|₯|₰|₱|₲|₳|₵|₶|₷|₸|₹|₺|₻|₼|₾|₿"
ICONS, ELLIPSES = r"\p{So}", r"\.\.+|…"
UNITS = "|".join(SPACY_UNITS.split())
LOWER, UPPER, ALPHA = r"[\p{Ll}\p{Lo}]", r"[\p{Lu}\p{Lo}]", r"\p{L}"
PREFIX = regex.compile(rf"§|%|=|—|–|\+(?![0-9])|{PUNCT}|{ELLIPSES}|{QUOTES}|{CURRENCY}|{ICONS}", regex.V1)
SUFFIX = regex.compile("|".join(f"(?:{piece})$" for piece in (
    PUNCT, ELLIPSES, QUOTES, ICONS, "'s|'S|’s|’S|—|–", r"(?<=[0-9])\+", rf"(?<=[0-9])(?:{CURRENCY})", rf"(?<=[0-9])(?:{UNITS})",
    rf"(?<=[0-9%²\-+]|{LOWER}|{PUNCT}|{QUOTES})\.", rf"(?<={UPPER}{UPPER})\.", "(?<=[0-9])%")), regex.V1)
INFIX = regex.compile(
    rf"{ELLIPSES}|{ICONS}|(?<=[0-9])[+\-*^](?=[0-9-])|(?<={LOWER}|{QUOTES})\.(?={UPPER}|{QUOTES})|(?<={ALPHA}),(?={ALPHA})"
    rf"|(?<=[{ALPHA}0-9])(?:-|–|—|--|---|——|~)(?={ALPHA})|(?<=[{ALPHA}0-9])[:<>=/](?={ALPHA})", regex.V1)
WHOLE = {*_ABBREVIATIONS.split(), "'s", "'S", "’s", "’S", "''", "’’"}


def plain(run: str) -> list[str]:
    """spaCy's pseudo-code for one run between blanks."""
    tokens: list[str] = []
    suffixes: list[str] = []
    while run and run not in WHOLE and ((before := PREFIX.match(run)) or SUFFIX.search(run)):
        if before:
            tokens.append(run[: before.end()])
            run = run[before.end() :]
        if run and run not in WHOLE and (behind := SUFFIX.search(run)):
            suffixes.append(run[behind.start() :])
            run = run[: behind.start()]
    if run in WHOLE:
        tokens.append(run)
    elif run:
        at = 0
        for found in INFIX.finditer(run):
            if found.start() > 0:
                tokens += [run[at : found.start()], found[0]]
                at = found.end()
        tokens.append(run[at:])
    return [t for t in [*tokens, *reversed(suffixes)] if t]


def cut(text: str) -> list[str]:
    sizes = (runs(pa.array([text]))[0].values.to_numpy()[1::2] >> np.uint64(2)).astype(int)
    letters, ends = "".join(text.split()), np.cumsum(sizes)
    return [letters[end - size : end] for size, end in zip(sizes, ends, strict=True)]


PIECES = ["a", "bb", "Ab", "A", "XY", "1", "23", "km", "kg", "mb", ".", "..", "...", "…", ",", "-", "--", "---", "—", "–", "~", "'", '"', "’", "”", "(", ")", "[", "]",
          "%", "$", "€", "§", "+", "=", "*", "^", ":", ";", "/", "<", ">", "_", "&", "#", "!", "?", "😀", "。", "、", "「", "漢", "'s", "’S", "²", "°", "Mr.", "e.g.", "U"]


@settings(max_examples=250)
@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join), min_size=1, max_size=4))
@example(["XY.", "A.", "a-.", "5+.", "25%.", "x².", "(a).", "a'.", "Ab.Cd", "a.\"", "5km.", "5kmkm", "km5", "$5", "5$", "5€%", "+5", "5+", "+a", "1+-2", "1--2"])
@example(["a---b", "a----b", "a——b", "a———b", "a~b", "1-a", "a-1", "a,b", "1,a", "a,1", "1:2", "a:b", "a:1", "1<b", "A.b", "a.B", "漢.漢", "a😀b", "a…b", "a..b", "a**b"])
def test_words_are_those_of_spacys_expressions(parts: list[str]) -> None:
    text = " ".join(parts)
    assume(not regex.search(r"\.\p{L}\p{L}|://|['’](d|m|t|ll|re|ve)\b", text))
    assert cut(text) == [word for part in parts for word in plain(part)]


@pytest.mark.parametrize("size", [9, 10, 11, 200])
def test_a_run_of_any_length_is_cut_like_a_short_one(size: int) -> None:
    for run in (f"({'a' * size}),", f"{'1' * size}km", f"5{'k' * size}", f"{'a' * size}-{'B' * size}...", "(" * size + "a" + ")" * size, f"{'.' * size}a{'!' * size}"):
        assert cut(run) == plain(run)


# What spaCy 3.8 (blank English) makes of these, recorded.
RECORDED = [
    ("I should've gone; you could’ve too. Those've gone, these'll stay, not've.",
     "I should 've gone ; you could ’ve too . Those 've gone , these 'll stay , not 've ."),
    ("At 5pm (10am), 12:30pm, 13pm or 11am. v4am 9pmx",
     "At 5 pm ( 10 am ) , 12:30pm , 13pm or 11 am . v4am 9pmx"),
    ("'s —'s ‘s “'em” 'cause goin' home, nothin’. Ol' 'bout ''",
     "'s — 's ‘s “ 'em ” 'cause goin' home , nothin’ . Ol' 'bout ''"),
    ("a…… b………c …… ……d e……。",
     "a …… b … … … c … … … … d e …… 。"),
    ("ö. Ä. (ü.)",
     "ö. Ä. ( ü. )"),
    ("would've.",
     "would 've ."),
    ("Must've’s that'd, who're it'd He'd She’ll THERE'S Why'd",
     "Must 've ’s that 'd , who 're it 'd He 'd She ’ll THERE 'S Why 'd"),
    ("x+y://a.b ftp+ssh://h.de/x mailto:a@b.org a_b.org/c a-b.co:80/x .a.com a..com me@x me@x.y u:p@h.com http://localhost 1.2.3.4 a.1b a.c",
     "x+y://a.b ftp+ssh://h.de/x mailto:a@b.org a_b.org/c a-b.co:80/x .a.com a .. com me@x me@x.y u:p@h.com http://localhost 1.2.3.4 a.1b a.c"),
    ("1,a a,1 é,ü 1,000,a U.S.-led A.-b x-. 5+. ².",
     "1,a a,1 é , ü 1,000,a U.S.-led A.-b x- . 5 + . ² ."),
]


@pytest.mark.parametrize(("text", "expected"), RECORDED)
def test_exceptions_are_spacys(text: str, expected: str) -> None:
    assert cut(text) == expected.split()


VERBS = ("ai", "are", "ca", "could", "did", "does", "do", "had", "has", "have", "is", "might", "must", "need", "ought", "sha", "should", "was", "were", "wo", "would")
HAVING = ("could", "might", "must", "should", "would", "not", "i", "we", "they", "you")
ASKING = ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those")


@pytest.mark.parametrize("mark", ["'", "’"])
def test_contractions_are_cut_before_their_apostrophe_and_others_stay_whole(mark: str) -> None:
    split = [(verb, f"n{mark}t") for verb in VERBS] + [(word, f"{mark}ve") for word in HAVING]
    split += [(word, f"{mark}{tail}") for word in ASKING for tail in ("ll", "d", "re", "ve") if tail in ("ll", "d") or word not in ("that", "this")]
    for word, tail in split + [(w.capitalize(), t) for w, t in split]:
        assert cut(f"{word}{tail}") == [word, tail] and cut(f"({word}{tail}),") == ["(", word, tail, ")", ","]
    for word in ("John{}ll", "rock{}n{}roll", "o{}clock", "ma{}am", "cat{}d", "x{}re", "he{}t", "{}em", "doin{}"):
        assert cut(word.replace("{}", mark)) == [word.replace("{}", mark)]
