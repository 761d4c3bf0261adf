"""Who still stands after narrow stages, where a number is found, and how a decision becomes ledger lines."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline import ledger
from tamis.pipeline.errors import LostRowError, OperatorError, StaleError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.stages import lineage, narrow
from tamis.pipeline.stages.lineage import Lineage
from tamis.pipeline.stages.narrow import DECISION, LedgerTask
from tamis.pipeline.workspace import StageFolder, write_table

IDS = [50, -3, 20, 7, 10**15]


def rows(folder: Path, *pieces: dict) -> StageFolder:
    """A stage that wrote one part in pieces; every piece has ids and maybe other columns."""
    made, position = StageFolder(folder), 0
    for i, columns in enumerate(pieces):
        n = len(columns[ID])
        keys = {ID: pa.array(columns[ID], pa.int64()), SOURCE: ["s"] * n, POSITION: pa.array(range(position, position + n), pa.int64())}
        write_table(made.path / f"rows/part-00000-{i:03d}.parquet", pa.table(keys | {k: v for k, v in columns.items() if k != ID}))
        position += n
    made.finish_part(0, {"pieces": len(pieces)})
    return made


def gone(folder: Path, ids: list[int]) -> StageFolder:
    made = StageFolder(folder)
    write_table(made.file("ledger", 0), pa.Table.from_pylist([{ID: i} for i in ids], ledger.SCHEMA))
    return made


def ids(before: Lineage, **how) -> list[int]:
    return [i for batch in before.read(0, **how) for i in batch.column(ID).to_pylist()]


@pytest.fixture
def five(tmp_path) -> Lineage:
    return Lineage(rows(tmp_path / "rows", {ID: IDS[:3], "text": ["a", "b", None], "n": [1, 2, 3]}, {ID: IDS[3:], "text": ["d", "e"]}))


# ---- who stands

def test_all_rows_stand_in_order_until_a_later_stage_sends_some_away(five, tmp_path):
    assert ids(five) == IDS and five.rows_of(0) == 5 and len(five.gone(0)) == 0
    first = five.after_narrow(gone(tmp_path / "2", [20]))
    both = first.after_narrow(gone(tmp_path / "3", [10**15, -3]))
    assert ids(first) == [50, -3, 7, 10**15] and ids(both) == [50, 7]
    assert both.rows_of(0) == 2 and both.gone(0).tolist() == [-3, 20, 10**15]
    assert five.left == () and ids(five) == IDS, "a lineage never changes"


def test_rows_written_anew_begin_a_new_count(five, tmp_path):
    left = five.after_narrow(gone(tmp_path / "2", [20]))
    anew = left.after_rows(rows(tmp_path / "3", {ID: [50, -3, 7, 10**15]}), ("x",))
    assert ids(anew) == [50, -3, 7, 10**15] and anew.left == ()


@pytest.mark.parametrize("batch_rows", [1, 2, 8192])
def test_batches_of_any_size_are_the_same_rows(five, tmp_path, batch_rows):
    left = five.after_narrow(gone(tmp_path / "2", [50, 20]))
    batches = list(left.read(0, ["text"], batch_rows=batch_rows))
    assert [t for b in batches for t in b.column("text").to_pylist()] == ["b", "d", "e"]
    assert all(b.schema.names == [ID, SOURCE, POSITION, "text"] for b in batches)


def test_key_columns_come_once_and_no_others_unless_asked_for(five):
    assert {tuple(b.schema.names) for b in five.read(0, [])} == {(ID, SOURCE, POSITION)}
    assert next(five.read(0, [ID, "text"])).schema.names == [ID, SOURCE, POSITION, "text"]
    assert next(five.read(0)).schema.names == [ID, SOURCE, POSITION, "text", "n"]


def test_a_piece_that_is_gone_is_never_taken_for_fewer_rows(five):
    (five.rows.path / "rows/part-00000-001.parquet").unlink()
    with pytest.raises(StaleError, match=r"rows of part 0 are missing in .*: remove that folder and run again"):
        five.pieces(0)
    with pytest.raises(StaleError, match="part 1 are missing"):
        five.pieces(1)


@given(st.sets(st.integers(-50, 50)), st.lists(st.integers(-60, 60)))
def test_a_mask_is_membership(away, asked):
    sent = np.array(sorted(away), np.int64)
    assert lineage.keep_mask(np.array(asked, np.int64), sent).tolist() == [i not in away for i in asked]


# ---- numbers

def test_a_number_comes_from_the_last_stage_that_computed_it_else_from_the_data(five, tmp_path):
    stages = [StageFolder(tmp_path / f"s{i}") for i in range(2)]
    for i, stage in enumerate(stages):
        write_table(stage.file("stats", 0), pa.table({ID: IDS, "len": [i * 10.0 + k for k in range(5)]}))
    known = five.after_rows(five.rows, ("len",))
    known = Lineage(five.rows, numbers=(("len", stages[0], "stats"), ("len", stages[1], "stats")))
    asked = np.array([7, 50, 999])
    np.testing.assert_array_equal(lineage.part_numbers(known, 0, "len", asked), [13, 10, np.nan])
    np.testing.assert_array_equal(lineage.part_numbers(known, 0, "n", np.array([20, 7])), [3, np.nan])
    assert five.number("nowhere", 0) is None
    np.testing.assert_array_equal(lineage.part_numbers(five, 0, "nowhere", asked), [np.nan] * 3)


def test_tokens_are_known_after_an_embedding(five, tmp_path):
    embedded = StageFolder(tmp_path / "e")
    write_table(embedded.file("vectors", 0), pa.table({ID: IDS, "num_embedding_tokens": [1, 2, 3, 4, 5]}))
    after = five.after_embedding(embedded)
    assert after.vectors == embedded and five.vectors is None
    assert lineage.part_numbers(after, 0, "num_embedding_tokens", np.array([20])).tolist() == [3]


def test_a_stage_that_writes_rows_tells_where_its_numbers_are(five, tmp_path):
    after = five.after_rows(StageFolder(tmp_path / "x"), ("a", "b"))
    assert after.numbers == (("a", StageFolder(tmp_path / "x"), "stats"), ("b", StageFolder(tmp_path / "x"), "stats"))


@given(st.dictionaries(st.integers(-50, 50), st.one_of(st.none(), st.floats(-5, 5)), max_size=20), st.lists(st.integers(-60, 60)))
def test_looking_up_is_a_dictionary(known, asked):
    table = pa.table({ID: pa.array(list(known), pa.int64()), "x": pa.array(list(known.values()), pa.float64())})
    wanted = [np.nan if known.get(i) is None else known[i] for i in asked]
    np.testing.assert_array_equal(lineage.lookup(table, "x", np.array(asked, np.int64)), np.array(wanted, float))


# ---- the text

def test_a_batch_without_the_text_has_nulls_and_one_with_numbers_is_refused():
    batch = pa.RecordBatch.from_pydict({"t": ["a", None], "none": pa.nulls(2), "n": [1, 2]})
    assert lineage.texts(batch, "t", "here").to_pylist() == ["a", None]
    for key in ("none", "nowhere"):
        told = lineage.texts(batch, key, "here")
        assert told.type == pa.string() and told.null_count == len(told) == 2
    with pytest.raises(OperatorError) as e:
        lineage.texts(batch, "n", "step 3")
    assert str(e.value).startswith("step 3: column 'n' is ") and str(e.value).endswith(", not text")


def test_a_damaged_file_says_which_folder_to_remove(tmp_path):
    folder = tmp_path / f"02-dedup-{'a' * 16}"
    path = folder / "stats/part-00000.parquet"
    write_table(path, pa.table({"x": [1]}))
    assert lineage.read(path).to_pydict() == {"x": [1]}
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StaleError, match=f"gone or damaged.*remove {folder} and run again"):
        lineage.read(path)


def test_one_bit_that_turned_in_a_file_is_seen(tmp_path):
    path = tmp_path / "stats/part-00000.parquet"
    write_table(path, pa.table({"x": np.random.default_rng(0).random(500)}))
    held = bytearray(path.read_bytes())
    held[1000] ^= 1
    path.write_bytes(held)
    with pytest.raises(StaleError, match="gone or damaged"):
        lineage.read(path)


# ---- decisions

def test_decisions_are_sorted_and_what_is_not_given_is_null():
    told = narrow.decisions(np.array([5, 1]), reason="duplicate", value=np.array([0.5, np.nan]), kept_id=np.array([9, 8]), note=["x", None])
    assert told.schema == DECISION
    assert told.to_pylist() == [
        {ID: 1, "reason": "duplicate", "stat": None, "value": None, "bound": None, "kept_id": 8, "note": None},
        {ID: 5, "reason": "duplicate", "stat": None, "value": 0.5, "bound": None, "kept_id": 9, "note": "x"}]
    assert narrow.decisions(np.empty(0, np.int64), reason="x").num_rows == 0


def task(five: Lineage, folder: Path, sent: list[int], by_part: bool = False) -> LedgerTask:
    made = StageFolder(folder)
    narrow.write_decisions(made, narrow.decisions(np.array(sent, np.int64), reason="duplicate", bound="b", note=[f"of {i}" for i in sent]))
    return LedgerTask(made, five, 4, "some_step", "text", by_part)


def test_every_row_that_was_decided_about_has_its_line_and_no_other(five, tmp_path):
    told = task(five, tmp_path / "d", [7, 20, 999])
    assert told(0) == {"rows_in": 5, "rows_out": 3, "left": 2, "by": {"4 duplicate": 2}}
    lines = pq.read_table(told.folder.file("ledger", 0))
    assert lines.schema.equals(ledger.SCHEMA)
    assert [(r[ID], r[POSITION], r["step"], r["op"], r["reason"], r["bound"], r["note"], r["excerpt"]) for r in lines.to_pylist()] == [
        (20, 2, 4, "some_step", "duplicate", "b", "of 20", None), (7, 3, 4, "some_step", "duplicate", "b", "of 7", "d")]


@pytest.mark.parametrize(("sent", "left"), [([], 0), ([50, -3, 20, 7, 10**15], 5), ([-4], 0), ([10**15 + 1], 0)])
def test_nobody_everybody_or_strangers(five, tmp_path, sent, left):
    told = task(five, tmp_path / "d", sent)(0)
    assert (told["rows_in"], told["rows_out"], told["left"], sum(told["by"].values())) == (5, 5 - left, left, left)


def test_a_part_that_is_done_is_not_done_again(five, tmp_path):
    made = task(five, tmp_path / "d", [7])
    first = made(0)
    made.folder.file("ledger", 0).unlink()
    assert made(0) == first and not made.folder.file("ledger", 0).exists()


def test_decisions_by_part_are_read_from_the_part_s_own_group(five, tmp_path):
    made = task(five, tmp_path / "d", [7], by_part=True)
    groups = [narrow.decisions(np.array([50]), reason="duplicate"), narrow.decisions(np.array([7]), reason="duplicate")]
    with pq.ParquetWriter(made.decisions, DECISION) as writer:
        for group in groups:
            writer.write_table(group)
    made(0)
    assert pq.read_table(made.folder.file("ledger", 0)).column(ID).to_pylist() == [50]
    assert narrow.read_group(made.decisions, 1).column(ID).to_pylist() == [7]


def test_a_line_that_is_lost_stops_the_stage(five, tmp_path, monkeypatch):
    made = task(five, tmp_path / "d", [7, 20])
    whole = LedgerTask._lines
    monkeypatch.setattr(LedgerTask, "_lines", lambda self, rows, decided: whole(self, rows, decided).slice(1))
    with pytest.raises(LostRowError, match=r"step 4 \(some_step\), part 0: 5 rows in, 3 out, 0 in the ledger"):
        made(0)
    assert made.folder.part_record(0) is None
