"""No row's answer depends on what stands beside it in the buffer, whatever bytes it has: a law over the kernels."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators.dedup import folding as tables
from tamis.operators.dedup.shingles import reading
from tamis.operators.filters.gopher import _classes as word_classes
from tamis.operators.kernels import codepoints, runs, sentences, web_lines
from tamis.operators.kernels.blanks import normalise
from tamis.operators.kernels.breaks import count_lines, longest_lines
from tamis.operators.kernels.english_lists import tables as english_tables
from tamis.operators.kernels.english_words import english_runs
from tamis.operators.kernels.evaluation import folds, read_words
from tamis.operators.kernels.exact import digests
from tamis.operators.kernels.folding import Texts
from tamis.operators.kernels.grids import without_tables
from tamis.operators.kernels.hashing import count_words, word_hashes
from tamis.operators.kernels.layout import count_symbols, line_facts, repeated_pieces
from tamis.operators.kernels.linear_text import text_features, word_table
from tamis.operators.kernels.minhash import band_keys, shingle_sets
from tamis.operators.kernels.ngrams import character_repetition
from tamis.operators.kernels.pieces import joined, words_at
from tamis.operators.kernels.pieces import stripped as stripped_words
from tamis.operators.kernels.row_hash import digest_texts, read_numbers
from tamis.operators.kernels.simhash import simhashes
from tamis.operators.kernels.sketches import signatures
from tamis.operators.kernels.strings import view
from tamis.operators.kernels.token_windows import string_hashes, window_units
from tamis.operators.kernels.translating import table_of, translate
from tamis.operators.kernels.units import Found, Rules, line_units


def column(rows: list[bytes | None]) -> pa.Array:
    """Rows of any bytes as a string column, between neighbours that would complete what they begin."""
    return pa.array([b"\xbf\x80", *rows, b"\x80\x80\x80"], pa.binary()).view(pa.string()).slice(1, len(rows))


def far(rows: list[bytes]) -> pa.Array:
    """The same behind more bytes than 32 bits can count; they are never touched, so there is no memory behind them."""
    start, content = (1 << 31) + 7, b"".join(rows)
    buffer = np.zeros(start + len(content) + 1, np.uint8)
    buffer[start:-1] = np.frombuffer(content, np.uint8)
    offsets = start + np.cumsum([0, *map(len, rows)])
    return pa.Array.from_buffers(pa.large_string(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])


def strings_of(offsets: np.ndarray, data: np.ndarray) -> list[bytes]:
    return [bytes(data[a:b]) for a, b in pairwise(offsets)]


def lists_of(bounds: np.ndarray, values: np.ndarray) -> list[list[Any]]:
    return [values[a:b].tolist() for a, b in pairwise(bounds)]


def pieces_of(text: pa.Array) -> list[bytes]:
    offsets, data = view(text)
    counts, places = words_at(offsets, data)
    inner = stripped_words(data, places, codepoints.classes(), codepoints.SPECIAL_CHARACTER)
    return strings_of(*joined(offsets, data, counts, places, inner[:, 0] < inner[:, 1]))


def found_units(found: Found) -> list[list[Any]]:
    return lists_of(found.bounds, np.array([found.key, found.check, found.start, found.next, found.prior]).T)


def repeated_words(text: pa.Array) -> list[list[int]]:
    told = runs.word_runs(*view(text), word_classes())
    listed = np.unique(runs.word_runs(*view(pa.array(["a the 12"])), word_classes())[1][::2])
    return np.concatenate([runs.count_runs(*told, listed), runs.repeated_points(*told, np.array([1, 2]), np.array([1]))]).T.tolist()


def sentences_of(text: pa.Array) -> list[bytes]:
    kinds = np.zeros(0x110000, np.uint8)
    kinds[[46, 0x3002]], kinds[0x201D], kinds[32], kinds[97:123] = sentences.ENDS, sentences.QUOTE, sentences.BLANK, sentences.KEPT
    return strings_of(*sentences.first_of_each(*view(text), kinds, codepoints.folds(), False, 1))


def web_of(text: pa.Array) -> list[tuple[bytes, int]]:
    offsets, data, gone = web_lines.good_lines(*view(text), word_classes(), 1, 9, True, False, True, True)
    return list(zip(strings_of(offsets, data), gone.tolist(), strict=True))


def plain_texts(text: pa.Array) -> Texts:
    return tables.texts(text, False)


def read(text: pa.Array, mode: str) -> Any:
    return reading(text, tokenization=mode, window_size=2, lowercase=False, ignore_pattern=None)


RULES = Rules(True, 2, True, True, True, True)
ONE_BY_ONE: dict[str, Callable[[pa.Array], list[Any]]] = {
    "code points": lambda t: codepoints.count_code_points(*view(t)).tolist(),
    "classes": lambda t: np.array(codepoints.count_class(*view(t), codepoints.classes(), codepoints.ALNUM)).T.tolist(),
    "lines": lambda t: count_lines(*view(t)).tolist(),
    "longest lines": lambda t: longest_lines(*view(t)).tolist(),
    "words": lambda t: count_words(*view(t), np.full(0x110000, 3, np.uint8)).tolist(),
    "word hashes": lambda t: lists_of(*word_hashes(t)),
    "symbols": lambda t: count_symbols(*view(t)).T.tolist(),
    "pieces": lambda t: repeated_pieces(*view(t), 2, True).T.tolist(),
    "line facts": lambda t: line_facts(*view(t), codepoints.classes() > 0, 3).T.tolist(),
    "repetition": lambda t: character_repetition(*view(t), 2).tolist(),
    "web lines": web_of,
    "page": lambda t: web_lines.count_page(*view(t)).T.tolist(),
    "runs": repeated_words,
    "English": lambda t: lists_of(*english_runs(*view(t), word_classes(), *english_tables())),
    "evaluation": lambda t: lists_of(*read_words(*view(t), *folds())[0:4:3]),
    "features": lambda t: lists_of(*text_features(*view(t), word_table(), 1 << 10)[:2]),
    "blanks": lambda t: strings_of(*normalise(*view(t), codepoints.classes())),
    "tables": lambda t: strings_of(*without_tables(*view(t), 1, 3, codepoints.classes() == codepoints.SPACE)),
    "sentences": sentences_of,
    "words between blanks": pieces_of,
    "digests": lambda t: np.array(digest_texts(*view(t))).T.tolist(),
    "numbers": lambda t: np.array(read_numbers(*view(t))).T.tolist(),
    "string hashes": lambda t: string_hashes(*view(t)).tolist(),
    "exact": lambda t: np.array(digests(plain_texts(t), tables.fold_table(True, True), True)).T.tolist(),
    "windows": lambda t: found_units(window_units(plain_texts(t), 2, False)),
    "characters": lambda t: found_units(window_units(plain_texts(t), 3, True)),
    "paragraphs": lambda t: found_units(line_units(plain_texts(t), plain_texts(t), False, tables.fold_table(False, True), RULES)),
    "simhash": lambda t: simhashes(*read(t, "punctuation"))[0].tolist(),
    "datasketch": lambda t: signatures(*read(t, "character"), *np.array([[3, 5], [7, 9]], np.uint64), True).tolist(),
    "bands": lambda t: lists_of(*band_keys(*read(t, "space"), 3, 2)[1::-1]),
    "shingles": lambda t: lists_of(*shingle_sets(*read(t, "character"))[::-1]),
    "translated": lambda t: strings_of(*view(translate(t, table_of({"é": "", "a": "漢", "\ufffd": "?"})))),
}
PARTS = [
    b"a", b"Bc", b" ", b"\n", b"\n\n", b".", b"12", b"-7.5e1", b"|", b"<a>", b"# h", b"\xc3\xa9", b"\xe6\xbc\xa2", b"\xf0\x9f\x98\x80", b"\xe3\x80\x80",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80", b"\xc3", b"\xf0\x9f\x98", b"\xf0", b"\x80", b"\xff", b"\xf7\xbf\xbf\xbf", b"\xed\xa0\x80", b"\xc2",
    b"[1]", b"lorem ipsum", b"...", b"\r", b"\x00", b"x" * 70, b"the the the ", b"\xe2\x80\x9d",
]


def rows_for(seed: str) -> list[bytes]:
    draw = random.Random(seed)
    rows = [b"".join(draw.choices(PARTS, k=k)) for k in (0, 0, 1, 1, 2, 2, 3, 3, 5, 9, 20, 60) for _ in range(6)]
    return draw.sample(rows, len(rows))


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_row_answers_the_same_alone_and_between_any_others_whatever_its_bytes(name: str) -> None:
    """Rows end in the middle of a character, and what is beside them would complete it."""
    answer, rows = ONE_BY_ONE[name], rows_for(name)
    alone = [answer(pa.array([row], pa.binary()).view(pa.string()))[0] for row in rows]
    assert answer(column(rows)) == alone
    assert answer(column(rows).slice(7, 30)) == alone[7:37]
    assert answer(column([])) == []
    assert answer(far(rows)) == alone


HOSTILE = ["a", "\n", "a\n", "é ", ". ", "a.", "|", "a |b|\n", "()", "[", "[1]", "\u3000", "1", "-", "lorem ipsum", "\r\n\n", "{", "\u0301", "İΣ", "<a"]


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_no_row_takes_the_square_of_its_length(name: str) -> None:
    """100,000 code points: a square would be 10 seconds and more."""
    ONE_BY_ONE[name](pa.array(["compiled first"]))
    for part in HOSTILE:
        text = pa.array([part * (100_000 // len(part))])
        began = time.thread_time()
        ONE_BY_ONE[name](text)
        assert time.thread_time() - began < 2, part


def test_all_at_once_in_threads_answer_as_one_after_the_other() -> None:
    """Kernels let go of the interpreter's lock: what one works with must be its own."""
    text = column(rows_for("threads") * 20)
    expected = {name: answer(text) for name, answer in ONE_BY_ONE.items()}
    with ThreadPoolExecutor(6) as pool:
        jobs = [(name, pool.submit(ONE_BY_ONE[name], text)) for name in [*ONE_BY_ONE, *reversed(ONE_BY_ONE)]]
    assert all(job.result() == expected[name] for name, job in jobs)
