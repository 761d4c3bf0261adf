"""Mappers that replace or drop single characters."""

from functools import lru_cache

import pyarrow as pa

from ..base import mapper
from ..kernels.translating import Table, table_of, translate

# BigScience's table, through Data-Juicer. The full-width digit one, which becomes a quotation mark, is a slip of the source.
ENGLISH = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "１": '"', "」": '"', "「": '"',
    "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "；": ";", "–": "-",
    "—": " - ", "．": ". ", "～": "~", "’": "'", "…": "...", "━": "-", "〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%",
    "►": "-",
}
_LATIN = "".join(map(chr, range(ord("a"), ord("z") + 1)))
_PUNCTUATION = ".， ,-。%《*》/•、&＆(—)（+）：？!！“”·"


@lru_cache(maxsize=32)
def _table(replacements: tuple[tuple[str, str], ...], others: str | None = None) -> Table:
    return table_of(dict(replacements), others=others)


@mapper("punctuation_normalization_mapper")
def english_punctuation(text: pa.StringArray) -> pa.StringArray:
    """Text with 33 Chinese, typographic and full-width marks replaced by what English writes (`。` by `.`, `“` by `"`).

    A full-width 1 becomes a quotation mark, as in BigScience's table. Empty: empty. Null: null. Cost: two passes.
    Source: BigScience ROOTS.
    >>> english_punctuation(pa.array(["“你好”，…"])).to_pylist()
    ['"你好",...']
    """
    return translate(text, _table(tuple(ENGLISH.items())))


@mapper("remove_specific_chars_mapper")
def without_characters(text: pa.StringArray, *, chars_to_remove: str | list[str] = "◆●■►▼▲▴∆▻▷❖♡□") -> pa.StringArray:
    """Text without the characters of `chars_to_remove`.

    Nothing to remove: the text as it is. Empty: empty. Null: null. Cost: two passes. Source: Data-Juicer.
    >>> without_characters(pa.array(["► item"])).to_pylist()
    [' item']
    """
    return translate(text, _table(tuple((c, "") for c in sorted(set("".join(chars_to_remove))))))


@mapper("remove_non_chinese_character_mapper")
def only_chinese(
    text: pa.StringArray, *, keep_alphabet: bool = True, keep_number: bool = True, keep_punc: bool = True
) -> pa.StringArray:
    """Text of which only Chinese characters (U+4E00 to U+9FA5) stay, and, as asked, a to z, digits and common marks.

    Line breaks and tabs go too; spaces are marks. Empty: empty. Null: null. Cost: two passes. Source: Data-Juicer.
    >>> only_chinese(pa.array(["你好，Straße 1\\n"]), keep_alphabet=False).to_pylist()
    ['你好， 1']
    """
    kept = _LATIN + _LATIN.upper() if keep_alphabet else ""
    kept += "0123456789" if keep_number else ""
    kept += _PUNCTUATION if keep_punc else ""
    kept += "".join(map(chr, range(0x4E00, 0x9FA6)))
    return translate(text, _table(tuple((c, c) for c in kept), ""))
