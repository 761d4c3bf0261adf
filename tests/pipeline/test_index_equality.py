"""Incremental equals from-scratch: which rows stay when batches are compared with an index, against brute force over everything."""

import itertools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from index_corpora import EXACT, MINHASH, SIMILAR, clusters, corpus, dedup, expected, grow, splits, write

from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.index.columns import mapped
from tamis.pipeline.run import run

COUNT = 160


@pytest.mark.parametrize("seed", range(10))
def test_near_duplicates_on_ten_random_splits(tmp_path: Path, seed: int) -> None:
    texts, cuts = corpus(seed, COUNT), splits(seed, COUNT)
    kept = grow(tmp_path, texts, cuts, **SIMILAR)
    for (low, high), found in zip(itertools.pairwise(cuts), kept, strict=True):
        assert found == expected(texts, MINHASH, low, high, **SIMILAR)
    scratch, _ = dedup(write(tmp_path / "all" / "crawl.jsonl", texts), tmp_path / "out", **SIMILAR)
    together = set().union(*kept)
    # what a later row joins to an earlier cluster was published before anyone knew: it is the only difference
    final = {x: min(c) for c in clusters(texts, MINHASH, COUNT, **SIMILAR) for x in c}
    assert together - scratch == {x for x in together if final[x] != x}
    assert scratch <= together
    last = cuts[-2]
    assert {x for x in scratch if x >= last} == kept[-1], "of the last batch, exactly those stay that stay from scratch"


@pytest.mark.parametrize("seed", range(10))
def test_exact_duplicates_on_ten_random_splits(tmp_path: Path, seed: int) -> None:
    """Being equal is transitive, so there is nothing that a later row could join: both ways keep the very same rows."""
    texts, cuts = corpus(seed + 100, COUNT), splits(seed, COUNT)
    texts = [t.upper() if i % 3 == 0 else t for i, t in enumerate(texts)]
    kept = grow(tmp_path, texts, cuts, EXACT, lowercase=True)
    scratch, _ = dedup(write(tmp_path / "all" / "crawl.jsonl", texts), tmp_path / "out", EXACT, lowercase=True)
    assert set().union(*kept) == scratch


@pytest.mark.parametrize("seed", range(3))
def test_keep_longest_chooses_within_what_is_new(tmp_path: Path, seed: int) -> None:
    """The index always wins, even over a longer row: what it keeps has been published. Clusters without it follow the rule."""
    texts, cuts = corpus(seed + 50, COUNT), splits(seed, COUNT)
    kept = grow(tmp_path, texts, cuts, keep="longest", **SIMILAR)
    for (low, high), found in zip(itertools.pairwise(cuts), kept, strict=True):
        assert found == expected(texts, MINHASH, low, high, "longest", **SIMILAR)


def test_the_longest_of_equal_sets_stays_and_is_what_later_rows_are_compared_with(tmp_path: Path) -> None:
    """Texts that differ in case and spaces have one set; the first of them has it, but the longest is the one that stays."""
    text = corpus(3, 40)[-1] + " and a few words more that make it long enough to be alike to a changed copy of itself"
    day0 = [text, text.upper() + "  ", "another one, that is alike to nothing here"]
    kept = grow(tmp_path, [*day0, text + " changed", text], [0, 3, 5], keep="longest", **SIMILAR)
    assert kept == [{1, 2}, set()]
    lines = pq.read_table(tmp_path / "out1" / "ledger").sort_by("__position__").to_pylist()
    assert [r["value"] == 1.0 for r in lines] == [False, True] and 0.7 <= lines[0]["value"] < 1.0
    assert all(f"crawl.jsonl:{len(json.dumps({'n': 0, 'text': text})) + 1} " in r["note"] for r in lines)
    ends = [mapped(p / "ends.u64") for p in (tmp_path / "index" / "segments").iterdir()]
    (first_day,) = [np.diff(e, prepend=np.uint64(0)) for e in ends if len(e) == len(day0)]
    assert first_day[0] == 0 < first_day[1], "the set is stored once, with the one that stays"


def chain() -> tuple[str, str, str]:
    """Three texts, the middle one alike to both others, which are not alike."""
    chance = random.Random(1)
    words = [f"w{i}" for i in range(120)]
    changed = words[:6] + [f"x{chance.random()}" for _ in range(9)] + words[15:]
    return " ".join(words), " ".join(changed), " ".join(changed[:-9] + [f"y{i}" for i in range(9)])


def test_a_row_alike_only_to_one_that_left_leaves_too(tmp_path: Path) -> None:
    """The second text left on the first day, for the first; the third is alike to the second alone."""
    first, second, third = chain()
    assert len(clusters([first, third], MINHASH, 2, **SIMILAR)) == 2
    assert grow(tmp_path, [first, second, third, "something else altogether, quite new"], [0, 2, 4], **SIMILAR) == [{0}, {3}]
    line = pq.read_table(tmp_path / "out1" / "ledger").to_pylist()[0]
    assert line["reason"] == "indexed" and line["kept_id"] is None and line["value"] < 0.7
    assert line["note"].startswith("of crawl.jsonl:0 (__id__ ") and line["note"].endswith(") in index index")


def test_a_row_that_joins_two_published_ones_leaves_for_the_older(tmp_path: Path) -> None:
    first, second, third = chain()
    assert grow(tmp_path, [third, first, second, second + " more"], [0, 2, 3, 4], **SIMILAR) == [{0, 1}, set(), set()]
    for day in ("out1", "out2"):
        assert "crawl.jsonl:0 " in pq.read_table(tmp_path / day / "ledger").to_pylist()[0]["note"]


def test_a_cluster_leaves_whole_for_the_one_row_that_is_known(tmp_path: Path) -> None:
    """Of the second day's chain only its end is alike to the index."""
    first, second, third = chain()
    kept = grow(tmp_path, [first, "nothing like it at all, it seems", third, second], [0, 2, 4], **SIMILAR)
    assert kept == [{0, 1}, set()]
    values = sorted(r["value"] for r in pq.read_table(tmp_path / "out1" / "ledger").to_pylist())
    assert values[0] < 0.7 <= values[1]


def test_keys_alone_decide_without_verification(tmp_path: Path) -> None:
    texts = corpus(9, 120)
    kept = grow(tmp_path, texts, [0, 60, 120], verify=False, **SIMILAR)
    scratch, _ = dedup(write(tmp_path / "all" / "crawl.jsonl", texts), tmp_path / "out", verify=False, **SIMILAR)
    assert {x for x in scratch if x >= 60} == kept[1] and scratch <= kept[0] | kept[1]
    assert layout.read(tmp_path / "index").segments[0].files["sets.u64"]["bytes"] == 0


@pytest.mark.parametrize("np", [1, 2])
def test_workers_parts_and_segments_change_nothing(tmp_path: Path, np: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.pipeline.formats import splits as cutting
    from tamis.pipeline.index import against, joining, runs

    texts = corpus(4, COUNT)
    grow(tmp_path / "a", texts, [0, 40, 90], **SIMILAR)
    data = write(tmp_path / "new.jsonl", texts[90:], 90)
    whole, _ = dedup(data, tmp_path / "one", against=str(tmp_path / "a" / "index"), **SIMILAR)
    lines = pq.read_table(tmp_path / "one" / "ledger").sort_by("__id__").drop_columns(["step"])
    upkeep.compact(tmp_path / "a" / "index")
    if np == 1:  # many ranges, runs, chunks; with two workers, in other processes, many parts
        for module, name in ((joining, "KEYS"), (joining, "CHUNK"), (runs, "VALUES"), (against, "PAIRS"), (against, "VALUES")):
            monkeypatch.setattr(module, name, 64)
    monkeypatch.setattr(cutting, "SMALLEST", 1024)
    cut, _ = dedup(data, tmp_path / "two", np=np, against=str(tmp_path / "a" / "index"), **SIMILAR)
    assert cut == whole and len(list((tmp_path / "two" / "work").glob("01-rows-*/done/*"))) > 5
    assert pq.read_table(tmp_path / "two" / "ledger").sort_by("__id__").drop_columns(["step"]).equals(lines)


def test_without_rows_or_text(tmp_path: Path) -> None:
    assert grow(tmp_path / "a", [None, "one two three four five six", ""], [0, 3], **SIMILAR)[0] == {1, 2}
    none = write(tmp_path / "none.jsonl", [None])
    assert dedup(none, tmp_path / "b", against=str(tmp_path / "a" / "index"), remember=True, **SIMILAR)[0] == set()
    assert layout.read(tmp_path / "a" / "index").documents == 2
    again = write(tmp_path / "again.jsonl", ["", "one two three four five six", "seven"])
    assert dedup(again, tmp_path / "c", against=str(tmp_path / "a" / "index"), remember=True, **SIMILAR)[0] == {0, 2}


def test_a_merged_index_knows_what_both_knew(tmp_path: Path) -> None:
    texts = corpus(5, COUNT)
    grow(tmp_path / "a", texts[:60], [0, 30, 60], **SIMILAR)
    for i, (low, high) in enumerate(((60, 90), (90, 120))):
        data = write(tmp_path / "b" / f"night{i}.jsonl", texts[low:high], low)
        how = {"remember": str(tmp_path / "b" / "index")} | ({"against": str(tmp_path / "b" / "index")} if i else {})
        dedup(data, tmp_path / "b" / f"out{i}", **SIMILAR, **how)
    index, other = tmp_path / "a" / "index", tmp_path / "b" / "index"
    before = (other / "manifest.json").read_bytes()
    assert upkeep.merge(index, [other]).documents == 120
    assert (other / "manifest.json").read_bytes() == before and upkeep.damage(index) == []
    found, _ = dedup(write(tmp_path / "new.jsonl", texts[120:], 120), tmp_path / "out", against=str(index), **SIMILAR)
    assert found == expected(texts, MINHASH, 120, COUNT, **SIMILAR)
    told = upkeep.described(upkeep.compact(index) and index)
    assert told["segments"] == 1 and told["documents"] == 120
    again, _ = dedup(tmp_path / "new.jsonl", tmp_path / "out2", against=str(index), **SIMILAR)
    assert again == found


@pytest.mark.slow
def test_the_same_rows_leave_on_spark(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    texts = corpus(6, 80)
    grow(tmp_path, texts, [0, 50], **SIMILAR)
    data, answers = write(tmp_path / "new.jsonl", texts[50:], 50), []
    for engine in ({"engine": "local"}, {"engine": "spark", "spark_master": "local[1]"}):
        shutil.copytree(tmp_path / "index", tmp_path / engine["engine"] / "index")
        how = SIMILAR | {"against": str(tmp_path / engine["engine"] / "index"), "remember": True}
        told = run({"dataset_path": str(data), "export_path": str(tmp_path / engine["engine"] / "out"), "process": [{MINHASH: how}], **engine})
        answers.append((told["content_hash"], told["steps"][1]["left"], told["remembered"][0]["state"], told["remembered"][0]["kept"]))
    assert answers[0] == answers[1] and answers[0][1]["indexed"] > 0
