"""Mappers on sentences: each but once."""

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..base import mapper
from ..kernels.codepoints import CODE, CODE_POINTS, SPACE, classes, folds
from ..kernels.sentences import BLANK, ELLIPSIS, ENDS, ENDS_QUOTED, KEPT, QUOTE, first_of_each
from ..kernels.strings import strings, view

_CUTS = tuple(map(regex.compile, (
    r"([.。！!？\?])([^’”])", r"(\.{6})([^’”])", r"(…{2})([^’”])", r"([.。！!？\?\.{6}…{2}][’”])([^’”])",
)))


@mapper("remove_repeat_sentences_mapper")
def without_repeated_sentences(
    text: pa.StringArray, *, lowercase: bool = False, ignore_special_character: bool = True,
    min_repeat_sentence_length: int = 2, tokenizer: str | None = None,
) -> pa.StringArray:
    """Text of which the second and further occurrences of a sentence are left out; its line breaks stay.

    A sentence ends after `.`, `!`, `?`, their Chinese forms, two ellipses, or such a mark and a closing quotation mark.
    Sentences are compared without blanks at their ends, with `ignore_special_character` by letters a to z, digits, blanks
    and Chinese characters only, so that in other scripts very different ones are equal; those of fewer than
    `min_repeat_sentence_length` such characters all stay. Empty: empty. Null: null. Cost: four passes.
    Raises ValueError for `tokenizer`, which in Data-Juicer is Python code. Source: Data-Juicer.
    >>> without_repeated_sentences(pa.array(["Again. And again. And again! No."])).to_pylist()
    ['Again. And again. No.']
    """
    if tokenizer is not None:
        raise ValueError("tokenizer is Python code in Data-Juicer and not run here; leave it out and sentences end at . ! ? …")
    lower = _lowered() if lowercase else np.arange(CODE_POINTS, dtype=np.uint32)
    kept = first_of_each(*view(text), _kinds(), lower, not ignore_special_character, min_repeat_sentence_length)
    answer = strings(*kept, like=text)
    if not lowercase or ignore_special_character:
        return answer
    needy = pc.fill_null(pc.match_substring_regex(text, "[\u03a3\u0130]"), False)  # str.lower of these looks around
    slow = [_first_of_each(row, min_repeat_sentence_length) for row in text.filter(needy).to_pylist()]
    return pc.replace_with_mask(answer, needy, pa.array(slow, text.type)) if slow else answer


def _new(key: str, seen: set[str]) -> bool:
    """Whether it was not seen before; from now on it is."""
    before = len(seen)
    seen.add(key)
    return len(seen) > before


def _first_of_each(row: str, shortest: int) -> str:
    """One text, sentences compared by str.lower of them whole."""
    seen: set[str] = set()
    kept: list[str] = []
    for line in row.split("\n"):
        for pattern in _CUTS:
            line = pattern.sub(r"\1\n\2", line)
        sentences = [(s, s.strip().lower()) for s in line.split("\n")] if line else []
        kept.append("".join(s for s, key in sentences if len(key) < shortest or _new(key, seen)))
    return "\n".join(kept)


@cache
def _lowered() -> np.ndarray:
    """uint32[0x110000]: str.lower of each code point; of the dotted capital I the part that is a letter."""
    table = folds() & np.uint32(CODE)
    table[0x130] = ord("i")
    return table


@cache
def _kinds() -> np.ndarray:
    """uint8[0x110000] for `first_of_each`."""
    table = np.where(classes() & SPACE, np.uint8(BLANK), np.uint8(0))
    for marks, bit in ((".。!！?？", ENDS), ("…", ELLIPSIS), (".。!！?？{}62…", ENDS_QUOTED), ("’”", QUOTE)):
        table[[ord(c) for c in marks]] |= np.uint8(bit)
    table[0x4E00:0x9FA6] |= np.uint8(KEPT)
    for first, last in ("az", "AZ", "09"):
        table[ord(first) : ord(last) + 1] |= np.uint8(KEPT)
    table[[ord(c) for c in "\n\t "]] |= np.uint8(KEPT)
    return table
