"""Rows in the order of their picking, and as often, as `compat: data-juicer` exports them: against a list of Python's."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import apply, run
from tamis.pipeline.stages import ordered
from tamis.pipeline.stages.ordered import in_order, picks
from tamis.pipeline.verify import check
from tamis.pipeline.workspace import StageFolder, write_json, write_table

SCHEMA = pa.schema([(ID, pa.int64()), (SOURCE, pa.string()), ("text", pa.string())])


def batches(ids: list[int], size: int) -> list[pa.RecordBatch]:
    table = pa.table({ID: pa.array(ids, pa.int64()), SOURCE: ["s"] * len(ids), "text": [f"row {i}" for i in ids]}, SCHEMA)
    return table.to_batches(max_chunksize=size) or [pa.RecordBatch.from_pylist([], SCHEMA)]


@settings(max_examples=40)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20, unique=True), st.data(), st.integers(1, 7))
def test_rows_come_as_the_list_says_and_those_that_have_gone_are_passed_over(ids: list[int], data: st.DataObject, size: int) -> None:
    wanted = data.draw(st.lists(st.sampled_from([*ids, 2**63 - 1, -(2**63)]), max_size=40))
    found = pa.Table.from_batches(list(in_order(batches(ids, size), np.array(wanted, np.int64))), SCHEMA)
    here = [i for i in wanted if i in ids]
    assert found.column("text").to_pylist() == [f"row {i}" for i in here]
    names = found.column(ID).to_pylist()
    seen: set[int] = set()
    for name, i in zip(names, here, strict=True):
        assert (name == i) == (i not in seen), "the first has the row's own id, a repeated one another"
        seen.add(i)
    assert len(set(names)) == len(names)
    again = pa.Table.from_batches(list(in_order(batches(ids[::-1], 3), np.array(wanted, np.int64))), SCHEMA)
    assert again.to_pylist() == found.to_pylist(), "how the rows lay decides nothing"


def test_large_answers_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "ROWS", 4)
    wanted = np.arange(10)[::-1].copy()
    found = list(in_order(batches(list(range(10)), 3), wanted))
    assert [len(b) for b in found] == [4, 4, 2] and [i for b in found for i in b.column(ID).to_pylist()] == wanted.tolist()


def selected(folder: Path, ids: list[int], order: list[int], **facts: Any) -> StageFolder:
    made = StageFolder(folder)
    write_table(made.path / "selection.parquet", pa.table({ID: pa.array(ids, pa.int64()), "order": pa.array(order, pa.int64())}))
    write_json(made.path / "facts.json", facts)
    return made


def test_the_last_selection_decides_unless_rows_were_grouped_since(tmp_path: Path) -> None:
    first = selected(tmp_path / "02-select-0123456789abcdef", [5, 6, 7], [2, 0, 1])
    last = selected(tmp_path / "04-select-0123456789abcdef", [5, 6, 7], [0, -1, 1])
    rows, group = StageFolder(tmp_path / "01-rows-0123456789abcdef"), StageFolder(tmp_path / "05-group-0123456789abcdef")
    assert picks([rows, first]).tolist() == [6, 7, 5] and picks([rows, first, last, rows]).tolist() == [5, 7]
    assert picks([rows]) is None and picks([rows, first, group]) is None and picks([]) is None


def test_rows_are_repeated_round_and_round_only_where_all_were_picked(tmp_path: Path) -> None:
    whole = selected(tmp_path / "02-select-0123456789abcdef", [5, 6, 7], [2, 0, 1], repeated_to=8.0)
    assert picks([whole]).tolist() == [6, 7, 5, 6, 7, 5, 6, 7]
    part = selected(tmp_path / "03-select-0123456789abcdef", [5, 6, 7], [-1, 0, 1], repeated_to=8.0)
    assert picks([part]).tolist() == [6, 7]


ROWS = [{"text": f"text {i}", "n": (i * 7) % 10} for i in range(10)]


def test_a_run_exports_in_pick_order_only_where_it_is_asked_to(tmp_path: Path) -> None:
    step = {"topk_specified_field_selector": {"field_key": "n", "topk": 4}}
    assert [r["n"] for r in apply([step], ROWS, compat="data-juicer").table.to_pylist()] == [9, 8, 7, 6]
    assert [r["n"] for r in apply([step], ROWS).table.to_pylist()] == [n for n in (r["n"] for r in ROWS) if n > 5]


def test_what_leaves_after_the_selection_is_passed_over_and_the_books_balance(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([r | {"text": "x" * (i + 1)} for i, r in enumerate(ROWS)]), tmp_path / "rows.parquet", row_group_size=3)
    words = {"dataset_path": str(tmp_path / "rows.parquet"), "np": 1, "compat": "data-juicer", "export_shard_size": 60, "process": [
        {"topk_specified_field_selector": {"field_key": "n", "topk": 8}}, {"text_length_filter": {"min_len": 4}}]}
    made = run(words | {"export_path": str(tmp_path / "out")})
    order = sorted((i for i in range(10) if ROWS[i]["n"] > 1 and i >= 3), key=lambda i: -ROWS[i]["n"])
    exported = [r for s in made["shards"] for r in pq.read_table(tmp_path / "out" / s["path"]).to_pylist()] if made["shards"][0][
        "path"].endswith("parquet") else None
    kept = pq.read_table(tmp_path / "out" / "kept").to_pylist()
    assert [r[POSITION] for r in kept] == order and len(pq.read_table(tmp_path / "out" / "ledger")) == 10 - len(order)
    assert exported is None or [r["n"] for r in exported] == [ROWS[i]["n"] for i in order]
    assert {f.level for f in check(tmp_path / "out")} == {"ok"}


@pytest.mark.parametrize("last", [{"text_length_filter": {"min_len": 1000}}, {"random_selector": {"select_num": 0}}], ids=["later", "chosen"])
def test_of_no_rows_there_is_an_order_too(last: dict[str, Any]) -> None:
    made = apply([{"topk_specified_field_selector": {"field_key": "n", "topk": 4}}, last], ROWS, compat="data-juicer")
    assert made.table.to_pylist() == [] and made.table.column_names == ["text", "n"] and len(made.ledger) == 10


def test_repeated_rows_are_born_and_have_ids_of_their_own(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    words = {"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "compat": "data-juicer",
             "export_type": "parquet", "process": [{"random_selector": {"select_num": 23}}]}
    made = run(words)
    assert (made["rows_in"], made["rows_out"], made["rows_born"]) == (10, 23, 13)
    kept = pq.read_table(tmp_path / "out" / "kept").to_pylist()
    assert len({r[ID] for r in kept}) == 23 and sorted(r[POSITION] for r in kept) == sorted([*range(10)] * 2 + [r[POSITION] for r in kept[:3]])
    texts = [r["text"] for s in made["shards"] for r in pq.read_table(tmp_path / "out" / s["path"]).to_pylist()]
    assert texts == [ROWS[r[POSITION]]["text"] for r in kept] and texts[:10] == texts[10:20] and texts[20:] == texts[:3]
