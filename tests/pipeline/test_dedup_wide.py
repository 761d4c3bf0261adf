"""Deduplication step by step between workers that see a part each: the same pairs, clusters, ledger and facts as in one place."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_dedup_spill import MINHASH, boilerplate, corpus, go, squeeze

from tamis.operators.dedup.components import components
from tamis.pipeline import execute
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.engines.roots import in_memory
from tamis.pipeline.stages import wide

TEXTS = [*corpus(1), *boilerplate(2)]


class Elsewhere(LocalEngine):
    """As if the workers were on other machines."""

    remote = True


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "engine_for", lambda asked: Elsewhere(1))


@pytest.mark.parametrize("memory, keys, rows", [(1 << 28, 10**6, 10**6), (20_000, 40, 100), (3000, 1, 1)])
@pytest.mark.parametrize("step", [
    MINHASH, {"document_minhash_deduplicator": {"keep": "longest", "jaccard_threshold": 0.4}},
    {"document_deduplicator": {"lowercase": True, "keep": "best", "score_key": "q"}},
    {"document_minhash_deduplicator": {"verify": False, "window_size": 2}},
], ids=["verified", "longest", "exact", "unverified"])
def test_the_same_as_in_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: dict[str, Any], memory: int, keys: int, rows: int
) -> None:
    whole = go(tmp_path / "whole", TEXTS, step)
    assert whole["left"]
    squeeze(monkeypatch, memory, keys)
    monkeypatch.setattr(wide, "ROWS", rows)
    monkeypatch.setattr(execute, "engine_for", lambda asked: Elsewhere(1))
    assert str(go(tmp_path / "wide", TEXTS, step)) == str(whole)  # as text: NaN equals itself


def test_no_text_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[pa.Schema] = []

    class Watched(Elsewhere):
        def exchange(self, emit: Any, sources: Any, take: Any, targets: int) -> Any:
            def seen(source: int) -> Any:
                for target, batch in emit(source):
                    moved.append(batch.schema)
                    yield target, batch

            return super().exchange(seen, sources, take, targets)

    monkeypatch.setattr(execute, "engine_for", lambda asked: Watched(1))
    go(tmp_path, TEXTS, MINHASH)
    kinds = {f.type.value_type if pa.types.is_nested(f.type) else f.type for schema in moved for f in schema}
    assert kinds <= {pa.int64(), pa.int32(), pa.uint64(), pa.uint32(), pa.float64()} and len({str(s) for s in moved}) > 4


@pytest.mark.parametrize("texts", [[], [None], ["a"], ["a b c", "a b c"], ["", "", None]], ids=str)
def test_few_rows(tmp_path: Path, elsewhere: None, texts: list[str | None]) -> None:
    told = go(tmp_path, texts, MINHASH)
    assert len(told["left"]) == (texts[:1] == ["a b c"]) and told["facts"]["clusters"] == len(told["left"])


def test_what_was_written_on_the_way_is_gone(tmp_path: Path, elsewhere: None) -> None:
    go(tmp_path, TEXTS, MINHASH)
    (stage,) = (tmp_path / "out" / "work").glob("02-dedup-*")
    assert {p.name for p in stage.iterdir() if p.suffix != ".parquet"} == {"done", "done.json", "files.json", "facts.json", "keys-done", "ledger"}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(1, 4))
def test_roots_are_the_smallest_rows_of_components(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], files: int) -> None:
    a, b = np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)
    cut = [pa.RecordBatch.from_pydict({"a": a[k::files], "b": b[k::files]}) for k in range(files)]
    (path,) = in_memory(lambda k: [cut[k]], files, tmp_path_factory.mktemp("roots"))
    table, labels = pq.read_table(path), components(a, b, 31)
    assert table.column("row").to_pylist() == sorted({*a.tolist(), *b.tolist()})
    assert table.column("root").to_pylist() == labels[table.column("row").to_numpy()].tolist()
