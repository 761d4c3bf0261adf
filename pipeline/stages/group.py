"""Rows put into groups, or taken out of them: all that stand, in one place, as a group has rows of any part.

Each group is written where its first row lay; the other rows leave for its sake, so that the sums of every part add up.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import corpus, ledger
from ..batch import NUMBERS, Outcome, child_ids
from ..decide import Verdict, lines
from ..errors import LostRowError, OperatorError
from ..ledger import ID, KEY_COLUMNS, KEY_FIELDS
from ..plan import Stage
from ..steps import Step
from ..workspace import StageFolder
from .lineage import Lineage, Told
from .rows import Writer

BATCH_META = "__dj__batch_meta__"
PART = "__part__"


def run(stage: Stage, folder: StageFolder, before: Lineage, parts: range, told: Told) -> dict[str, Any]:
    """The whole stage; answers its record. Cost: all rows that stand, in memory."""
    step = stage.steps[0]
    outcomes = _outcomes(step, before, parts)
    records = []
    for part in parts:
        known = folder.part_record(part)
        if known is None:
            rows_in, outcome = outcomes[part]
            writer = Writer(folder, part, pa.schema(KEY_FIELDS))
            writer.write([outcome])
            known = writer.close() | {"rows_in": rows_in}
            if rows_in + known["born"] != known["rows_out"] + known["left"]:
                raise LostRowError(f"step {step.number} ({step.name}), part {part}: {known}")
            folder.finish_part(part, known)
        records.append(known)
        told(known)
    return {"records": records}


def _outcomes(step: Step, before: Lineage, parts: range) -> dict[int, tuple[int, Outcome]]:
    """part -> (rows in, what came of them)."""
    table = _all(before, parts)
    part = table.column(PART).to_numpy()
    user = table.drop_columns([PART, *KEY_COLUMNS])
    columns = [c.combine_chunks() for c in user.columns]
    rows = pa.StructArray.from_arrays(columns, names=user.column_names) if columns else pa.array([{}] * len(table), pa.struct([]))
    settings = dict(step.settings)
    if "group_by_keys" in settings and not settings["group_by_keys"]:
        settings["group_by_keys"] = [step.text_key]
    try:
        answer = np.asarray(step.op.function(rows, **settings))
    except ValueError as e:
        raise OperatorError(f"step {step.number} ({step.name}): {e}") from e
    table = table.drop_columns([NUMBERS] if NUMBERS in table.column_names else [])
    whole, names = (_taken_apart if getattr(step.op, "many", False) else _grouped)(table, answer, step)
    own = whole.column(PART).to_numpy()
    return {p: (int((part == p).sum()), _outcome(whole.filter(pa.array(own == p)), table, part == p, names, step)) for p in parts}


def _all(before: Lineage, parts: range) -> pa.Table:
    """All rows that stand, with the number of their part and, as one struct, the numbers of filters."""
    pieces = [p for part in parts for p in before.pieces(part)]
    schema = corpus.unify([*(pq.read_schema(p) for p in pieces), pa.schema(KEY_FIELDS)])
    tables = [schema.empty_table().append_column(PART, pa.array([], pa.int64()))]  # a corpus without parts has one too
    for part in parts:
        found = pa.Table.from_batches([corpus.conform(b, schema) for b in before.read(part)], schema)
        found = found.append_column(PART, pa.array(np.full(len(found), part), pa.int64()))
        tables.append(_with_numbers(found, before, part))
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _with_numbers(rows: pa.Table, before: Lineage, part: int) -> pa.Table:
    names = [name for name, _, kind in before.numbers if kind == "stats"]
    if not names:
        return rows
    columns, ids = [], rows.column(ID).to_numpy()
    for name in names:
        table = before.number(name, part)
        assert table is not None
        known = table.column(ID).to_numpy()
        order = np.argsort(known)
        columns.append(table.column(name).combine_chunks().take(pa.array(order[np.searchsorted(known, ids, sorter=order)])))
    clear = rows.drop_columns([NUMBERS]) if NUMBERS in rows.column_names else rows
    return clear.append_column(NUMBERS, pa.StructArray.from_arrays(columns, names=names))


def _grouped(table: pa.Table, group: np.ndarray, step: Step) -> tuple[pa.Table, np.ndarray]:
    """(one row a group, id of the group's row for each row)."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(group[order]) != 0)) if len(group) else np.empty(0, np.int64)
    ends = pa.array(np.append(starts, len(group)).astype(np.int32))
    firsts = order[starts]
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        key = name in (*KEY_COLUMNS, PART)
        columns[name] = column.take(pa.array(firsts)) if key else pa.ListArray.from_arrays(ends, column.take(pa.array(order)))
    ids = table.column(ID).to_numpy()
    size = np.diff(np.append(starts, len(group)))
    kept = np.empty(len(group), np.int64)
    kept[order] = np.repeat(ids[firsts], size)
    return pa.table(columns), kept


def _taken_apart(table: pa.Table, counts: np.ndarray, step: Step) -> tuple[pa.Table, np.ndarray]:
    """(a row for each element, id of the first of them for each row)."""
    where = step.settings.get("batch_meta_export_path")
    if where and BATCH_META in table.column_names:
        told = "".join(json.dumps(v, ensure_ascii=False) + "\n" for v in table.column(BATCH_META).to_pylist())
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        Path(where).write_text(told, "utf-8")
    index = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if name in (*KEY_COLUMNS, PART):
            columns[name] = column.take(pa.array(index))
        elif name != BATCH_META:
            columns[name] = column.flatten()
    columns[ID] = pa.array(child_ids(table.column(ID).to_numpy()[index], number))
    return pa.table(columns), np.where(counts > 0, table.column(ID).to_numpy(), 0)


def _outcome(whole: pa.Table, table: pa.Table, here: np.ndarray, names: np.ndarray, step: Step) -> Outcome:
    """The rows of a part, and the lines of those that left for them."""
    ids = table.column(ID).to_numpy()
    out = pa.array(here & (ids != names))
    text = table.column(step.text_key).combine_chunks() if step.text_key in table.column_names else None
    text = text if text is not None and pa.types.is_string(text.type) else None
    keys = {c: table.column(c).combine_chunks() for c in KEY_COLUMNS}
    many = getattr(step.op, "many", False)
    left = lines(keys, text, step.number, step.name, Verdict(out, "emptied" if many else "grouped"))
    if not many:
        place = ledger.SCHEMA.get_field_index("kept_id")
        left = left.set_column(place, ledger.SCHEMA.field(place), pa.array(names).filter(out))
    rows = whole.drop_columns([PART]).combine_chunks().to_batches()
    empty = pa.RecordBatch.from_pylist([], schema=whole.drop_columns([PART]).schema)
    stats = pa.RecordBatch.from_pylist([], schema=pa.schema(KEY_FIELDS))
    born = len(whole) - int(pc.sum(pa.array(here & (ids == names))).as_py() or 0) if many else 0
    return Outcome(rows[0] if rows else empty, stats, left, {}, born)
