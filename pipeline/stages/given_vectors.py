"""Vectors that come with the rows, in a column of their own: read, checked, scaled to length 1."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import OperatorError
from ..ledger import ID
from ..workspace import StageFolder
from .lineage import Lineage


def problem(kind: pa.DataType | None, key: str) -> str | None:
    """What is wrong with a column as vectors; None: it can be read."""
    if kind is None:
        return f"vector_key: no column {key!r} in the data"
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not listed or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return f"vector_key: column {key!r} is {kind}, not a list of numbers"
    return None


def given(before: Lineage, part: int, key: str, where: str) -> tuple[np.ndarray, pa.FixedSizeListArray]:
    """int64[n], ids of a part's rows that stand, and float32[n, d], their vectors from column `key`, of length 1.

    Raises OperatorError where a row has none, or one of another length, or of no direction.
    """
    ids, found = [], []
    for batch in before.read(part, [key]):
        ids.append(batch.column(ID).to_numpy())
        column = batch.column(key)
        if wrong := problem(column.type, key):  # grouped rows have a list of them
            raise OperatorError(f"{where}: {wrong}")
        lengths = pc.if_else(pc.is_null(column), -1, pc.cast(pc.list_value_length(column), pa.int64())).to_numpy()
        if len(set(lengths.tolist())) > 1 or (lengths < 1).any():
            raise OperatorError(f"{where}: column {key!r} must hold a vector of one length in every row; "
                                f"it has lengths {sorted(set(lengths.tolist()))[:5]} (-1: none)")
        if len(batch):
            found.append(np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(batch), -1))
    if len({len(f[0]) for f in found}) > 1:
        raise OperatorError(f"{where}: column {key!r} holds vectors of several lengths")
    vectors = np.concatenate(found) if found else np.empty((0, 1), np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    useless = int((~(np.isfinite(lengths) & (lengths > 0))).sum())
    if useless:
        raise OperatorError(f"{where}: of {len(vectors)} vectors in column {key!r} {useless} are zero, NaN or infinite")
    unit = (vectors / lengths[:, None]).astype(np.float32)
    array = pa.FixedSizeListArray.from_arrays(pa.array(unit.reshape(-1)), unit.shape[1])
    return np.concatenate([np.empty(0, np.int64), *ids]), array


def check_length(folder: StageFolder, parts: Iterable[int], key: str, where: str) -> None:
    """Raises OperatorError where the vectors of one part are longer than those of another; `folder`: the stage that wrote them."""
    first: dict[int, int] = {}
    for part in parts:
        meta = pq.read_metadata(folder.file("vectors", part))
        if meta.num_rows:  # of no rows there is no length
            first.setdefault(meta.schema.to_arrow_schema().field("vector").type.list_size, part)
    if len(first) > 1:
        told = ", ".join(f"{length} in part {part}" for length, part in first.items())
        raise OperatorError(f"{where}: column {key!r} holds vectors of several lengths: {told}")
