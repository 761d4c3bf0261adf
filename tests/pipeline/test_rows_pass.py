"""A pass over the text, part by part: pieces where columns change, what a dead attempt left, rows set aside over all passes."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import ledger
from tamis.pipeline.batch import Outcome
from tamis.pipeline.errors import LostRowError, ReadError
from tamis.pipeline.ledger import ID, KEY_FIELDS, POSITION, SOURCE
from tamis.pipeline.run import run
from tamis.pipeline.stages import rows
from tamis.pipeline.stages.rows import RowsTask, Writer, by_step
from tamis.pipeline.verify import check
from tamis.pipeline.workspace import StageFolder


def outcome(ids: list[int], gone: list[int] = (), born: int = 0, **columns: Any) -> Outcome:  # type: ignore[assignment]
    def keys(of: list[int]) -> dict[str, Any]:
        return {ID: pa.array(of, pa.int64()), SOURCE: pa.array(["s"] * len(of), pa.string()), POSITION: pa.array(of, pa.int64())}

    stay = [i for i in ids if i not in gone]
    left = pa.RecordBatch.from_pylist([{**{k: v[0].as_py() for k, v in keys([i]).items()}, "step": 1, "op": "x", "reason": "below_min"} for i in gone],
                                      ledger.SCHEMA)
    return Outcome(pa.RecordBatch.from_pydict(keys(stay) | columns), pa.RecordBatch.from_pydict(keys(ids)), left, {2: len(stay)}, born)


class Made:
    """A pass that answers what it is given, whatever comes in."""

    text_keys, tolerate = ("text",), False

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = outcomes

    def stats_schema(self) -> pa.Schema:
        return pa.schema(KEY_FIELDS)

    def __call__(self, batches: Any) -> Any:
        list(batches)
        yield from self.outcomes


class Five:
    """A lineage of five rows."""

    def read(self, part: int, batch_rows: int = 0) -> Any:
        yield pa.RecordBatch.from_pydict({ID: pa.array(range(5), pa.int64())})


def test_a_new_piece_begins_where_the_columns_change_or_enough_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StageFolder(tmp_path)
    one, other, again = outcome([1, 2, 3], [2], text=["a", "b"]), outcome([4], text=["c"], more=[1.5]), outcome([5], text=["d"], more=[2.5])
    writer = Writer(folder, 7, pa.schema(KEY_FIELDS))
    writer.write([one, other, again])
    told = writer.close()
    assert {k: told[k] for k in ("rows_out", "left", "pieces", "born")} == {"rows_out": 4, "left": 1, "pieces": 2, "born": 0}
    assert told["by"] == {"1 below_min": 1} and told["changed"] == {"2": 4} and told["bytes_out"] > 0
    pieces = [pq.read_table(p) for p in folder.pieces(7)]
    assert [t.column_names[3:] for t in pieces] == [["text"], ["text", "more"]] and [len(t) for t in pieces] == [2, 2]
    assert pq.read_table(folder.file("stats", 7)).column(ID).to_pylist() == [1, 2, 3, 4, 5], "a line for every row that entered"
    assert pq.read_table(folder.file("ledger", 7)).column(ID).to_pylist() == [2]
    monkeypatch.setattr(rows, "BATCH_BYTES", 0)
    small = Writer(folder, 8, pa.schema(KEY_FIELDS))
    small.write([one, one, one])
    assert small.close()["pieces"] == 3 and [p.name[-11:] for p in folder.pieces(8)] == ["000.parquet", "001.parquet", "002.parquet"]


def test_of_no_outcomes_there_are_tables_too(tmp_path: Path) -> None:
    told = Writer(StageFolder(tmp_path), 0, pa.schema(KEY_FIELDS)).close()
    assert told == {"rows_out": 0, "left": 0, "bytes_out": 0, "pieces": 0, "born": 0, "by": {}, "changed": {}}
    assert pq.read_table(tmp_path / "ledger").schema.equals(ledger.SCHEMA) and len(pq.read_table(tmp_path / "stats")) == 0


@pytest.mark.parametrize(("outcomes", "told"), [
    ([outcome([0, 1, 2, 3], text=list("abcd"))], "part 3: 5 rows in, 0 more, 4 out, 0 in the ledger"),
    ([outcome([0, 1, 2, 3, 4], [1], text=list("abcd")), outcome([4], text=["e"])], "part 3: 5 rows in, 0 more, 5 out, 1 in the ledger"),
    ([outcome([0, 1, 2, 3, 4], text=list("abcde"), born=2)], "part 3: 5 rows in, 2 more, 5 out, 0 in the ledger"),
])
def test_rows_that_do_not_add_up_stop_the_part_before_it_is_marked(tmp_path: Path, outcomes: list[Outcome], told: str) -> None:
    task = RowsTask(StageFolder(tmp_path), Made(*outcomes), 16, Five())  # type: ignore[arg-type]
    with pytest.raises(LostRowError, match=told):
        task(3)
    assert StageFolder(tmp_path).part_record(3) is None


def test_pieces_of_an_attempt_that_died_are_no_rows(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    dead = Writer(folder, 0, pa.schema(KEY_FIELDS))
    for i in range(4):  # smaller batches, more pieces, and then nothing
        dead.write([outcome([i], text=["a"], **{f"c{i}": [1]})])
    assert len(folder.pieces(0)) == 3
    told = RowsTask(folder, Made(outcome([0, 1, 2, 3, 4], [4], text=list("abcd"))), 16, Five())(0)  # type: ignore[arg-type]
    assert told["pieces"] == 1 == len(folder.pieces(0)) and len(pq.read_table(folder.pieces(0)[0])) == 4
    again = RowsTask(folder, Made(), 16, Five())(0)  # type: ignore[arg-type]
    assert again == told, "a part that is marked is not done again"


def test_lines_are_counted_by_step_and_reason_in_order() -> None:
    lines = pa.Table.from_pylist([{"step": s, "reason": r} for s, r in ((10, "error"), (2, "below_min"), (2, "above_max"), (10, "error"))], ledger.SCHEMA)
    assert list(by_step(lines).items()) == [("2 above_max", 1), ("2 below_min", 1), ("10 error", 2)]


# ---- rows set aside

def written(folder: Path, broken: int, fragile: int) -> Path:
    """Three files; broken lines in the second, texts that the step below fails on in the third."""
    folder.mkdir()
    for i in range(3):
        lines = [json.dumps({"text": f"row {i} {j}"}) for j in range(6)]
        lines += ["{broken"] * broken if i == 1 else [json.dumps({"text": f"FRAGILE {j}"}) for j in range(fragile)] if i == 2 else []
        (folder / f"{i}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


FRAGILE = {"python_lambda_mapper": {"lambda_str": "lambda row: {'text': row['text'] if 'FRAGILE' not in row['text'] else 1 // 0}"}}


def asked(data: Path, allowed: int | None, *process: Any) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(data.parent / "out"), "np": 1, "batch_rows": 4, "process": list(process), "allow_code": True,
            "on_error": "stop" if allowed is None else {"set_aside": allowed}}


def test_as_many_as_allowed_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    data = written(tmp_path / "data", 3, 0)
    made = run(asked(data, 3, {"text_length_filter": {"min_len": 2}}))
    lines = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert [(r["step"], r["op"], r["reason"], r[SOURCE]) for r in lines] == [(0, "read", "error", "1.jsonl")] * 3
    assert made["rows_in"] == 21 and made["rows_out"] == 18 and all(r["note"] for r in lines) and {f.level for f in check(tmp_path / "out")} == {"ok"}


def test_one_more_than_allowed_stops_and_names_the_first(tmp_path: Path) -> None:
    data = written(tmp_path / "data", 7, 0)
    with pytest.raises(ReadError) as e:
        run(asked(data, 6, {"text_length_filter": {"min_len": 2}}))
    first, *notes = str(e.value).splitlines()
    assert first == "more than 6 rows could not be worked on (on_error: set_aside). Among them:"
    assert len(notes) == 5 and all("1.jsonl" in note for note in notes)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run(asked(data, 7, {"text_length_filter": {"min_len": 2}}))["rows_out"] == 18, "a wider allowance goes on from there"


def test_without_an_allowance_the_first_broken_line_stops(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"1\.jsonl"):
        run(asked(written(tmp_path / "data", 1, 0), None, {"text_length_filter": {"min_len": 2}}))


def test_the_allowance_is_for_all_passes_together(tmp_path: Path) -> None:
    """Two rows in the first pass, three in the second, which a deduplication parts."""
    data = written(tmp_path / "data", 2, 3)
    process = [{"text_length_filter": {"min_len": 2}}, "document_deduplicator", FRAGILE]
    with pytest.raises(ReadError, match="more than 4 rows could not be worked on") as e:
        run(asked(data, 4, *process))
    assert str(e.value).count(", step 3 (python_lambda_mapper): ") == 3 and "2.jsonl at " in str(e.value)
    made = run(asked(data, 5, *process))
    assert [s["left"].get("error", 0) for s in made["steps"]] == [2, 0, 0, 3] and made["rows_out"] == 18
    lines = [r for r in pq.read_table(tmp_path / "out" / "ledger").to_pylist() if r["step"] == 3]
    assert {r[SOURCE] for r in lines} == {"2.jsonl"} and all("FRAGILE" in r["excerpt"] and "division" in r["note"] for r in lines)
