"""Deduplication with almost no memory: whatever the allowance, the pieces and the workers, the same pairs, clusters and ledger."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import REACH, jaccard, link
from tamis.operators.dedup.exact import exact_evidence, exact_keys
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets
from tamis.pipeline.errors import OperatorError, RecipeError
from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID, POSITION
from tamis.pipeline.run import run
from tamis.pipeline.stages import candidates, dedup, recall, tables, verified

MINHASH = {"document_minhash_deduplicator": {"jaccard_threshold": 0.6, "window_size": 3}}


def corpus(seed: int, families: int = 40, singles: int = 60) -> list[str | None]:
    """Families of edited copies, exact copies, copies in capitals, single texts, empty, one-word and null texts."""
    rng = np.random.default_rng(seed)
    rows: list[str | None] = [None, "", "   ", "one", "one", "One", "été 中文 🎉", "été 中文 🎉", "\x00", "two words"]
    for _ in range(families):
        words = rng.integers(0, 5000, rng.integers(10, 60)).astype(str)
        for _ in range(rng.integers(1, 7)):
            edited = words.copy()
            edited[rng.random(len(edited)) < rng.choice([0.0, 0.02, 0.06, 0.15])] = "x"
            text = " w".join(edited)
            rows += [text] * rng.integers(1, 3)
            rows += [text.upper()] * rng.integers(0, 2)
    rows += [" ".join(rng.integers(0, 10**6, 20).astype(str)) for _ in range(singles)]
    return [rows[i] for i in rng.permutation(len(rows))]


def boilerplate(seed: int, rows: int = 3 * REACH) -> list[str | None]:
    """A bucket larger than REACH: one long text with differing tails, and its copies."""
    rng = np.random.default_rng(seed)
    head = " ".join(f"b{i}" for i in range(60))
    return [f"{head} {' '.join(rng.integers(0, 9, rng.integers(0, 40)).astype(str))}" for _ in range(rows)]


def go(folder: Path, texts: list[str | None], step: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """What a run tells of its deduplication: pairs, clusters, ledger and facts, with positions for ids."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"text": pa.array(texts, pa.string()), "q": pa.array(range(len(texts)), pa.int64())}
    pq.write_table(pa.table(known), folder / "rows.parquet", row_group_size=37)
    words = {"dataset_path": str(folder / "rows.parquet"), "export_path": str(folder / "out"), "np": 1, "process": [step],
             "on_error": {"set_aside": 10**6}}
    manifest = run(words | keys)
    out = folder / "out"
    ledger, kept = pq.read_table(out / "ledger").to_pylist(), pq.read_table(out / "kept").to_pylist()
    place = {r[ID]: r[POSITION] for r in [*ledger, *kept]}
    (stage,) = (out / "work").glob("02-dedup-*")
    return {
        "pairs": [(place[r["a"]], place[r["b"]], r["similarity"]) for r in pq.read_table(stage / "pairs.parquet").to_pylist()],
        "clusters": sorted((place[r[ID]], place[r["cluster"]], place[r["kept_id"]])
                           for r in pq.read_table(stage / "clusters.parquet").to_pylist()),
        "left": sorted((r[POSITION], place[r["kept_id"]], r["value"], r["note"]) for r in ledger if r["reason"] == "duplicate"),
        "facts": manifest["steps"][1]["facts"], "hash": manifest["content_hash"],
    }


def squeeze(monkeypatch: pytest.MonkeyPatch, memory: int, keys: int) -> None:
    monkeypatch.setattr(candidates, "MEMORY", memory)
    monkeypatch.setattr(dedup, "KEYS", keys)
    monkeypatch.setattr(splits, "SMALLEST", 1)


@pytest.mark.parametrize("texts", [corpus(1), boilerplate(2)], ids=["families", "boilerplate"])
@pytest.mark.parametrize("step", [MINHASH, {"document_deduplicator": {"lowercase": True}},
                                  {"document_minhash_deduplicator": {"verify": False, "window_size": 2}}], ids=lambda s: str(s)[:30])
def test_memory_pieces_and_parts_change_nothing(tmp_path, monkeypatch, texts, step):
    whole = go(tmp_path / "whole", texts, step)
    assert whole["left"]
    for memory, keys in ((6000, 1), (20_000, 40), (300_000, 1000)):
        squeeze(monkeypatch, memory, keys)
        cut = go(tmp_path / f"{memory}", texts, step)
        assert str(cut) == str(whole)  # as text: NaN equals itself


def test_two_workers_decide_as_one(tmp_path, monkeypatch):
    whole = go(tmp_path / "whole", corpus(1), MINHASH)
    monkeypatch.setattr(splits, "SMALLEST", 1)
    assert str(go(tmp_path / "two", corpus(1), MINHASH, np=2)) == str(whole)


@pytest.mark.parametrize("memory", [6000, 30_000, 1 << 28])
@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_those_found_in_memory(tmp_path, monkeypatch, memory, seed):
    """And each similarity in the ledger is the exact Jaccard of the row that left and the row that stays."""
    squeeze(monkeypatch, memory, 100)
    texts = corpus(seed)
    text = pa.array(texts, pa.string())
    how = MINHASH["document_minhash_deduplicator"]
    keys, sets = minhash_keys(text, **how), shingle_sets(text, **how)
    linked = link(keys, sets, 0.6)
    labels = components(linked.a, linked.b, len(text))
    told = go(tmp_path, texts, {"document_minhash_deduplicator": {**how, "keep": "longest"}})
    sizes = np.bincount(labels, minlength=len(labels))
    assert [(r, c) for r, c, _ in told["clusters"]] == [(r, c) for r, c in enumerate(labels.tolist()) if sizes[c] > 1]
    rows, stays = np.array([r for r, *_ in told["left"]]), np.array([k for _, k, *_ in told["left"]])
    assert [value for *_, value, _ in told["left"]] == jaccard(sets, rows, stays).tolist()
    assert all(len(texts[k] or "") >= len(texts[r] or "") for r, k, *_ in told["left"])


@pytest.mark.parametrize("memory", [640, 1 << 28])
def test_exact_duplicates_are_those_found_in_memory(tmp_path, monkeypatch, memory):
    squeeze(monkeypatch, memory, 10)
    texts = [t for t in corpus(5) if t is not None]
    text = pa.array(texts)
    linked = link(exact_keys(text, lowercase=True), exact_evidence(text, lowercase=True))
    labels = components(linked.a, linked.b, len(text))
    told = go(tmp_path, texts, {"document_deduplicator": {"lowercase": True}})
    assert [(r, k) for r, k, *_ in told["left"]] == [(r, c) for r, c in enumerate(labels.tolist()) if r != c]
    folded = [t.lower().strip() for t in texts]
    assert labels.tolist() == [folded.index(t) for t in folded]


def test_row_order_changes_no_cluster(tmp_path, monkeypatch):
    texts = corpus(7) + boilerplate(8)
    order = np.random.default_rng(9).permutation(len(texts))
    squeeze(monkeypatch, 20_000, 100)
    first, second = go(tmp_path / "a", texts, MINHASH), go(tmp_path / "b", [texts[i] for i in order], MINHASH)

    def groups(told: dict[str, Any], number: Any) -> set[frozenset[int]]:
        found: dict[int, set[int]] = {}
        for row, cluster, _ in told["clusters"]:
            found.setdefault(cluster, set()).add(int(number(row)))
        return set(map(frozenset, found.values()))

    assert groups(second, lambda r: order[r]) == groups(first, lambda r: r)
    assert {k: first["facts"][k] for k in ("clusters", "largest")} == {k: second["facts"][k] for k in ("clusters", "largest")}


def test_what_was_spilled_is_gone_afterwards(tmp_path):
    go(tmp_path, corpus(1), MINHASH)
    (stage,) = (tmp_path / "out" / "work").glob("02-dedup-*")
    there = {p.name for p in stage.iterdir()}
    assert not there & {*dedup.SPILLED, "first.npy"} and {"pairs.parquet", "clusters.parquet", "decisions.parquet"} <= there


def test_recall_is_measured_on_a_sample_that_the_bands_did_not_choose(tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    texts: list[str | None] = []
    for _ in range(400):  # pairs about the threshold
        words = rng.integers(0, 10**6, 60).astype(str)
        edited = words.copy()
        edited[rng.permutation(60)[:3]] = "x"
        texts += [" ".join(words), " ".join(edited)]
    step = {"document_minhash_deduplicator": {"window_size": 2, "jaccard_threshold": 0.7, "num_bands": 6, "num_rows_per_band": 5}}
    facts = go(tmp_path / "all", texts, step)["facts"]
    assert (facts["bands"], facts["rows"], facts["threshold"]) == (6, 5, 0.7)
    assert facts["expected_recall"] == pytest.approx(1 - (1 - 0.7**5) ** 6, abs=1e-6)
    assert facts["sampled_pairs"] > 250
    held = [{tuple(p) for p in zip(t.split()[:-1], t.split()[1:], strict=True)} for t in texts]
    alike = np.array([len(a & b) / len(a | b) for a, b in zip(held[::2], held[1::2], strict=True)])
    alike = alike[alike >= 0.7]
    assert facts["measured_recall"] == pytest.approx(facts["pairs"] / len(alike), abs=0.02)
    assert facts["expected_of_sample"] == pytest.approx((1 - (1 - alike**5) ** 6).mean(), abs=0.02)
    assert 0.6 < facts["measured_recall"] < 0.95
    monkeypatch.setattr(recall, "ROWS", 300)
    fewer = go(tmp_path / "some", texts, step)["facts"]
    assert 40 < fewer["sampled_pairs"] < 160
    assert fewer["measured_recall"] == pytest.approx(facts["measured_recall"], abs=0.15)


def test_ranges_cover_all_keys_once():
    rng = np.random.default_rng(0)
    for most in (1, 7, 100, 5000, 10**9):
        counts = rng.integers(0, 50, 256) * (rng.random(256) < 0.7)
        counts[17] = 3000
        found = tables.key_ranges(counts, most)
        assert found[0][0] == 0 and found[-1][1] == tables.RANGES
        assert all(a[1] == b[0] and a[0] < a[1] for a, b in zip(found, [*found[1:], (tables.RANGES, 0)], strict=True))


DATES = ["2021-05-01", "2019-01-01", None, "2020-02-02T10:00:00"]


@pytest.mark.parametrize(("dates", "stays"), [
    (pa.array(DATES), 1), (pa.array([20210501, 20190101, None, 20200202]), 1),
    (pa.array([3, 2, 1, None], pa.date32()), 2), (pa.array([None] * 4, pa.timestamp("ms")), 0),
], ids=lambda v: str(getattr(v, "type", v)))
def test_the_oldest_stays(tmp_path, dates, stays):
    pq.write_table(pa.table({"text": ["same text"] * 4, "date": dates}), tmp_path / "rows.parquet")
    step = {"document_deduplicator": {"keep": "oldest", "score_key": "date"}}
    run({"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "process": [step]})
    assert pq.read_table(tmp_path / "out" / "kept").column(POSITION).to_pylist() == [stays]


def test_oldest_needs_a_column_of_dates(tmp_path):
    pq.write_table(pa.table({"text": ["same text"] * 2, "date": ["2020-01-01", "last week"]}), tmp_path / "rows.parquet")
    words = {"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1}
    with pytest.raises(OperatorError, match=r"step 1 \(document_deduplicator\): score_key 'date' holds something else"):
        run(words | {"process": [{"document_deduplicator": {"keep": "oldest", "score_key": "date"}}]})
    with pytest.raises(RecipeError, match="keep: oldest needs score_key"):
        run(words | {"process": [{"document_deduplicator": {"keep": "oldest"}}]})


def test_a_component_larger_than_memory_is_mapped_and_decided_the_same(tmp_path, monkeypatch):
    """One candidate component of 800 boilerplate texts: 300 kB of sets against 20 kB allowed."""
    texts = boilerplate(3, 800)
    whole = go(tmp_path / "whole", texts, MINHASH)
    squeeze(monkeypatch, 20_000, 5000)
    relieved = []
    room = verified._room

    def watched(*told):
        values, relieve = room(*told)
        return values, lambda: (relieved.append(len(values)), relieve())

    monkeypatch.setattr(verified, "_room", watched)
    assert str(go(tmp_path / "cut", texts, MINHASH)) == str(whole)
    assert len(relieved) > 20 and max(relieved) * 8 > 10 * 20_000


def test_identical_texts_and_those_that_differ_in_case_or_blanks_are_few_steps(tmp_path):
    """30,000 copies, and 30,000 texts of one shingle set that are all written differently."""
    head = " ".join(f"b{i}" for i in range(40))
    rows = [head] * 30_000 + [(head.upper() if i % 2 else head) + " " * (1 + i) for i in range(0, 3000)] * 10
    told = go(tmp_path, rows, {"document_minhash_deduplicator": {}})
    assert told["facts"]["clusters"] == 1 and told["facts"]["largest"] == 60_000 and len(told["left"]) == 59_999
    assert {value for *_, value, _ in told["left"]} == {1.0}


def test_a_document_of_megabytes_beside_small_ones(tmp_path):
    rng = np.random.default_rng(0)
    long = " ".join(rng.integers(0, 10**6, 700_000).astype(str))  # 4.8 MB
    told = go(tmp_path, ["small", long, "", long[:-40], "small one", long + " end"], {"document_minhash_deduplicator": {}})
    assert [(r, k) for r, k, *_ in told["left"]] == [(3, 1), (5, 1)]
    assert all(0.9999 < value < 1 for *_, value, _ in told["left"])


def test_texts_of_one_key_that_are_not_alike_are_few_steps_and_stay(tmp_path):
    """10,000 texts of a common head, of which some 4,500 share the one key that there is; none reach the similarity asked."""
    rng, head = np.random.default_rng(1), " ".join(f"head{i}" for i in range(20))
    rows = [f"{head} {' '.join(map(str, own))}" for own in rng.integers(0, 2**40, (10_000, 8)).tolist()]
    step = {"document_minhash_deduplicator": {"num_bands": 1, "num_rows_per_band": 1, "jaccard_threshold": 0.9}}
    assert max(np.unique(minhash_keys(pa.array(rows), num_bands=1, num_rows_per_band=1).flatten(), return_counts=True)[1]) > 3_500
    assert go(tmp_path, rows, step)["left"] == []


def test_texts_of_nothing_or_one_word(tmp_path):
    """Empty and blank texts are never near-duplicates; of equal words the first stays, whatever their letters' case."""
    rows = [("", " " * (1 + i % 7), f"word{i % 50}", f"WORD{i % 50}")[i // 500 % 4] for i in range(2000)] + [None]
    told = go(tmp_path, rows, {"document_minhash_deduplicator": {}})
    assert told["facts"]["clusters"] == 50 and len(told["left"]) == 1000 - 50
    assert {kept for _, kept, *_ in told["left"]} == set(range(1000, 1050))
    assert all(value == 1.0 for *_, value, _ in told["left"])
