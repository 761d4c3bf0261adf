"""Archives and tables cut off or damaged at every byte: what is whole is read, the break is told, nothing false is read."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tamis.pipeline.corpus import ERROR, cut, discover, read
from tamis.pipeline.errors import ReadError
from tamis.pipeline.ledger import POSITION

ROWS = [{"text": f"row {i} " + chr(97 + i) * i, "n": i} for i in range(4)]
LINES = [json.dumps(row).encode() + b"\n" for row in ROWS]
RECORDS = [b"text,n\n", *(f'"{row["text"]}",{row["n"]}\n'.encode() for row in ROWS)]


def gz(pieces: list[bytes]) -> bytes:
    """Two members, each flushed after every line."""
    made = b""
    for member in (pieces[:3], pieces[3:]):
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        made += b"".join(packer.compress(p) + packer.flush(zlib.Z_SYNC_FLUSH) for p in member) + packer.flush()
    return made


def zst(pieces: list[bytes]) -> bytes:
    """Two frames with checksums, a block for every line."""
    made = b""
    for frame in (pieces[:3], pieces[3:]):
        packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        made += b"".join(packer.compress(p) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for p in frame) + packer.flush()
    return made


def unpacked(data: bytes, codec: str) -> tuple[bytes, bool]:
    """What the standard tool makes of a piece of an archive, and whether the piece ends where an archive may end."""
    made, whole = b"", False
    while data:
        tool: Any = zlib.decompressobj(31) if codec == "gz" else zstandard.ZstdDecompressor().decompressobj()
        made += tool.decompress(data)
        whole, data = bool(tool.eof), tool.unused_data
    return made, whole


def rows_of(base: Path, name: str, data: bytes, tolerate: bool) -> list[dict[str, Any]]:
    (base / name).write_bytes(data)
    found = discover(name, base=base)
    batches = [b for s in cut(found) for b in read(s, text_keys=["text"], batch_rows=4, batch_bytes=1 << 20, tolerate=tolerate)]
    return [row for batch in batches for row in batch.to_pylist()]


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"text": row["text"], "n": row["n"]} for row in rows]


@pytest.mark.parametrize("codec", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_archive_cut_at_any_byte_gives_its_whole_lines_and_one_row_for_the_break(kind: str, codec: str, tmp_path: Path) -> None:
    pieces = LINES if kind == "jsonl" else RECORDS
    archive = (gz if codec == "gz" else zst)(pieces)
    clean = 0
    for stop in range(len(archive)):
        text, whole = unpacked(archive[:stop], codec)
        rows = rows_of(tmp_path, f"x.{kind}.{codec}", archive[:stop], tolerate=True)
        good = [row for row in rows if not row[ERROR]]
        expected = max(0, text.count(b"\n") - (kind == "csv"))
        assert plain(good) == ROWS[:expected], stop
        if whole:
            clean += 1
            assert good == rows
            continue
        assert rows[:-1] == good and "breaks off or is damaged" in rows[-1][ERROR] and rows[-1]["text"] is None, stop
        if kind == "jsonl":
            assert rows[-1][POSITION] == sum(map(len, LINES[:expected])), "the break lies behind the last whole line"
        if stop % 10:
            continue
        with pytest.raises(ReadError, match=rf"x\.{kind}\.{codec}.*breaks off or is damaged"):
            rows_of(tmp_path, f"x.{kind}.{codec}", archive[:stop], tolerate=False)
    assert clean == 1, "an archive may end where its first member does"
    assert plain(rows_of(tmp_path, f"x.{kind}.{codec}", archive, tolerate=False)) == ROWS


@pytest.mark.parametrize("codec", ["gz", "zst"])
@pytest.mark.parametrize("bit", [0x01, 0x20])
def test_a_bit_flipped_anywhere_in_an_archive_is_told_or_changes_nothing(codec: str, bit: int, tmp_path: Path) -> None:
    archive = (gz if codec == "gz" else zst)(LINES)
    told = 0
    for at in range(len(archive)):
        damaged = bytearray(archive)
        damaged[at] ^= bit
        try:
            rows = rows_of(tmp_path, f"x.jsonl.{codec}", bytes(damaged), tolerate=False)
        except ReadError:
            told += 1
        else:
            assert plain(rows) == ROWS, at  # the time in a header, say
    assert told > 0.8 * len(archive)


@pytest.mark.parametrize("junk", [b"\0", b"\0" * 600, b"x", b"\x1f\x8b", b"\n"])
def test_what_follows_an_archive_is_told_after_all_its_rows(junk: bytes, tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "x.jsonl.gz", gzip.compress(b"".join(LINES)) + junk, tolerate=True)
    assert plain(rows[:4]) == ROWS and all(row[ERROR] for row in rows[4:]) and len(rows) == 5


def table_bytes(base: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(ROWS), base / "whole.parquet", row_group_size=2, write_page_checksum=True, compression="zstd")
    return (base / "whole.parquet").read_bytes()


def test_a_table_cut_at_any_byte_is_told_whole(tmp_path: Path) -> None:
    data = table_bytes(tmp_path)
    for stop in {*range(1, len(data), 7), *range(len(data) - 16, len(data))}:
        row, = rows_of(tmp_path, "x.parquet", data[:stop], tolerate=True)
        assert "x.parquet: not a whole Parquet file" in row[ERROR] and row[POSITION] == 0, stop


def test_a_bit_flipped_in_a_page_costs_its_row_group_alone(tmp_path: Path) -> None:
    """Between the file's first magic word and its footer lie pages and their headers."""
    data = table_bytes(tmp_path)
    groups = pq.ParquetFile(tmp_path / "whole.parquet").metadata
    chunks = [[groups.row_group(g).column(c) for c in range(2)] for g in range(2)]
    first = [min(c.dictionary_page_offset for c in group) for group in chunks]
    end = max(c.dictionary_page_offset + c.total_compressed_size for c in chunks[-1])
    lost = 0
    for at in range(first[0], end, 5):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        rows = rows_of(tmp_path, "x.parquet", bytes(damaged), tolerate=True)
        hit = sum(at >= f for f in first) - 1
        good = [row for row in rows if not row[ERROR]]
        kept = [row for i, row in enumerate(ROWS) if i // 2 != hit]
        assert plain(good) in (ROWS, kept), at
        if len(good) < 4:
            lost += 1
            broken, = [row for row in rows if row[ERROR]]
            assert f"row group {hit}: records {2 * hit} to {2 * hit + 1} cannot be read" in broken[ERROR] and broken[POSITION] == 2 * hit
    assert lost > 30
