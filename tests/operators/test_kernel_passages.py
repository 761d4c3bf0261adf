"""Lines, paragraphs and runs of tokens as units with places, and their cuts: against str, bytes and sets of positions."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.folding import fold_table, texts
from tamis.operators.kernels import repeats
from tamis.operators.kernels.strings import view
from tamis.operators.kernels.token_windows import window_units
from tamis.operators.kernels.units import Found, Rules, line_units

NONE = Rules(False, 0, False, False, False, False)
PIECES = ["a", "A b", "ab", " a ", "", " ", "\u3000", "# h", "#", "{", "};", "[x]", "\\begin{a}", "\\end{", "\\begin", "<p>", "</P >", "<1>", "<a>b", "<ſ", "<K>", "<{", "<@",
          "<", "</", "é", "漢字", "İ", "ΣΑΣ", "\x85", "\r", "x" * 70]
ROWS = st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("\n".join) | st.none(), min_size=1, max_size=5)
Unit = tuple[str, int, int, int]


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(["pad", *rows, "\n\npad"], pa.string()).slice(1, len(rows))


def rows_of(found: Found) -> list[list[tuple[tuple[int, int], int, int, int]]]:
    units = list(zip(zip(found.key.tolist(), found.check.tolist(), strict=True), found.start.tolist(), found.next.tolist(), found.prior.tolist(), strict=True))
    return [units[a:b] for a, b in pairwise(found.bounds)]


def agree(found: Found, expected: list[list[Unit]]) -> None:
    """The same places, and equal hashes where the contents are equal, nowhere else."""
    told = rows_of(found)
    assert [[u[1:] for u in row] for row in told] == [[u[1:] for u in row] for row in expected]
    pairs = {(u[0], hashed[0]) for row, others in zip(expected, told, strict=True) for u, hashed in zip(row, others, strict=True)}
    assert len(pairs) == len({content for content, _ in pairs}) == len({h for _, (h, _) in pairs}) == len({c for _, (_, c) in pairs})


def exempt(bare: str, rules: Rules) -> bool:
    if len(bare) < rules.shortest:
        return True
    if rules.paragraphs and "\n" in bare:
        return False
    return (rules.brackets and set(bare) <= set("{}[]();")) or (rules.headers and bare.startswith("#")) or bool(
        rules.latex and re.match(r"\\(begin|end)\{", bare)) or bool(rules.html and re.fullmatch(r"</?[a-z][a-z0-9]*[^>]*>?", bare, re.I))


def plain_units(row: str, rules: Rules) -> list[tuple[int, int, int]]:
    """(start, end, start of the next) in bytes: lines, or lines that are not blank and stand together."""
    at, lines = 0, []
    for line in row.split("\n"):
        size = len(line.encode())
        lines.append((at, at + size, at + size + 1, not line.strip()))
        at += size + 1
    if not rules.paragraphs:
        return [line[:3] for line in lines]
    found, k = [], 0
    while k < len(lines):
        while k + 1 < len(lines) and lines[k][3]:
            k += 1
        first = k
        while k + 1 < len(lines) and not lines[k + 1][3]:
            k += 1
        last, k = k, k + 1
        while k < len(lines) and lines[k][3]:
            k += 1
        found.append((lines[first][0], lines[last][1], lines[k][0] if k < len(lines) else at))
    return found


@settings(max_examples=250, deadline=None)
@given(ROWS, st.builds(Rules, *[st.booleans()] + [st.sampled_from([0, 1, 2, 5])] + [st.booleans()] * 4), st.booleans(), st.booleans())
@example(["\n\na\nb\n \n\nc\n", "\n", " \n ", "a", "İ\n\nΣΑΣ\nb\n\nİ x"], Rules(True, 0, False, False, False, False), True, False)
@example(["</\n<\n<a", "{\n}\n\n{ \n\n{}"], Rules(True, 0, True, True, True, True), False, True)
def test_units_are_the_lines_or_paragraphs_of_the_rules(rows: list[str | None], rules: Rules, lowercase: bool, drop: bool) -> None:
    text = column(rows)
    found = line_units(texts(text, False), texts(text, lowercase), lowercase and not drop, fold_table(lowercase, drop), rules)
    expected: list[list[Unit]] = []
    for row in rows:
        units, prior = [], 0
        for start, end, following in plain_units(row, rules) if row else []:
            content = row.encode()[start:end].decode()
            if not exempt(content.strip(), rules):
                content = content.lower() if lowercase else content
                content = re.sub(r"[\s\d!-/:-@\[-`{-~]", "", content) if drop else content
                units.append((content.strip(), start, following, prior))
            prior = end
        expected.append(units)
    agree(found, expected)


def test_every_code_point_is_a_blank_or_part_of_a_token_as_str_split_says() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    found = window_units(texts(pa.array([f"a{p}b" for p in points]), False), 1, False)
    assert np.diff(found.bounds).tolist() == [len(f"a{p}b".split()) for p in points]


TOKENS = st.sampled_from(["a", "b", "ab", "é", "漢字", "😀", "12345678", "123456789", "\u200b"])
GAPS = st.sampled_from([" ", "\n", "  ", "\u3000", "\x85\t", "\u2028", "\x1f"])
SPACED = st.lists(st.tuples(TOKENS, GAPS), max_size=14).map(lambda parts: "".join(t + g for t, g in parts))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.builds(lambda a, b, c: a + b + c, st.sampled_from(["", " ", "\u3000"]), SPACED, TOKENS | st.just("")) | st.none(), min_size=1, max_size=4),
       st.integers(1, 9), st.booleans())
def test_windows_are_all_runs_of_neighbouring_tokens(rows: list[str | None], width: int, characters: bool) -> None:
    expected: list[list[Unit]] = []
    for row in rows:
        spans = [m.span() for m in re.finditer(r"(?s)." if characters else r"\S+", row or "")]
        places = [tuple(len((row or "")[:at].encode()) for at in span) for span in spans]
        size, units = len((row or "").encode()), []
        for i in range(len(spans) - width + 1):
            content = "|".join((row or "")[a:b] for a, b in spans[i : i + width])
            following = places[i + width][0] if i + width < len(places) else size + 1
            units.append((content, places[i][0], following, places[i - 1][1] if i else 0))
        expected.append(units)
    agree(window_units(texts(column(rows), False), width, characters), expected)


@pytest.mark.parametrize("width", [2, 3, 7, 8, 50, 64, 100])
def test_wide_windows_depend_on_each_of_their_tokens_and_its_place(width: int) -> None:
    tokens = [f"t{i}" for i in range(width)]
    rows = [" ".join(tokens)] + [" ".join([*tokens[:i], "other", *tokens[i + 1 :]]) for i in range(width)]
    rows += [" ".join([*tokens[:i], tokens[i + 1], tokens[i], *tokens[i + 2 :]]) for i in range(width - 1)]
    found = window_units(texts(pa.array(rows), False), width, False)
    assert len(found.key) == len(set(found.key.tolist())) == len(set(found.check.tolist())) == 2 * width


def units_of(rows: list[list[tuple[int, int]]]) -> Found:
    """Units at the given places; each ends before the next begins or where that one begins."""
    flat = [(a, b, max([0, *(e for s, e in row if e <= a)])) for row in rows for a, b in row]
    start, following, prior = (np.array([f[i] for f in flat], np.int32) for i in range(3))
    hashes = np.zeros(len(flat), np.uint64)
    return Found(np.cumsum([0, *map(len, rows)]), hashes, hashes, start, following, prior)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), st.integers(-1, 3)), max_size=8), min_size=1, max_size=5), st.booleans(), st.integers(0, 3))
def test_what_is_cut_is_every_place_of_a_frequent_unit_but_that_of_its_first(
    told: list[list[tuple[int, int, int]]], keep_first: bool, at: int
) -> None:
    """Units may overlap. Here none reaches the end of its row; what was seen before is known by its row and its end."""
    rows = []
    for row in told:
        row.sort()
        ends = np.maximum.accumulate([a + n for a, n, _ in row], dtype=int).tolist()  # units ascend by their ends too
        rows.append([((a, b), f) for (a, _, f), b in zip(row, ends, strict=True)])
    sizes = np.full(len(rows), 20)
    found = np.array([f for row in rows for _, f in row], np.int64)
    seen = np.full((2, 4), -1 if keep_first else -2, np.int64)
    bounds, cuts, pieces = repeats.cuts_of(units_of([[span for span, _ in row] for row in rows]), found, seen, at, sizes)
    first: dict[int, tuple[int, int]] = {}
    for row, units in enumerate(rows):
        goes: set[int] = set()
        count, last = 0, 0
        for (start, stop), f in units:
            if f < 0:
                continue
            if keep_first and f not in first:
                first[f] = (row, stop)
                continue
            spared = first[f][1] if keep_first and first[f][0] == row else 0
            if max(start, spared) < stop:
                goes |= set(range(max(start, spared), stop))
                count += start >= last
                last = stop
        mine = cuts[bounds[row] : bounds[row + 1]].tolist()
        assert sorted(goes) == [k for a, b in mine for k in range(a, b)] and int(pieces[row]) == count
        assert all(a < b for a, b in mine) and all(one[1] < other[0] for one, other in pairwise(mine))
    assert {f: (at + row, stop) for f, (row, stop) in first.items()} == {f: tuple(seen[:, f].tolist()) for f in range(4) if seen[0, f] >= 0}


def test_a_run_that_ends_a_text_takes_along_what_parts_it_from_the_rest() -> None:
    text = b"keep\n\nbad\nbad"
    units = units_of([[(0, 6), (6, 10), (10, len(text) + 1)]])
    units.prior[:] = [0, 4, 9]
    _, cuts, pieces = repeats.cuts_of(units, np.array([-1, 0, 0]), np.full((2, 1), -2), 0, np.array([len(text)]))
    assert cuts.tolist() == [[4, len(text)]] and pieces.tolist() == [2]  # "keep", without the newlines behind it
    _, cuts, _ = repeats.cuts_of(units, np.array([0, -1, -1]), np.full((2, 1), -2), 0, np.array([len(text)]))
    assert cuts.tolist() == [[0, 6]]
    _, cuts, _ = repeats.cuts_of(units, np.array([-1, 0, -1]), np.full((2, 1), -2), 0, np.array([len(text)]))
    assert cuts.tolist() == [[6, 10]]


@given(st.lists(st.text("aé漢😀 \n", max_size=12) | st.none(), min_size=1, max_size=5), st.data())
def test_rows_without_their_cuts_and_how_many_code_points_went(rows: list[str | None], data: st.DataObject) -> None:
    cuts, left, lost = [], [], []
    for row in rows:
        borders = sorted(data.draw(st.sets(st.integers(0, len(row or "")), max_size=6)))
        spans = list(zip(borders[::2], borders[1::2], strict=False))
        cuts.append([[len((row or "")[:k].encode()) for k in span] for span in spans])
        gone = {k for a, b in spans for k in range(a, b)}
        left.append("".join(c for k, c in enumerate(row or "") if k not in gone))
        lost.append(len(gone))
    flat = np.array([c for row in cuts for c in row], np.int64).reshape(-1, 2)
    offsets, out, told = repeats.without(*view(column(rows)), np.cumsum([0, *map(len, cuts)]), flat)
    assert [out[a:b].tobytes().decode() for a, b in pairwise(offsets)] == left and told.tolist() == lost and len(out) == offsets[-1]
