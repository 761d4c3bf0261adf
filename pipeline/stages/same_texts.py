"""Equal texts are embedded once: who is the first of each, and what is known from earlier runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from ..engines.base import Counts, Engine
from ..steps import Step
from ..workspace import StageFolder, atomically, write_table
from .lineage import Lineage, read
from .prompts import keys_of, whole

_HASH = np.dtype([("high", "<u8"), ("low", "<u8")])


@dataclass(frozen=True)
class HashTask:
    """Writes the 128-bit hash of the text, with its prompt, of each row of a part that stands."""

    folder: StageFolder
    before: Lineage
    step: Step

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        if not self.folder.file("hashes", part).exists():
            where = f"step {self.step.number} ({self.step.name}), part {part}"
            columns = [self.step.text_key, *keys_of(self.step)]
            found = [t for batch in self.before.read(part, columns) for t in whole(batch, self.step, where)]
            write_table(self.folder.file("hashes", part), _table(hashes_of(found)))
        return {}


def hashes_of(found: Sequence[str | None]) -> np.ndarray:
    """(uint64, uint64)[n]: xxh3 of each text; null is as good as empty."""
    digests = b"".join(xxhash.xxh3_128_digest((t or "").encode("utf-8", "surrogatepass")) for t in found)
    return np.frombuffer(digests, _HASH)


def _table(hashes: np.ndarray) -> pa.Table:
    return pa.table({name: pa.array(np.ascontiguousarray(hashes[name])) for name in ("high", "low")})


def hashes(folder: StageFolder, part: int) -> np.ndarray:
    """The hashes of a part's rows."""
    table = read(folder.file("hashes", part))
    found = np.empty(len(table), _HASH)
    for name in ("high", "low"):
        found[name] = table.column(name).to_numpy()
    return found


def find_first(folder: StageFolder, before: Lineage, step: Step, engine: Engine, parts: Sequence[int]) -> None:
    """Write, for each row of these parts, the first row with its text: `first/part-*.parquet` (part, row).

    Cost: a pass over the texts; 40 bytes a row held here.
    """
    if all(folder.file("first", part).exists() for part in parts):
        return
    engine.map(HashTask(folder, before, step), parts, lambda _: None)
    found = [hashes(folder, part) for part in parts]
    lengths = [len(h) for h in found]
    whole = np.concatenate([np.empty(0, _HASH), *found])
    owner = np.repeat(np.array(parts, np.int64), lengths)
    row = np.concatenate([np.empty(0, np.int64), *(np.arange(n) for n in lengths)])
    order = np.lexsort((row, owner, whole["low"], whole["high"]))
    sorted_hashes = whole[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(order), 1), bool), sorted_hashes[1:] != sorted_hashes[:-1]]))
    first = np.empty(len(order), np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    at = 0
    for part, length in zip(parts, lengths, strict=True):
        here = first[at : at + length]
        write_table(folder.file("first", part), pa.table({"part": owner[here], "row": row[here]}))
        at += length


def firsts(folder: StageFolder, part: int) -> tuple[np.ndarray, np.ndarray]:
    """int64[n] each: the part and the row (counted in that part) of the first row with each row's text."""
    table = read(folder.file("first", part))
    return table.column("part").to_numpy(), table.column("row").to_numpy()


class VectorCache:
    """Vectors of texts by hash, from earlier runs, as float16: a folder of segments, each written whole and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segments = [(np.load(file, mmap_mode="r"), np.load(file.with_suffix("").with_suffix(".vectors.npy"), mmap_mode="r"))
                          for file in sorted(folder.glob("*.hashes.npy"))] if folder.is_dir() else []

    def find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """bool[n], which hashes are known, and float16[n, d] with their vectors (None: nothing is known)."""
        known, vectors = np.zeros(len(wanted), bool), None
        for hashed, stored in self._segments:
            at = np.minimum(np.searchsorted(hashed, wanted), len(hashed) - 1)
            here = (hashed[at] == wanted) & ~known
            if here.any():
                vectors = np.zeros((len(wanted), stored.shape[1]), np.float16) if vectors is None else vectors
                vectors[here] = stored[at[here]]
                known |= here
        return known, vectors

    def add(self, hashed: np.ndarray, vectors: np.ndarray) -> int:
        """Keep vectors that are not known yet; answers how many that were."""
        hashed, first = np.unique(hashed, return_index=True)
        new = ~self.find(hashed)[0]
        if not new.any():
            return 0
        hashed, vectors = hashed[new], np.ascontiguousarray(vectors[first[new]], np.float16)
        name = xxhash.xxh3_64_hexdigest(hashed.tobytes())
        self.folder.mkdir(parents=True, exist_ok=True)
        for kind, array in (("vectors", vectors), ("hashes", hashed)):  # a segment is there when its hashes are
            atomically(self.folder / f"{name}.{kind}.npy", partial(_save, array=array))
        return len(hashed)


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)
