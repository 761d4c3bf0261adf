"""The files of an index: pages, sorted keys, joins, lookups, against plain numpy; and that only what is needed is read."""

import json
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.edges import REACH
from tamis.pipeline.corpus import row_ids
from tamis.pipeline.errors import StaleError
from tamis.pipeline.index import joining, layout, upkeep
from tamis.pipeline.index.columns import FENCE, PAGE, Column, Tally, find, mapped, spans
from tamis.pipeline.index.joining import Piece, join
from tamis.pipeline.index.layout import Batch, Made, Manifest
from tamis.pipeline.index.lookup import Reader, opened
from tamis.pipeline.index.runs import put, write_run

MADE = Made("document_deduplicator", 1, {"lowercase": False})
LISTS = pa.list_(pa.uint64())
Lists = list[list[int] | None]


def column(folder: Path, name: str, values: np.ndarray) -> tuple[Column, Tally]:
    put(folder, name, values)
    tally = Tally()
    return Column(folder / name, tally), tally


def run_of(folder: Path, keys: Lists, sets: Lists, source: str = "a") -> Path:
    n = len(keys)
    positions = np.arange(n)
    rows = pa.RecordBatch.from_pydict({"__id__": row_ids(source, positions), "__source__": [source] * n, "__position__": positions},
                                      schema=pa.schema(joining.KEY_FIELDS))
    write_run(folder, [(rows, pa.array(keys, LISTS), pa.array(sets, LISTS))])
    return folder


def commit(index: Path, keys: Lists, sets: Lists, manifest: Manifest | None = None) -> Manifest:
    """One batch more, whose documents all stay."""
    manifest = manifest or Manifest(MADE)
    start, name = manifest.documents, f"batch{len(manifest.batches)}"
    segment = join(index, [Piece(run_of(index.parent / name, keys, sets, name))], iter([start + np.arange(len(keys))]), start)
    after = manifest.with_batch(Batch(name, start, len(keys), len(keys), (), f"{start:032x}"), segment)
    layout.write(index, after)
    return after


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.sets(st.integers(0, 45), max_size=20), st.integers(1, 5), st.integers(1, 60))
def test_find_is_numpys_searchsorted(tmp_path_factory: pytest.TempPathFactory, few: list[int], asked: set[int], most: int, times: int) -> None:
    folder = tmp_path_factory.mktemp("keys")
    values = np.sort(np.repeat(np.array(few, np.uint64), times))  # a key may fill pages
    keys, _ = column(folder, "keys.u64", values)
    wanted = np.array(sorted(asked), np.uint64)
    first, count = find(keys, values[::FENCE], wanted, most)
    left, right = np.searchsorted(values, wanted, "left"), np.searchsorted(values, wanted, "right")
    assert count.tolist() == np.minimum(right - left, most).tolist()
    assert first[count > 0].tolist() == left[count > 0].tolist()


def test_find_reads_a_page_or_two_for_a_key(tmp_path: Path) -> None:
    values = np.sort(np.random.default_rng(0).integers(0, 1 << 63, 500_000).astype(np.uint64))
    keys, tally = column(tmp_path, "keys.u64", values)
    wanted = np.sort(np.append(values[[7, 250_000, 499_999]], np.uint64(12345)))
    first, count = find(keys, values[::FENCE], wanted, 64)
    assert count.tolist() == [0 if w == 12345 else 1 for w in wanted] and set(first[count > 0]) == {7, 250_000, 499_999}
    assert tally.bytes <= 5 * PAGE < values.nbytes / 100


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.lists(st.integers(0, 10**9), max_size=50))
def test_take_and_ranges_read_what_they_are_asked_for(tmp_path_factory: pytest.TempPathFactory, size: int, places: list[int]) -> None:
    values = np.random.default_rng(size).integers(0, 1 << 32, size).astype(np.uint32)
    held, tally = column(tmp_path_factory.mktemp("some"), "holders.u32", values)
    at = np.array([p % size for p in places], np.int64)
    assert held.take(at).tolist() == values[at].tolist()
    assert tally.bytes <= PAGE * len(set((at * 4 // PAGE).tolist()))
    cuts = np.unique(at)[: len(np.unique(at)) // 2 * 2].reshape(-1, 2)
    before = tally.bytes
    assert held.ranges(cuts[:, 0], cuts[:, 1]).tolist() == values[spans(cuts[:, 0], cuts[:, 1])].tolist()
    assert tally.bytes - before == 4 * (cuts[:, 1] - cuts[:, 0]).sum()


ROWS = st.lists(st.tuples(st.none() | st.lists(st.integers(0, 12), max_size=4, unique=True),
                          st.none() | st.sets(st.integers(0, 9), max_size=5).map(sorted)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4), st.sets(st.integers(0, 14)), st.integers(1, 6))
def test_lookups_answer_as_a_dictionary_would(tmp_path_factory: pytest.TempPathFactory, batches: list[Any], asked: set[int], together: int) -> None:
    """Whatever the segments; rows with the same keys and set in one run are one, which stands for the others."""
    index = tmp_path_factory.mktemp("index") / "index"
    manifest, holders, sets = Manifest(MADE), defaultdict(list), {}
    for rows in batches:
        seen: set[Any] = set()
        for number, (keys, values) in enumerate(rows, manifest.documents):
            told = (tuple(keys or ()), tuple(values or ()))
            if not all(told) or told not in seen:
                sets[number] = list(told[1])
                for key in told[0]:
                    holders[key].append(number)
            seen.add(told)
        manifest = commit(index, [k for k, _ in rows], [s for _, s in rows], manifest)
    wanted = np.array(sorted(asked), np.uint64)
    for compacted in (False, True):
        if compacted:
            folders = [layout.folder_of(index, s) for s in manifest.segments]
            one = join(index, [Piece(f) for f in folders], (mapped(f / "kept.u64") for f in folders), 0)
            manifest = Manifest(MADE, manifest.batches, (one,))
        for limit in {0, *(b.start for b in manifest.batches), manifest.documents}:
            with ExitStack() as stack:
                reader = Reader(index, manifest, limit, stack)
                which, found = reader.candidates(wanted)
                pairs = sorted(zip(wanted[which].tolist(), found.tolist(), strict=True))
                assert pairs == sorted((k, d) for k in asked for d in holders[k] if d < limit)
                documents = np.array(sorted(d for d in sets if d < limit), np.int64)
                values, sizes = reader.sets(documents)
                assert [v.tolist() for v in np.split(values, np.cumsum(sizes)[:-1])] == [sets[d] for d in documents.tolist()] or not len(documents)
                assert reader.kept(documents).tolist() == documents.tolist()
                assert len(reader.names(documents)) == len(documents)


def test_of_a_hot_key_the_oldest_documents_answer_in_any_segments(tmp_path: Path) -> None:
    """A million documents with one key cost a lookup no more than REACH of them."""
    index, manifest = tmp_path / "index", None
    for batch in range(3):
        manifest = commit(index, [[5]] * 50 + [[6]], [[1000 * batch + i] for i in range(51)], manifest)
    assert manifest is not None
    with opened(index, 153, manifest.state()) as reader:
        which, found = reader.candidates(np.array([5, 6], np.uint64))
    assert found[which == 0].tolist() == [*range(50), *range(51, 51 + REACH - 50)] and found[which == 1].tolist() == [50, 101, 152]
    with opened(index, 51, manifest.state(51)) as reader:
        assert reader.candidates(np.array([5], np.uint64))[1].tolist() == list(range(50))


@pytest.mark.parametrize("most", [1, 7, 1 << 30])
def test_joining_in_ranges_is_joining_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    chance = np.random.default_rng(3)
    rows = [chance.integers(0, 1 << 62, 4).tolist() for _ in range(1200)]
    pieces = [Piece(run_of(tmp_path / f"run{i}", rows[i::3], [[r[0]] for r in rows[i::3]], str(i)),
                    np.where(np.arange(400) % 5 > 0, np.arange(400), -1) if i else None) for i in range(3)]
    monkeypatch.setattr(joining, "KEYS", most * FENCE)
    monkeypatch.setattr(joining, "CHUNK", most)
    segment = join(tmp_path / "index", pieces, iter([np.arange(1200)]), 0)
    folder = tmp_path / "index" / "segments" / segment.name
    stored = [r for i in range(3) for j, r in enumerate(rows[i::3]) if i == 0 or j % 5]
    keys = mapped(folder / "keys.u64")
    assert keys.tolist() == sorted(k for r in stored for k in r)
    assert mapped(folder / "fences.u64").tolist() == keys[::FENCE].tolist()
    order = [r for i in range(3) for r in rows[i::3]]
    assert all(k in order[h] for k, h in zip(keys.tolist(), mapped(folder / "holders.u32").tolist(), strict=True))
    assert mapped(folder / "sets.u64").tolist() == [r[0] for r in stored]
    assert segment.documents == 1200 and len(mapped(folder / "ends.u64")) == 1200


def test_what_is_read_follows_what_is_asked_not_what_is_there(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    keys = chance.integers(0, 1 << 62, (20_000, 8))
    manifest = commit(tmp_path / "index", keys.tolist(), [sorted({*r, *range(200)}) for r in keys.tolist()])
    with opened(tmp_path / "index", 20_000, manifest.state()) as reader:
        wanted = np.unique(keys[[5, 777, 19_999]].astype(np.uint64))
        documents = np.unique(reader.candidates(wanted)[1])
        assert documents.tolist() == [5, 777, 19_999]
        reader.sets(documents)
        reader.kept(documents)
        reader.names(documents)
        assert 0 < reader.tally.bytes < manifest.bytes / 50


def test_an_index_that_changed_under_the_plan_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = commit(index, [[1]], [[1]])
    second = commit(index, [[2]], [[2]], first)
    with opened(index, 1, first.state()) as reader:
        assert reader.candidates(np.array([1, 2], np.uint64))[1].tolist() == [0]
    with pytest.raises(StaleError, match="no longer what it was"), opened(index, 2, first.state()):
        pass
    layout.write(index, first)
    with pytest.raises(StaleError, match="no longer what it was"), opened(index, 2, second.state()):
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "made": {}, "batches": [], "segments": []}'])
def test_a_damaged_manifest_is_an_error_not_an_empty_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StaleError, match="damaged"):
        layout.read(tmp_path)


@pytest.mark.parametrize("change", [{"files": None}, {"files": {}}, {"name": "../elsewhere"}])
def test_a_manifest_that_tells_of_no_files_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    commit(tmp_path, [[1]], [[1]])
    told = json.loads((tmp_path / "manifest.json").read_text())
    told["segments"][0] |= change
    (tmp_path / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(StaleError, match="damaged"):
        layout.read(tmp_path)


@pytest.mark.parametrize("name", [*layout.NUMBERS, layout.DOCUMENTS])
def test_a_file_of_another_size_is_never_asked(tmp_path: Path, name: str) -> None:
    """A lookup in a cut file answers fewer documents: duplicates would stay and be remembered."""
    index = tmp_path / "index"
    manifest = commit(index, [[1, 2], [3]], [[1, 2, 3], [4]])
    path = layout.folder_of(index, manifest.segments[0]) / name
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StaleError, match=rf"damaged: .*{name} is not what was written"), opened(index, 2, manifest.state()):
        pass
    path.unlink()
    with pytest.raises(StaleError, match=rf"damaged: .*{name} is gone"), opened(index, 2, manifest.state()):
        pass


@pytest.mark.parametrize(("name", "ask"), [
    ("ends.u64", lambda reader: reader.sets(np.array([0, 1]))), ("ends.u64", lambda reader: reader.sets(np.array([1]))),
    ("kept.u64", lambda reader: reader.kept(np.array([0, 1]))),
    (layout.DOCUMENTS, lambda reader: reader.names(np.array([0, 1]))),
])
def test_numbers_that_cannot_be_are_damage(tmp_path: Path, name: str, ask: Any) -> None:
    index = tmp_path / "index"
    manifest = commit(index, [[1, 2], [3]], [[1, 2, 3], [4]])
    path = layout.folder_of(index, manifest.segments[0]) / name
    path.write_bytes(b"\xff" * path.stat().st_size)
    with opened(index, 2, manifest.state()) as reader, pytest.raises(StaleError, match="is not what was written"):
        ask(reader)


def test_compaction_and_merge_do_not_pass_damage_off_as_whole(tmp_path: Path) -> None:
    """They write new digests: of a byte that was not written, none would ever tell again."""
    index, other = tmp_path / "a" / "index", tmp_path / "b" / "index"
    manifest = commit(index, [[1, 2], [3]], [[1, 2, 3], [4]])
    manifest = commit(index, [[7]], [[5]], manifest)
    path = layout.folder_of(index, manifest.segments[0]) / "sets.u64"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(StaleError, match=r"damaged: .*sets.u64 is not what was written"):
        upkeep.compact(index)
    assert (index / "manifest.json").read_bytes() == before and len(upkeep.damage(index)) == 1
    commit(other, [[9]], [[9]])
    with pytest.raises(StaleError, match=r"damaged: .*sets.u64 is not what was written"):
        upkeep.merge(other, [index])
    path.write_bytes(whole)
    assert len(upkeep.compact(index).segments) == 1 and upkeep.damage(index) == []


def test_another_format_is_refused(tmp_path: Path) -> None:
    commit(tmp_path / "index", [[1]], [[1]])
    path = tmp_path / "index" / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(StaleError, match="format 99"):
        layout.read(tmp_path / "index")
