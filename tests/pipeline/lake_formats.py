"""Lakes in every format, planned and applied: what the tests of apply, restore and kills share."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_lake import Lake, write_csv, write_parquet

from tamis.pipeline.execute import Silent
from tamis.pipeline.lake import apply_plan, graph
from tamis.pipeline.lake.run_lake import Asked, asked_of, plan_lake, scan_lake


def planned(lake: Path, out: Path, *sets: str) -> tuple[Asked, dict[str, Any]]:
    told = asked_of(str(lake), str(out), ["np=1", *sets])
    scan_lake(told, Silent())
    return told, plan_lake(told)


def applied(told: Asked) -> list[dict[str, Any]]:
    return apply_plan.apply(told.run, graph.load(told.run), told.settings, lambda *_: None)


def write_jsonl(table: pa.Table, path: Path, rng: random.Random) -> Path:
    path.with_name(path.name + ".jsonl").write_text("".join(json.dumps(r) + "\n" for r in table.to_pylist()), "utf-8")
    return path


def write_delta(table: pa.Table, path: Path, rng: random.Random) -> Path:
    deltalake = pytest.importorskip("deltalake")
    half = table.num_rows // 2
    deltalake.write_deltalake(str(path), table.slice(0, half), partition_by=["kind"] if "kind" in table.schema.names else None)
    deltalake.write_deltalake(str(path), table.slice(half), mode="append")
    return path


def write_hive(table: pa.Table, path: Path, rng: random.Random) -> Path:
    if "kind" not in table.schema.names:
        return write_parquet(table, path, rng)
    pq.write_to_dataset(table, path, partition_cols=["kind"])
    return path


def plain_lake() -> Lake:
    rng = random.Random(5)
    table = pa.table({
        "id": list(range(100)), "name": [f"{rng.choice('xyz')}, \"quoted\" {i % 13}\nline" for i in range(100)],
        "size": [rng.choice([None, 1.5, float(i), 0.1]) for i in range(100)], "code": [f"{i % 40:03d}" for i in range(100)],
        "kind": [rng.choice(["a b", "c/d", "e=f"]) for i in range(100)],
    })
    lake = Lake({"all": table, "copy": table, "part": table.slice(20, 50), "few": table.select(["code", "size"]).take([5, 5, 90, 3]),
                 "one": table.select(["size"]).take([1, 2, 3, 9]), "none": table.slice(0, 0)})
    lake.add("other", pa.table({"id": [1000], "name": ["q"], "size": [1.0], "code": ["000"], "kind": ["a b"]}))
    return lake


FORMATS = pytest.mark.parametrize(
    "writer", [write_csv, write_jsonl, write_delta, write_hive], ids=["csv", "jsonl", "delta", "hive"])
