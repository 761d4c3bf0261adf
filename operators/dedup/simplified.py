"""Text as datatrove compares it: lower case, numbers as 0, marks and white space as blanks, letters without accents; its words."""

import re
import sys
import unicodedata
from functools import lru_cache
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..kernels import apart, english_parts
from ..kernels import simplifying as kernels
from ..kernels.codepoints import spread
from ..kernels.strings import strings, view
from .folding import code_points, texts

# datatrove 0.10.1 (Apache-2.0), utils/text.py: the marks that it turns into blanks, control characters too
MARKS = frozenset("!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»").union(
    map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160))))
NUMBER = regex.compile(r"\p{Nd}+([.,،٫⎖⎗⎘]\p{Nd}+)?")
POINTS = ".,،٫⎖⎗⎘"
_MARKS_TO_BLANKS = str.maketrans(dict.fromkeys(MARKS, " "))


def simplify(text: str, lowercase: bool = True) -> str:
    """One text in that form, by Python: datatrove's `simplify_text` with its default settings."""
    text = NUMBER.sub("0", text.lower() if lowercase else text).translate(_MARKS_TO_BLANKS)
    return _bare(re.sub(r"\s+", " ", text.strip())).strip()


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


@lru_cache(maxsize=2)
def _tables(lowercase: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(kinds, bounds, letters) as `kernels.simplified` wants them."""
    kinds, sizes, letters = np.zeros(sys.maxunicode + 1, np.uint8), np.zeros(sys.maxunicode + 2, np.int32), bytearray()
    digits = {found.start() for found in regex.finditer(r"\p{Nd}", code_points())}
    for point, character in enumerate(code_points()):  # a Python loop over code points, once per process
        low = character.lower() if lowercase else character
        plain = low if len(low) == 1 else character
        if ord(plain) in digits:
            kinds[point] = kernels.DIGIT
        elif plain in MARKS or plain.isspace():
            kinds[point] = kernels.BLANK
        elif unicodedata.combining(plain) and unicodedata.category(plain) != "Mn":
            kinds[point] = kernels.PYTHON  # what order such marks come to stand in is a matter of their neighbours
        elif not 0xD800 <= point < 0xE000 and (bare := _bare(plain)) != character:
            kinds[point], told = kernels.OTHER, bare.encode()
            sizes[point + 1] = len(told)
            letters += told
        if plain in POINTS:
            kinds[point] |= kernels.POINT
    return kinds, np.cumsum(sizes, dtype=np.int32), np.frombuffer(bytes(letters), np.uint8)


def simplified(text: pa.StringArray, lowercase: bool) -> pa.LargeStringArray:
    """datatrove's `simplify_text` of each text, but that words are never further apart than one blank.

    Shape: large_string[n]. Empty: "". Null: null. Cost: one pass; the few rows with rare combining marks go through Python.
    """
    data, ends, odd = kernels.simplified(texts(text, lowercase), *_tables(lowercase))
    missing = text.is_null()
    found = pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(data))
    found = pc.if_else(missing, pa.scalar(None, pa.large_string()), found)
    if odd.any():
        rows = [simplify(row, lowercase) for row in text.filter(pa.array(odd)).to_pylist()]
        found = pc.replace_with_mask(found, pa.array(odd), pa.array(rows, pa.large_string()))
    return found


@lru_cache(maxsize=1)
def _english() -> tuple[np.ndarray, apart.Words, apart.Words, apart.Words]:
    """(kinds, words that are cut, units, words that are not cut) as `apart.set_apart` wants them."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    for bit, points in (
        (apart.OPENS, english_parts.OPENS), (apart.CLOSES, english_parts.CLOSES), (apart.MONEY, english_parts.MONEY),
        (apart.PARTS, english_parts.PARTS), (apart.JOINS, english_parts.JOINS), (apart.LETTER, english_parts.LETTERS),
    ):
        kinds |= spread(points).view(np.uint8) * np.uint8(bit)
    words = {w.replace("-", ""): tuple(accumulate(map(len, w.split("-")[:-1]))) for w in english_parts.APART.split()}
    units, whole = (apart.table_of(dict.fromkeys(told.split(), ())) for told in (english_parts.UNITS, english_parts.WHOLE))
    return kinds, apart.table_of(words), units, whole


def english_words(text: pa.StringArray, lowercase: bool) -> pa.LargeStringArray:
    """The words that datatrove cuts each text into where it takes it for English, with blanks between: `simplified`, cut further.

    Shape: large_string[n]. Empty: "". Null: null. Cost: two passes.
    """
    plain = simplified(text, lowercase)
    data, ends = apart.set_apart(*view(plain), *_english())
    return strings(ends, data, like=plain)
