"""The mapper between the ways in which Chinese is written."""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import mapper
from ..kernels.codepoints import rows_with
from ..kernels.strings import rewrite, view

_NOT_ASCII = np.arange(256) >= 0x80

Mode = Literal[
    "s2t", "t2s", "s2tw", "tw2s", "s2hk", "hk2s", "s2twp", "tw2sp", "t2tw", "tw2t", "hk2t", "t2hk", "t2jp", "jp2t",
]


@mapper("chinese_convert_mapper")
def other_characters(text: pa.StringArray, *, mode: Mode = "s2t") -> pa.StringArray:
    """Text in the characters that `mode` says: s simplified, t traditional, tw Taiwan, hk Hong Kong, jp Japan; p with idioms.

    Empty: empty. Null: null. Cost: one search; OpenCC on texts that are not all ASCII.
    Raises ValueError where OpenCC is not installed. Source: OpenCC.
    >>> other_characters(pa.array(["汉字"])).to_pylist()
    ['漢字']
    """
    return rewrite(text, rows_with(*view(text), _NOT_ASCII), _converter(mode))


@functools.lru_cache(maxsize=16)
def _converter(mode: str) -> Callable[[str], str]:
    try:
        import opencc
    except ImportError as e:
        raise ValueError("chinese_convert_mapper needs the extra 'text': pip install 'tamis[text]'") from e
    convert: Callable[[str], str] = opencc.OpenCC(mode).convert
    return convert
