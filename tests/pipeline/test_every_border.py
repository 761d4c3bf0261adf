"""However a file is cut, each of its lines is read once: every border, every size of a block, against a loop over the whole."""

import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tamis.pipeline.corpus import cut, discover, read
from tamis.pipeline.formats import lines
from tamis.pipeline.formats.compression import Unpacked
from tamis.pipeline.formats.rows import BrokenError

BOM = b"\xef\xbb\xbf"
FILES = {
    "plain": '{"text":"a"}\n{"text":"é😀"}\n{"text":"c"}\n'.encode(),
    "no newline at the end": b'{"text":"a"}\n{"text":"b"}',
    "carriage returns": b'{"text":"a"}\r\n\r\n{"text":"b"}\r\n \r\n',
    "blank lines": b'\n\n  \n{"text":"a"}\n\t\n\n{"text":"b"}\n\n',
    "blanks around": b' {"text":"a"} \n\t{"text":"b"}\t\r\n',
    "one line": b'{"text":"only"}',
    "a mark of byte order": BOM + b'{"text":"a"}\n{"text":"b"}\n',
    "a mark before a blank line": BOM + b'\n{"text":"a"}\r\n',
    "a mark inside": b'{"text":"a"}\n' + BOM + b'{"text":"b"}\n',
}
Line = tuple[bytes, int, int | None]  # without white space around it; where it begins; its number


def by_a_loop(data: bytes, start: int, stop: int) -> list[Line]:
    """The lines that begin at `start <= offset < stop`."""
    found: list[Line] = []
    at = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        skipped = 3 if at == 0 and raw.startswith(BOM) else 0
        line = raw[skipped:].strip(b" \t\r")
        if start <= at < stop and line:
            found.append((line, at + skipped, number))
        at += len(raw) + 1
    return found


def told(block: lines.Block) -> list[Line]:
    return [(block.line(i), int(block.positions[i]), block.line_of(i)) for i in range(len(block))]


@pytest.mark.parametrize("kind", FILES)
def test_a_range_of_bytes_has_the_lines_that_begin_in_it(kind: str, tmp_path: Path) -> None:
    data = FILES[kind]
    (tmp_path / "x").write_bytes(data)
    for start, stop in itertools.combinations_with_replacement(range(len(data) + 1), 2):
        block = lines.range_block(str(tmp_path / "x"), start, stop, len(data), count_lines=True)
        assert told(block) == by_a_loop(data, start, stop), (start, stop)


def test_a_range_of_a_store_counts_no_lines() -> None:
    fs = fsspec.filesystem("memory")
    data = FILES["plain"]
    fs.pipe("/borders/x.jsonl", data)
    for start in range(len(data)):
        block = lines.range_block("memory://borders/x.jsonl", start, len(data), len(data), count_lines=False)
        assert told(block) == [(line, at, None) for line, at, _ in by_a_loop(data, start, len(data))]
    fs.rm("/borders", recursive=True)


@pytest.mark.parametrize("kind", ["plain", "carriage returns", "a mark of byte order"])
@pytest.mark.parametrize("place", ["disk", "store"])
def test_rows_and_ids_do_not_know_of_the_border(kind: str, place: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    data = FILES[kind]
    (tmp_path / "x.jsonl").write_bytes(data)
    fs.pipe("/borders/x.jsonl", data)
    (split,) = cut(discover("x.jsonl" if place == "disk" else "memory://borders/x.jsonl", base=tmp_path))

    def rows(start: int, stop: int) -> list[dict[str, Any]]:
        piece = replace(split, start=start, stop=stop)
        batches = read(piece, text_keys=["text"], batch_rows=9, batch_bytes=1 << 20, tolerate=False)
        return [row for batch in batches for row in batch.to_pylist()]

    whole = rows(0, len(data))
    assert [row["text"] for row in whole] == [json.loads(line)["text"] for line, _, _ in by_a_loop(data, 0, len(data))]
    for border in range(len(data) + 1):
        assert rows(0, border) + rows(border, len(data)) == whole, border
    fs.rm("/borders", recursive=True)


@pytest.mark.parametrize("kind", FILES)
def test_a_stream_in_blocks_of_any_size_has_every_line(kind: str) -> None:
    data = FILES[kind]
    for size in range(1, len(data) + 2):
        found = [line for block in lines.stream_blocks(Unpacked(io.BytesIO(data), None), size) for line in told(block)]
        assert found == by_a_loop(data, 0, len(data)), size


def test_a_line_too_long_is_told_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a stream after the lines before it, in a range by the split in which it begins and by no other."""
    monkeypatch.setattr(lines, "LINE_LIMIT", 100_000)
    short, long = b'{"text":"a"}\n', b'{"text":"' + b"x" * 300_000 + b'"}\n'
    data = short + long + short
    (tmp_path / "x").write_bytes(data)
    found: list[Line] = []
    with pytest.raises(BrokenError, match="a line of more than 0 MiB") as e:
        for block in lines.stream_blocks(Unpacked(io.BytesIO(data), None), 1000):
            found += told(block)
    assert e.value.position == len(short) and found == [(short.strip(), 0, 1)]
    with pytest.raises(BrokenError) as e:
        lines.range_block(str(tmp_path / "x"), 0, len(short) + 1, len(data), count_lines=True)
    assert e.value.position == len(short)
    after = lines.range_block(str(tmp_path / "x"), len(short) + 1, len(data), len(data), count_lines=True)
    assert told(after) == [(short.strip(), len(short) + len(long), 3)]


# ---- one array

ELEMENTS: list[Any] = [
    {"text": "a"}, {"text": 'br[ack]ets {in}, a "quote" and a \\ at the end\\'}, {"n": [1, [2, {"m": {}}], []], "text": "é\n"}, {}, {"text": ""},
]
ARRAYS = {
    "compact": json.dumps(ELEMENTS, separators=(",", ":")).encode(), "pretty": json.dumps(ELEMENTS, indent=2, ensure_ascii=False).encode(),
    "blanks": b"\n \t[ " + b" ,\r\n ".join(json.dumps(e).encode() for e in ELEMENTS) + b" ]\n\n",
    "a mark of byte order": BOM + json.dumps(ELEMENTS).encode(),
}


def elements(data: bytes, size: int = lines.STREAM_BLOCK) -> Iterator[Line]:
    for block in lines.array_blocks(Unpacked(io.BytesIO(data), None), size):
        yield from told(block)


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_in_blocks_of_any_size_has_every_element(kind: str) -> None:
    data = ARRAYS[kind]
    text = data.decode()
    for size in range(1, len(data) + 2, 3):
        found = list(elements(data, size))
        assert [json.loads(element) for element, _, _ in found] == ELEMENTS, size
        for (_, at, number), true in zip(found, ELEMENTS, strict=True):
            before = data[:at].decode()
            assert json.JSONDecoder().raw_decode(text, len(before))[0] == true and number == before.count("\n") + 1


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_cut_off_anywhere_gives_its_whole_elements_and_says_so(kind: str) -> None:
    data = ARRAYS[kind]
    text = data.decode()
    ends = [json.JSONDecoder().raw_decode(text, len(data[:at].decode()))[1] for _, at, _ in elements(data)]
    commas = [len(text[:text.index(",", end)].encode()) for end in ends[:-1]]  # with the comma behind it an element is known to be whole
    for stop in range(data.rfind(b"]")):
        found: list[Any] = []
        with pytest.raises(BrokenError, match="the array is cut off"):
            for element, _, _ in elements(data[:stop]):
                found.append(json.loads(element))
        assert found == ELEMENTS[:sum(comma < stop for comma in commas)], stop


@pytest.mark.parametrize("inside", ["code: }, {}, {}, [] and ", 'like this: {\\"x\\": 1}, {}, [], {} ]', "}] and more"])
def test_what_a_cut_off_text_holds_is_no_row(inside: str) -> None:
    """A download that breaks off inside a text of code: its brackets and objects are none of the array's."""
    data = b'[{"text": "whole"}, {"text": "' + inside.encode()
    found: list[bytes] = []
    with pytest.raises(BrokenError, match="the array is cut off") as e:
        for element, _, _ in elements(data):
            found.append(element)
    assert found == [b'{"text": "whole"}'] and data[e.value.position:].strip().startswith(b'{"text": "' + inside.encode()[:4])
