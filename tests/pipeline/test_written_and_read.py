"""There and back: what is exported is read again to the value, in every format, from disk and store; a failure leaves whole files."""

import json
import math
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.corpus import conform, cut, discover, read, unify
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.export import export
from tamis.pipeline.formats import places
from tamis.pipeline.formats.schemas import merge
from tamis.pipeline.run import run

FORMATS = ["parquet", "jsonl", "jsonl.gz", "jsonl.zst"]
TEXT = st.text(alphabet=st.sampled_from("ab é😀\u2028\"\\\n\r\t\x00\x7f2020-01:"), max_size=14)
ROW = st.fixed_dictionaries({
    "text": st.none() | TEXT, "n": st.none() | st.integers(-(2**63), 2**63 - 1), "x": st.none() | st.floats(allow_infinity=False),
    "yes": st.none() | st.booleans(), "tags": st.none() | st.lists(st.none() | TEXT, max_size=3),
    "meta": st.none() | st.fixed_dictionaries({"day": st.none() | TEXT, "deep": st.none() | st.lists(st.fixed_dictionaries({"v": st.floats(-1, 1)}), max_size=2)}),
})
SCHEMA = pa.schema([
    ("text", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("yes", pa.bool_()), ("tags", pa.list_(pa.string())),
    ("meta", pa.struct([("day", pa.string()), ("deep", pa.list_(pa.struct([("v", pa.float64())])))])),
])


def rows_of(path: str, base: Path, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """The user's columns of all rows, brought to one schema."""
    found = discover(path, base=base)
    batches = [b for s in cut(found) for b in read(s, text_keys=["text"], batch_rows=7, batch_bytes=1 << 20, tolerate=False, schema=schema)]
    whole = unify([b.schema for b in batches])
    return [{k: v for k, v in row.items() if not k.startswith("__")} for b in batches for row in conform(b, whole).to_pylist()]


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN is NaN, and what is absent is null."""
    if isinstance(a, dict) or isinstance(b, dict):
        a, b = a or {}, b or {}
        return all(same(a.get(k), b.get(k)) for k in a.keys() | b.keys())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b) and (a is None) == (b is None)


@settings(max_examples=12)
@given(rows=st.lists(ROW, min_size=1, max_size=6), shard_rows=st.sampled_from([None, 1, 4]))
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_is_read_again(tmp_path_factory: pytest.TempPathFactory, format: str, rows: list[dict[str, Any]], shard_rows: int | None) -> None:
    folder = tmp_path_factory.mktemp("there")
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    export([batch], str(folder), SCHEMA, format=format, texts=["text"], shard_rows=shard_rows)
    for found, row in zip(rows_of(str(folder), folder), rows, strict=True):
        # a null object and one of nulls are two in Arrow; JSON of a file that shows no object cannot tell which it was
        assert all(same(found.get(k), v) for k, v in row.items()), (found, row)


@pytest.mark.parametrize("format", FORMATS)
def test_a_second_way_there_and_back_changes_not_a_byte(tmp_path: Path, format: str) -> None:
    rows = [{"text": f"row {i} é\n", "n": i if i % 3 else None, "tags": ["a"] * (i % 3), "meta": {"k": i / 7}} for i in range(50)]
    first = export([pa.RecordBatch.from_pylist(rows)], str(tmp_path / "a"), pa.RecordBatch.from_pylist(rows).schema, format=format, shard_rows=20)
    (source, *_) = discover(str(tmp_path / "a"), base=tmp_path)
    assert source.digest == first[0].digest and source.bytes == first[0].bytes
    back = rows_of(str(tmp_path / "a"), tmp_path)
    again = export([pa.RecordBatch.from_pylist(back)], str(tmp_path / "b"), pa.RecordBatch.from_pylist(rows).schema, format=format, shard_rows=20)
    assert [s.digest for s in first] == [s.digest for s in again] and back == rows


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full disk", "interrupt"])
def test_a_failure_at_any_step_leaves_whole_files_and_the_next_attempt_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, kind: BaseException,
) -> None:
    old, new = (pa.table({"text": [f"{what} {i}" for i in range(6)]}) for what in ("old", "new"))
    wanted = {Path(s.path).name: Path(s.path).read_bytes() for s in export(new.to_batches(), str(tmp_path / "wanted"), new.schema, format=format, shard_rows=2)}
    before = {Path(s.path).name: Path(s.path).read_bytes() for s in export(old.to_batches(), str(tmp_path / "out"), old.schema, format=format, shard_rows=2)}
    count = 0

    def failing(inner: Any, step: int) -> Any:
        def outer(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                raise kind
            return inner(*args, **kwargs)
        return outer

    for step in range(1, 40):
        count = 0
        with monkeypatch.context() as patch:
            patch.setattr(places.Sink, "write", failing(places.Sink.write, step))
            patch.setattr(places.os, "fsync", failing(places.os.fsync, step))
            patch.setattr(Path, "replace", failing(Path.replace, step))
            try:
                export(new.to_batches(), str(tmp_path / "out"), new.schema, format=format, shard_rows=2)
                break
            except type(kind):  # and no other: whoever reads it must know what it was
                there = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")}
        assert set(there) == set(before) and all(data in (before[name], wanted[name]) for name, data in there.items()), step
        if there == wanted:
            continue
        assert sum(data == wanted[name] for name, data in there.items()) < 3
        export(old.to_batches(), str(tmp_path / "out"), old.schema, format=format, shard_rows=2)
    assert 6 < step < 40
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == wanted


def test_a_store_and_a_disk_mean_the_same_files_by_every_path(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    names = ["a.jsonl", "b.json", "sub/a.jsonl", "sub/deep/c.jsonl", "sub/.hidden/x.jsonl", ".d.jsonl", "_success.jsonl", "README.md", "sub/LICENSE", "x y.jsonl", "k=1/p.jsonl"]
    for i, name in enumerate(names):
        data = f'{{"text": "{name}", "n": {i}}}\n'.encode()
        (tmp_path / "alike" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "alike" / name).write_bytes(data)
        fs.pipe(f"/alike/{name}", data)
    try:
        for path in ("", "/", "/sub", "/sub/", "/*.jsonl", "/*/*.jsonl", "/**/*.jsonl", "/sub/**/*.jsonl", "/a.jsonl", "/sub/deep/c.jsonl", "/?.json*", "/k=1", "/x y.jsonl"):
            here, there = (discover(f"{start}{path}", base=tmp_path) for start in ("alike", "memory://alike"))
            assert [(s.source, s.bytes, s.format) for s in here] == [(s.source, s.bytes, s.format) for s in there] and here, path
            assert rows_of(f"alike{path}", tmp_path) == rows_of(f"memory://alike{path}", tmp_path)
        for path in ("/none.jsonl", "/none/*.jsonl", "/*.csv"):
            for start in ("alike", "memory://alike"):
                with pytest.raises(RecipeError, match="dataset_path"):
                    discover(start + path, base=tmp_path)
        chosen = discover("memory://alike", base=tmp_path, only=["sub/a.jsonl"])
        assert [s.source for s in chosen] == ["sub/a.jsonl"]
        with pytest.raises(RecipeError, match=r"only_files: gone.jsonl: no such file below dataset_path"):
            discover("alike", base=tmp_path, only=["a.jsonl", "gone.jsonl"])
    finally:
        fs.rm("/alike", recursive=True)


@settings(max_examples=60)
@given(st.lists(st.recursive(
    st.sampled_from([pa.null(), pa.int64(), pa.float64(), pa.string(), pa.bool_()]),
    lambda inner: st.builds(pa.list_, inner) | st.builds(lambda a, b: pa.struct([("a", a), ("b", b)]), inner, inner), max_leaves=4), min_size=3, max_size=3))
def test_types_merge_whatever_their_order(types: list[pa.DataType]) -> None:
    """Commutative up to the order of fields, associative, and a merged type holds what made it."""
    def together(*order: pa.DataType) -> Any:
        merged = pa.null()
        try:
            for type in order:
                merged = merge(merged, type, "c")
        except ValueError:
            return None
        return merged

    a, b, c = types
    assert together(a, b, c) == together(c, b, a) == together(b, a, c)
    if (whole := together(a, b, c)) is not None:
        assert all(together(whole, t) == whole for t in types)


def test_a_corpus_of_files_that_differ_is_run_and_read_again(tmp_path: Path) -> None:
    """CSV with a column that one file leaves empty, a broken record, a null text: what leaves and what stays is all there is."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("text,n,note\nlong enough,1,word\nalso long enough,2,\n")
    (tmp_path / "in/b.csv").write_text("note,text,n\n,third of the rows,\n,the broken one\n")
    told = run({"dataset_path": str(tmp_path / "in"), "export_path": str(tmp_path / "out"), "np": 1, "on_error": {"set_aside": 1}, "export_type": "jsonl",
                "process": [{"text_length_filter": {"min_len": 5}}, {"specified_numeric_field_filter": {"field_key": "n", "min_value": 2}}]})
    assert (told["rows_in"], told["rows_out"]) == (4, 1)
    (kept,) = [json.loads(line) for p in sorted((tmp_path / "out/data").glob("*.jsonl")) for line in p.read_text().splitlines()]
    assert (kept["text"], kept["n"], kept["note"]) == ("also long enough", 2, "")
    left = {(r["__source__"], r["__position__"]): r["reason"] for r in pq.read_table(tmp_path / "out/ledger").to_pylist()}
    assert left[("b.csv", 1)] == "error" and set(left) == {("a.csv", 0), ("b.csv", 0), ("b.csv", 1)}
