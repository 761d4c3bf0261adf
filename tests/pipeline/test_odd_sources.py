"""Sources that fail while they are read, that are too large, too deep, or lie where a row is asked for by its line."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.corpus import ERROR, cut, discover, peek_schema, read
from tamis.pipeline.errors import ReadError, RecipeError, TamisError
from tamis.pipeline.formats import lines, plain
from tamis.pipeline.formats.compression import Unpacked
from tamis.pipeline.formats.rows import BrokenError
from tamis.pipeline.ledger import POSITION
from tamis.pipeline.reporting.finished import Finished
from tamis.pipeline.reporting.lookup import find
from tamis.pipeline.run import run


def rows_of(base: Path, name: str, tolerate: bool = True, texts: tuple[str, ...] = ("text",)) -> list[dict[str, Any]]:
    batches = [b for s in cut(discover(name, base=base)) for b in read(s, text_keys=texts, batch_rows=4, batch_bytes=1 << 20, tolerate=tolerate)]
    return [row for batch in batches for row in batch.to_pylist()]


class Failing(io.BytesIO):
    """A disk that cannot be read beyond some bytes."""

    def __init__(self, data: bytes, good: int) -> None:
        super().__init__(data)
        self.good = good

    def read(self, wanted: int | None = -1) -> bytes:
        if self.tell() >= self.good:
            raise OSError(5, "Input/output error")
        return super().read(min(wanted or 0, self.good - self.tell()))


@pytest.mark.parametrize("good", [0, 5, 12, 13, 20, 38])
def test_a_disk_that_fails_gives_the_whole_lines_before(good: int) -> None:
    data = b'{"text":"a"}\n' * 3
    found: list[bytes] = []
    with pytest.raises(BrokenError, match="the file stream breaks off or is damaged .*Input/output error") as e:
        for block in lines.stream_blocks(Unpacked(Failing(data, good), None), 7):
            found += [block.line(i) for i in range(len(block))]
    assert found == [b'{"text":"a"}'] * (good // 13) and e.value.position == good // 13 * 13


def test_a_store_that_cannot_be_listed_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("https://me:secret@host/bucket?X-Amz-Signature=abc: forbidden")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "isfile", refuse)
    with pytest.raises(RecipeError, match="cannot be listed") as e:
        discover("memory://somewhere/x.jsonl", base=tmp_path)
    assert "https://host/bucket forbidden" in str(e.value) and "secret" not in str(e.value) and "abc" not in str(e.value)


def test_a_text_that_is_gone_or_too_large_costs_its_row_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LINE_LIMIT", 1 << 20)
    for name, data in (("a.txt", b"fine"), ("b.txt", b"x" * ((1 << 20) + 1)), ("c.txt", b"x" * (1 << 20)), ("d.txt", b"gone"), ("e.txt", b"")):
        (tmp_path / name).write_bytes(data)
    splits = cut(discover(".", base=tmp_path))
    (tmp_path / "d.txt").unlink()
    rows = [r for s in splits for b in read(s, text_keys=["text"], batch_rows=9, batch_bytes=1 << 20, tolerate=True) for r in b.to_pylist()]
    assert [r["text"] and len(r["text"]) for r in rows] == [4, None, 1 << 20, None, ""]
    assert rows[1][ERROR] == "b.txt: more than 1 MiB in one text file, which is one row" and rows[3][ERROR] == "d.txt: cannot be read (No such file or directory)"


@pytest.mark.parametrize(("value", "told"), [
    ("[" * 100 + "]" * 100, "nests more than 60 levels"), ("[" * 900 + "]" * 900, "nest"), ("[" * 1015 + "1" * 20 + "]" * 1015, "nest"),
    ("[" * 5000 + "]" * 5000, "not JSON"), ('{"a":' * 1100 + "1" + "}" * 1100, "not JSON"), ("9" * 5000, "number is infinity"),
    ("[" * 61 + "NaN" + "]" * 61, "nests more than 60 levels"), ("[NaN, ]", "not JSON"),
])
def test_a_value_beyond_all_bounds_is_told_and_its_neighbours_read(value: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "before"}\n{"text": "odd", "v": ' + value + '}\n{"text": "after", "v": null}\n')
    rows = rows_of(tmp_path, "x.jsonl")
    assert [r["text"] for r in rows] == ["before", None, "after"] and "x.jsonl, line 2" in rows[1][ERROR] and told in rows[1][ERROR]
    with pytest.raises(ReadError, match="x.jsonl, line 2"):
        rows_of(tmp_path, "x.jsonl", tolerate=False)


def test_the_head_goes_by_what_most_rows_hold(tmp_path: Path) -> None:
    """A row that disagrees deep inside is broken, not the column."""
    rows = [{"text": "a", "m": {"k": ["x"]}}, {"text": "b", "m": {"k": [1]}}, {"text": "c", "m": {"k": ["y"], "more": 1}}, {"text": "d", "m": 3}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert peek_schema(discover("x.jsonl", base=tmp_path), ["text"]).field("m").type == pa.struct([("k", pa.list_(pa.string())), ("more", pa.int64())])
    found = rows_of(tmp_path, "x.jsonl")
    assert [bool(r[ERROR]) for r in found] == [False, True, False, True]
    assert "column 'm.k[]' is a number here, text elsewhere" in found[1][ERROR] and "column 'm' is a number here, an object elsewhere" in found[3][ERROR]


# ---- a row by its line

ROWS = [{"text": f"the row number {i} of a few", "n": i} for i in range(6)]


def laid(folder: Path) -> dict[str, list[int]]:
    """Files of every format with the same rows, and the line (from 1) on which each row begins, or its number where there are no lines."""
    dumped = [json.dumps(r) for r in ROWS]
    (folder / "blank.jsonl").write_text("\n\n" + "\n \n".join(dumped))
    (folder / "packed.jsonl.gz").write_bytes(gzip.compress(("\n".join(dumped) + "\n").encode()))
    (folder / "pretty.json").write_text(json.dumps(ROWS, indent=1))
    return {"blank.jsonl": [3 + 2 * i for i in range(6)], "packed.jsonl.gz": [*range(1, 7)], "pretty.json": [2 + 4 * i for i in range(6)]}


def test_a_row_is_found_by_its_line_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    where = laid(tmp_path / "in")
    run({"dataset_path": str(tmp_path / "in"), "export_path": str(tmp_path / "out"), "np": 1, "process": [{"specified_numeric_field_filter": {"field_key": "n", "max_value": 3}}]})
    made = Finished.open(tmp_path / "out")
    known = {r["__id__"]: r for folder in ("kept", "ledger") for r in pq.read_table(tmp_path / "out" / folder).to_pylist()}
    for source, numbers in where.items():
        offsets = sorted(r[POSITION] for r in known.values() if r["__source__"] == source)
        for number, offset in zip(numbers, offsets, strict=True):
            for asked in (f"{source}#{number}", f"{source}:{offset}"):
                assert known[find(made, asked, "n").id][POSITION] == offset, asked
        with pytest.raises(TamisError, match=rf"{source}: line 99 holds no row"):
            find(made, f"{source}#99", "n")
        with pytest.raises(TamisError, match=rf"no row at {source}:{offsets[1] + 1}\. The nearest rows begin at {', '.join(map(str, offsets[:3]))}\. A line's number"):
            find(made, f"{source}:{offsets[1] + 1}", "n")
    with pytest.raises(TamisError, match="blank.jsonl: line 2 holds no row"):
        find(made, "blank.jsonl#2", "n")
    with pytest.raises(TamisError, match="'2' means 3 rows; ask by place or id"):
        find(made, "2", "n")
    (tmp_path / "in/blank.jsonl").unlink()
    with pytest.raises(TamisError, match="blank.jsonl is no longer where the run read it"):
        find(made, "blank.jsonl#3", "n")


def test_records_are_counted_from_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,n\n" + "".join(f"{r['text']},{r['n']}\n" for r in ROWS))
    run({"dataset_path": str(tmp_path / "x.csv"), "export_path": str(tmp_path / "out"), "np": 1, "process": []})
    made = Finished.open(tmp_path / "out")
    kept = {r["__id__"]: r[POSITION] for r in pq.read_table(tmp_path / "out/kept").to_pylist()}
    assert [kept[find(made, f"x.csv#{i}", "n").id] for i in range(1, 7)] == list(range(6))
