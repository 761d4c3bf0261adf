"""The mapper that puts blanks between the words of languages that are written without."""

import functools
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..base import mapper
from ..kernels.strings import rewrite

_SCRIPTS = {
    "zh": r"\p{Han}", "ja": r"\p{Han}\p{Hiragana}\p{Katakana}ー々〆", "th": r"\p{Thai}",
}
_HINTS = {"zh": r"\p{Han}", "ja": r"[\p{Han}\p{Hiragana}\p{Katakana}]", "th": r"\p{Thai}"}  # RE2
_MOST = 2000  # code points that a library sees at a time: what it costs may grow faster than the text


@mapper("word_segmentation_mapper")
def segmented(text: pa.StringArray, *, lang: Literal["zh", "ja", "th"] = "zh", field_name: str | None = None) -> pa.Array:
    """Text with a blank between any two words of Chinese, Japanese or Thai, so that words can be counted as elsewhere.

    Nothing else changes: without the blanks put in it is the same text. With `field_name` the text stays as it is, and the
    answer is in a column of that name: give it to filters of words as their `text_key`. Libraries: rjieba (zh), fugashi with
    UniDic (ja), PyThaiNLP's newmm (th). Empty: empty. Null: null. Cost: the library, on the stretches in these scripts.
    Raises ValueError where it is not installed. Source: jieba; Kudo et al. 2004 (MeCab); Phatthiyaphaibun et al. 2023.
    >>> segmented(pa.array(["no such letters", None])).to_pylist()
    ['no such letters', None]
    """
    cut, stretch = _CUTTERS[lang](), _stretch(lang)
    answer = rewrite(text, pc.match_substring_regex(text, _HINTS[lang]), lambda row: _spaced(row, stretch, cut))
    return answer if field_name is None else pa.StructArray.from_arrays([answer], names=[field_name], mask=pc.is_null(text))


@functools.cache
def _stretch(lang: str) -> "regex.Pattern[str]":
    return regex.compile(rf"[{_SCRIPTS[lang]}][{_SCRIPTS[lang]}\p{{M}}]*+")


def _spaced(row: str, stretch: "regex.Pattern[str]", cut: Callable[[str], list[str]]) -> str:
    """The row with blanks between the words of each stretch, before it, and between it and a letter or digit behind it."""
    made, done = [], 0
    for match in stretch.finditer(row):
        start, end = match.span()
        before = row[start - 1] if start else " "
        made += [row[done:start], "" if before.isspace() or unicodedata.category(before) in ("Ps", "Pi") else " "]
        made.append(" ".join(word for part in _parts(match.group()) for word in _words(part, cut)))
        made.append(" " if end < len(row) and row[end].isalnum() else "")
        done = end
    return "".join([*made, row[done:]])


def _parts(stretch: str) -> Iterator[str]:
    return (stretch[i : i + _MOST] for i in range(0, len(stretch), _MOST))


def _words(part: str, cut: Callable[[str], list[str]]) -> Iterator[str]:
    """The words of a library's answer; whatever it leaves out stays where it was."""
    at = 0
    for word in cut(part):
        place = part.find(word, at) if word else -1
        if place >= 0:
            if place > at:
                yield part[at:place]
            yield word
            at = place + len(word)
    if at < len(part):
        yield part[at:]


def _missing(lang: str) -> str:
    return f"word_segmentation_mapper for {lang} needs the extra 'segmentation': pip install 'tamis[segmentation]'"


@functools.cache
def _chinese() -> Callable[[str], list[str]]:
    try:
        import rjieba
    except ImportError as e:
        raise ValueError(_missing("zh")) from e
    return rjieba.cut  # type: ignore[no-any-return]


@functools.cache
def _japanese() -> Callable[[str], list[str]]:
    try:
        import fugashi
        import unidic_lite  # noqa: F401  (the dictionary that fugashi takes up)
    except ImportError as e:
        raise ValueError(_missing("ja")) from e
    tagger = fugashi.Tagger()
    return lambda part: [word.surface for word in tagger(part)]


@functools.cache
def _thai() -> Callable[[str], list[str]]:
    try:
        from pythainlp.tokenize import word_tokenize
    except ImportError as e:
        raise ValueError(_missing("th")) from e
    return functools.partial(word_tokenize, engine="newmm-safe")


_CUTTERS: dict[str, Callable[[], Callable[[str], list[str]]]] = {"zh": _chinese, "ja": _japanese, "th": _thai}
