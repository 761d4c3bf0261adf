"""Text files: one file is one row, its text in the column `text`."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from .lines import BOM, LINE_LIMIT
from .places import open_input, shown
from .rows import Rows, complain

SCHEMA = pa.schema([("text", pa.string())])


def read_files(files: Sequence[tuple[str, str]], *, tolerate: bool) -> Iterator[Rows]:
    """A row for each (url, source), in order, a byte-order mark left out. Raises ReadError for what is no UTF-8 text."""
    for url, source in files:
        text, reason = _text(url)
        errors = {0: complain(source, reason, tolerate=tolerate)} if reason else {}
        columns = pa.RecordBatch.from_arrays([pa.array([text], pa.string())], schema=SCHEMA)
        yield Rows(source, columns, np.zeros(1, np.int64), errors)


def _text(url: str) -> tuple[str | None, str]:
    """The file's text, or None and why not."""
    try:
        with open_input(url) as file:
            data = file.read(LINE_LIMIT + 1)
    except OSError as e:
        return None, f"cannot be read ({shown(e.strerror or str(e))})"
    if len(data) > LINE_LIMIT:
        return None, f"more than {LINE_LIMIT >> 20} MiB in one text file, which is one row"
    try:
        return data.removeprefix(BOM).decode(), ""
    except UnicodeDecodeError as e:
        return None, f"not UTF-8: byte 0x{e.object[e.start]:02x} at byte {e.start}"
