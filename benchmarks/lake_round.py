"""There and back on a real lake: scan, plan, apply, restore every deleted table; every table compared with what it was.

    python benchmarks/lake_round.py /work/shared/data/lake FOLDER                             all tables, Parquet as they are
    python benchmarks/lake_round.py /work/shared/data/lake FOLDER --kind csv --tables 90      families of small ones, as CSV

The folder must not exist; the lake is copied there. Storage is made dear, so that all goes that may. Seconds are of the wall.
"""

import argparse
import csv
import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pv
import pyarrow.parquet as pq

from tamis.pipeline.execute import Silent
from tamis.pipeline.lake import graph
from tamis.pipeline.lake.apply_plan import apply
from tamis.pipeline.lake.restore import restore_all
from tamis.pipeline.lake.run_lake import asked_of, plan_lake, scan_lake

SMALL = 60_000  # bytes of a table that is written in another format


def families(lake: Path, count: int) -> list[str]:
    """Tables that are contained in another, beside it, by chance."""
    with (lake / "containment_truth.csv").open() as file:
        pairs = [(r["parent"], r["child"]) for r in csv.DictReader(file)]
    random.Random(9).shuffle(pairs)
    names = dict.fromkeys(n for pair in pairs if all((lake / "tables" / f"{n}.parquet").stat().st_size < SMALL for n in pair)
                          for n in pair)
    return list(names)[:count]


def write(source: Path, target: Path, kind: str) -> None:
    """A table of the lake in a format; of Delta, in two commits."""
    table = pq.read_table(source)
    if kind == "csv":
        pv.write_csv(table, target.with_suffix(".csv"))
    elif kind == "jsonl":
        target.with_suffix(".jsonl").write_text("".join(json.dumps(r, default=str) + "\n" for r in table.to_pylist()), "utf-8")
    else:
        import deltalake

        for mode, part in (("error", table.slice(0, len(table) // 2)), ("append", table.slice(len(table) // 2))):
            deltalake.write_deltalake(str(target), part, mode=mode)  # type: ignore[call-overload]


def content(path: Path, kind: str) -> Any:
    """Schema and rows of a table, read without tamis; rows of Delta have no order."""
    if kind == "csv":
        return list(csv.reader(path.open(newline="", encoding="utf-8")))
    if kind == "jsonl":
        return [json.loads(line) for line in path.open(encoding="utf-8")]
    if kind == "parquet":
        return pq.read_table(path)
    import deltalake

    table = deltalake.DeltaTable(str(path)).to_pyarrow_table()
    return str(table.schema), sorted(map(repr, table.to_pylist()))


def files(path: Path) -> dict[str, bytes]:
    """The bytes of a table's files."""
    return {p.name: p.read_bytes() for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()}


def timed(what: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    answer = call()
    print(f"{what:8} {time.perf_counter() - began:7.1f} s", flush=True)
    return answer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("lake", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--kind", choices=("parquet", "csv", "jsonl", "delta"), default="parquet")
    arguments.add_argument("--tables", type=int, default=90)
    how = arguments.parse_args()
    root, kept = how.folder / "lake", how.folder / "before"
    kept.mkdir(parents=True)
    if how.kind == "parquet":
        shutil.copytree(how.lake / "tables", kept, dirs_exist_ok=True)
    else:
        for name in families(how.lake, how.tables):
            write(how.lake / "tables" / f"{name}.parquet", kept / name, how.kind)
    shutil.copytree(kept, root)
    told = asked_of(str(root), str(how.folder / "run"), ["np=1", "storage_price=1000", "missing_values=empty"])
    timed("scan", lambda: scan_lake(told, Silent()))
    timed("plan", lambda: plan_lake(told))
    found = graph.load(told.run)
    moved = [d["table"] for d in timed("apply", lambda: apply(told.run, found, told.settings, lambda *_: None))]
    assert not any((root / name).exists() for name in moved)
    trash = root / told.settings.trash
    way = sum(p.stat().st_size for p in trash.glob("*/*") if p.is_file())
    back = [r["table"] for r in timed("restore", lambda: restore_all(root.resolve(), told.settings, lambda *_: None))]
    names = sorted(p.name for p in kept.iterdir())
    same = {n for n in names if content(kept / n, how.kind) == content(root / n, how.kind)}
    to_the_byte = {n for n in names if files(kept / n) == files(root / n)}
    size = sum(t["bytes"] for t in found.tables if t["name"] in set(moved))
    print(f"{len(names):,} tables, {len(moved):,} deleted ({size / 1e6:.1f} MB; way back {way / 1e6:.1f} MB), "
          f"{len(back):,} restored and verified")
    print(f"the same schema and rows: {len(same):,} of {len(names):,}; "
          f"the same bytes: {len(to_the_byte & set(back)):,} of the restored, {len(to_the_byte - set(back)):,} of the others")


if __name__ == "__main__":
    main()
