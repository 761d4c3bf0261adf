"""Files behind fsspec: the same splits, rows and ids as on a disk; exports that appear whole."""

import gzip
import json
import socket

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.corpus import cut, discover, peek_schema, read
from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.export import export

ROWS = [{"text": f"row {i} é", "n": i} for i in range(50_000)]
DATA = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS)


def rows_of(path, base) -> list[dict]:
    sources = discover(path, base=base)
    assert set(peek_schema(sources, ["text"]).names) == {"text", "n"}
    batches = [b for s in cut(sources) for b in read(s, text_keys=["text"], batch_rows=9999, batch_bytes=1 << 22, tolerate=False)]
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


@pytest.fixture(scope="module")
def bucket():
    """An S3 server on the loopback, with a bucket."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        fs = fsspec.filesystem("s3")
        fs.mkdir("corpora")
        yield fs
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_memory_reads_as_the_disk_does(tmp_path, memory):
    (tmp_path / "d/sub").mkdir(parents=True)
    for name, data in {"sub/a.jsonl": DATA, "b.jsonl.gz": gzip.compress(DATA[: DATA.find(b"\n", 9999) + 1])}.items():
        (tmp_path / "d" / name).write_bytes(data)
        memory.pipe(f"/d/{name}", data)
    there = rows_of("memory://d", tmp_path)
    assert there == rows_of("d", tmp_path) and len(there) > len(ROWS)
    assert rows_of("memory://d/sub/*.jsonl", tmp_path) == rows_of("d/sub/a.jsonl", tmp_path)
    (source,) = discover("memory://d/sub/a.jsonl", base=tmp_path)
    assert source.source == "a.jsonl" and source.digest.startswith("ukey:") and source.bytes == len(DATA)


def test_local_and_remote_paths_together_keep_their_names_apart(tmp_path, memory):
    memory.pipe("/d/a.jsonl", DATA[:100])
    (tmp_path / "a.jsonl").write_bytes(DATA[:100])
    assert [s.source for s in discover(["a.jsonl", "memory://d"], base=tmp_path)] == ["a.jsonl", "memory/a.jsonl"]


def test_nothing_remote_is_an_error_without_secrets(tmp_path, memory):
    with pytest.raises(RecipeError, match=r"dataset_path 'memory://nowhere': no such file"):
        discover("memory://user:secret@nowhere", base=tmp_path)


def test_a_broken_line_afar_is_told_by_its_offset(tmp_path, memory):
    memory.pipe("/a.jsonl", DATA[:31] + b"broken\n")
    at = DATA[:31].rfind(b"\n") + 1
    with pytest.raises(ReadError, match=rf"a\.jsonl, byte {at}: not JSON"):
        for split in cut(discover("memory://a.jsonl", base=tmp_path)):
            list(read(split, text_keys=["text"], batch_rows=9, batch_bytes=999, tolerate=False))


def test_s3_reads_as_the_disk_does(tmp_path, bucket):
    (tmp_path / "d").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "d/x.parquet", row_group_size=20_000)
    (tmp_path / "e").mkdir()
    (tmp_path / "e/x.jsonl").write_bytes(DATA)
    for folder in ("d", "e"):
        bucket.put(str(tmp_path / folder), "corpora/", recursive=True)
        found = discover(f"s3://corpora/{folder}", base=tmp_path)
        assert len(found) == 1 and found[0].digest.startswith("etag:")
        assert rows_of(f"s3://corpora/{folder}", tmp_path) == rows_of(folder, tmp_path)
    assert len(cut(discover("s3://corpora/e", base=tmp_path))) > 1, "ranges"


@pytest.mark.parametrize("format", ["parquet", "jsonl.zst"])
def test_s3_export_is_the_disks_to_the_byte(tmp_path, bucket, format):
    batches = pa.Table.from_pylist(ROWS).to_batches(max_chunksize=7000)
    options = {"format": format, "texts": ["text"], "shard_rows": 20_000}
    near = export(batches, str(tmp_path / "out"), batches[0].schema, **options)
    far = export(batches, f"s3://corpora/out-{format}", batches[0].schema, **options)
    assert [(s.rows, s.bytes, s.digest) for s in near] == [(s.rows, s.bytes, s.digest) for s in far] and len(far) == 3
    assert sorted(bucket.ls(f"corpora/out-{format}", refresh=True)) == [s.path.removeprefix("s3://") for s in far]
    for a, b in zip(near, far, strict=True):
        assert bucket.cat(b.path) == open(a.path, "rb").read()  # noqa: SIM115, PTH123


def test_memory_export_to_one_file_and_failure_leaves_nothing(memory):
    batch = pa.RecordBatch.from_pylist(ROWS[:10])
    export([batch], "memory://out/x.jsonl", batch.schema)
    assert memory.cat("/out/x.jsonl").splitlines()[0] == '{"text":"row 0 é","n":0}'.encode()

    def failing():
        yield batch
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        export(failing(), "memory://new/x.jsonl", batch.schema)
    assert not memory.exists("/new/x.jsonl") and not memory.find("/new")
