"""From bytes to tokens, shingles, minima and bands: each step against whole numbers and str."""

import random

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit

from tamis.operators.dedup.hamming import near
from tamis.operators.dedup.minhash import minhash_keys, minhash_probe
from tamis.operators.dedup.shingles import reading, shingle_sets
from tamis.operators.kernels import blocks, minhash, tokens
from tamis.operators.kernels.digest import absorbed, mixed
from tamis.operators.kernels.shingling import windows
from tamis.operators.kernels.simhash import near_in_order

WHOLE = (1 << 64) - 1
SEED = 0x27D4EB2F165667C5
TEXT = st.lists(st.sampled_from(["a", "Bc", " ", "  ", ".", "—", "é", "漢", "😀", "x" * 9, "\n", "İ", "ΣΑΣ", "\x00", "\u3000", "!?"]), max_size=20).map("".join)


def stir(h: int, word: int) -> int:
    return int(absorbed(np.uint64(h & WHOLE), np.uint64(word & WHOLE)))


def hashed(token: str, mode: str) -> int:
    """A token's hash: a code point's number as one word, else words of eight bytes behind the length."""
    if mode == "character":
        return stir(SEED, ord(token))
    data = token.encode()
    h, at = SEED + (len(data) if mode == "punctuation" else 0), 0
    while len(data) - at >= 8:
        h, at = stir(h, int.from_bytes(data[at : at + 8], "little")), at + 8
    return stir(h + (len(data) if mode == "space" else 0), int.from_bytes(data[at:], "little"))


def cut(text: str, mode: str) -> list[str]:
    return {"space": lambda: [t for t in text.split(" ") if t], "punctuation": lambda: regex.split(r"\p{P}", text) if text else [],
            "character": lambda: list(text)}[mode]()


def shingles(text: str, mode: str, window: int) -> set[int]:
    told = [hashed(t, mode) for t in cut(text, mode)]
    width = min(window, len(told))
    sums = [sum(h * pow(0x9FB21C651E98DF27, width - 1 - j, 1 << 64) for j, h in enumerate(told[i : i + width])) for i in range(len(told) - width + 1)]
    return {int(mixed(np.uint64((s + width * SEED) & WHOLE))) for s in sums} if told else set()


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT | st.none(), min_size=1, max_size=4), st.sampled_from(["space", "punctuation", "character"]), st.integers(1, 15), st.booleans())
@example(["x" * 64 + " " + "é" * 40, "." * 70, " " * 65, "a." * 40], "punctuation", 13, True)
def test_shingles_are_sums_of_hashes_of_tokens(rows: list[str | None], mode: str, window: int, lowercase: bool) -> None:
    text = pa.array(["pad", *rows, "pad"], pa.string()).slice(1, len(rows))
    found = shingle_sets(text, tokenization=mode, window_size=window, lowercase=lowercase).to_pylist()
    assert found == [None if r is None else sorted(shingles(r.lower() if lowercase else r, mode, window)) for r in rows]


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT | st.none(), min_size=1, max_size=4), st.sampled_from(["space", "punctuation", "character"]), st.booleans())
def test_tokens_are_written_out_with_a_blank_between_them(rows: list[str | None], mode: str, lowercase: bool) -> None:
    text = pa.array(["pad", *rows, "pad"], pa.string()).slice(1, len(rows))
    texts, how, tables = reading(text, tokenization=mode, window_size=1, lowercase=lowercase, ignore_pattern=None)
    room = tokens.room_for(texts)
    for i, row in enumerate(rows):
        count = tokens.row_tokens(texts, i, how, tables, room)
        told = cut((row or "").lower() if lowercase else row or "", mode)
        out, begin, end = (part.tolist() for part in (room[1], room[2][:count], room[3][:count]))
        assert [bytes(out[a:b]).decode() for a, b in zip(begin, end, strict=True)] == told
        assert bytes(out[: end[-1] if count else 0]).decode() == ("" if mode == "character" else " ").join(told)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "Z", " ", "@", "[", "é", "x" * 30, " " * 30, "漢"]), max_size=14).map(lambda p: "".join(p).encode()),
       st.integers(0, 3), st.booleans())
@example(b"x" * 64, 0, True)
@example(b" " * 63 + b"A", 2, True)
@example(b"a" * 127 + b" ", 1, False)
def test_blocks_are_copied_and_their_runs_found(row: bytes, skip: int, lowercase: bool) -> None:
    for behind in (0, 200):  # with nothing behind them blocks must not be read past the buffer's end
        data = np.frombuffer(b"Q" * skip + row + b"Q" * behind, np.uint8)
        out, masks = np.zeros(len(row) + 2 * blocks.BLOCK, np.uint8), np.zeros((2, len(row) // blocks.BLOCK + 2), np.uint64)
        blocks.copied(data, skip, skip + len(row), np.uint8(26 if lowercase else 0), out, masks)
        expected = row.lower() if lowercase else row  # bytes.lower: ASCII alone
        assert out[: len(row)].tobytes() == expected
        size = blocks.BLOCK * (len(row) // blocks.BLOCK + 1)
        bits = [[int(masks[kind, k // 64]) >> k % 64 & 1 for k in range(size)] for kind in range(2)]
        assert bits[0] == [int(b == 32) for b in row] + [1] * (size - len(row))
        assert bits[1] == [int(b >= 128) for b in row] + [0] * (size - len(row))
        places, count = np.zeros(len(row) + 16, np.int64), 0
        for k in range(size // blocks.BLOCK):  # block by block is the same as all at once
            count = blocks.edges(masks, k, k + 1, places, count)
        spans = [m.span() for m in regex.finditer(rb"[^ ]+", row)]
        assert places[:count].tolist() == [at for span in spans for at in span]
        assert blocks.edges(masks, 0, size // blocks.BLOCK, places, 0) == count


@njit
def counted(word: np.uint64) -> tuple[int, int]:
    return blocks.bits(word), blocks.first_bit(word)


@given(st.integers(0, WHOLE) | st.integers(0, 63).map(lambda k: 1 << k))
def test_bits_are_counted_and_the_first_is_found(word: int) -> None:
    assert counted(np.uint64(word)) == (word.bit_count(), (word & -word).bit_length() - 1 if word else 64)


@given(st.integers(1, 40), st.integers(1, 12))
def test_permutations_are_the_same_however_many_there_are(bands: int, rows: int) -> None:
    a, b = minhash.permutations(bands, rows)
    many_a, many_b = minhash.permutations(bands + 1, rows)
    assert len(a) % minhash.BLOCK == 0 and len(a) - bands * rows < minhash.BLOCK and (a % 2 == 1).all()
    for i in range(bands):
        for r in range(rows):
            h = int(mixed(np.uint64((i * rows + r + 1) * SEED & WHOLE)))
            assert (int(a[r * bands + i]), int(b[r * bands + i])) == (h >> 32 | 1, h & 0xFFFFFFFF)
            assert (a[r * bands + i], b[r * bands + i]) == (many_a[r * (bands + 1) + i], many_b[r * (bands + 1) + i])


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT | st.none(), min_size=1, max_size=4), st.integers(1, 40), st.integers(1, 12))
def test_keys_of_bands_are_hashes_of_the_minima_of_permuted_shingles(rows: list[str | None], bands: int, per_band: int) -> None:
    text = pa.array(["pad", *rows], pa.string()).slice(1)
    how = {"window_size": 2, "num_bands": bands, "num_rows_per_band": per_band, "num_permutations": 480}
    keys, smallest = minhash_probe(text, **how)
    a, b = (x.tolist() for x in minhash.permutations(bands, per_band))
    for row, found, least in zip(rows, keys.to_pylist(), smallest.tolist(), strict=True):
        if row is None:
            assert found is None
            continue
        told, expected = shingles(row.lower(), "space", 2), []
        for i in range(bands if told else 0):
            key = SEED + i
            for r in range(per_band):
                k = r * bands + i
                key = stir(key, min(((h >> 32) ^ b[k]) * a[k] & 0xFFFFFFFF for h in told))
            expected.append(int(mixed(np.uint64(key))))
        assert found == expected and least == min(told, default=WHOLE)


def test_pairs_share_a_key_where_a_band_of_minima_agrees_and_nowhere_else() -> None:
    """All pairs of planted likeness: the keys of banding are those of comparing every row of minima with every other."""
    draw = random.Random(6)
    base = [f"w{i}" for i in range(40)]
    rows = [" ".join(f"x{draw.random()}" if draw.random() < share else w for w in base) for share in (0, 0.05, 0.1, 0.2, 0.4) for _ in range(8)]
    bands, per_band = 20, 4
    keys = minhash_keys(pa.array(rows), window_size=1, num_bands=bands, num_rows_per_band=per_band).to_pylist()
    a, b = minhash.permutations(bands, per_band)
    sets = [np.array(s, np.uint64) >> np.uint64(32) for s in shingle_sets(pa.array(rows), window_size=1).to_pylist()]
    minima = np.array([[((s.astype(np.uint32) ^ b[k]) * a[k]).min() for k in range(bands * per_band)] for s in sets])
    minima = minima.reshape(len(rows), per_band, bands)
    shared = 0
    for i in range(len(rows)):
        for j in range(i):
            agree = {k for k in range(bands) if (minima[i, :, k] == minima[j, :, k]).all()}
            assert {k for k in range(bands) if keys[i][k] == keys[j][k]} == agree
            assert len(set(keys[i]) & set(keys[j])) == len(agree)  # a key of one band is none of another's
            shared += bool(agree)
    assert 100 < shared < len(rows) * (len(rows) - 1) // 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=25, unique=True), st.integers(0, 3), st.sampled_from([0, 0xF0, 0x0F, 0xFF, 0x3C]))
def test_hashes_that_agree_under_a_mask_are_joined_where_few_bits_differ(values: list[int], most: int, mask: int) -> None:
    hashes, parent = np.array(values, np.uint64), np.arange(len(values))
    order = np.argsort(hashes & np.uint64(mask), kind="stable")
    room = np.empty((len(values), 2), np.int64)
    pairs = room[: near_in_order(hashes, order, np.uint64(mask), most, parent, room)].tolist()
    assert all((values[x] ^ values[y]) & mask == 0 and (values[x] ^ values[y]).bit_count() <= most for x, y in pairs)
    sets = [{i} for i in range(len(values))]
    for i in range(len(values)):
        for j in range(i):
            if (values[i] ^ values[j]) & mask == 0 and (values[i] ^ values[j]).bit_count() <= most:
                touched = [s for s in sets if i in s or j in s]
                sets = [s for s in sets if s not in touched] + [set().union(*touched)]
    assert len(pairs) == len(values) - len(sets)  # no pair more than joins two
    edges = near(hashes, np.arange(len(values)), 6, most)
    whole = [{i} for i in range(len(values))]
    for x, y in zip(edges.a.tolist(), edges.b.tolist(), strict=True):
        touched = [s for s in whole if x in s or y in s]
        whole = [s for s in whole if s not in touched] + [set().union(*touched)]
    assert all(any(s <= t for t in whole) for s in sets)


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, 511, 512, 513, 1030])
def test_windows_of_hashes_across_stretches_of_the_cache(size: int) -> None:
    chance = np.random.default_rng(size)
    told = chance.integers(0, WHOLE, size, dtype=np.uint64)
    for width in (1, 2, 12, 13, 40):
        out = np.zeros(size + 1, np.uint64)
        count = windows(told, size, width, out)
        shape = min(width, size)
        sums = [sum(int(h) * pow(0x9FB21C651E98DF27, shape - 1 - j, 1 << 64) for j, h in enumerate(told[i : i + shape])) for i in range(size - shape + 1)]
        expected = [int(mixed(np.uint64((s + shape * SEED) & WHOLE))) for s in sums] if size else []
        assert out[:count].tolist() == expected
