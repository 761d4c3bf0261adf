"""A lake on Spark: one word changes the engine; hashes, anti-joins and edges are the same to the byte, bags and tolerance too."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.operators.lake.containment import contained_tables
from tamis.pipeline.execute import Silent
from tamis.pipeline.lake.graph import Graph
from tamis.pipeline.lake.run_lake import asked_of, scan_lake

ROOT = Path(__file__).parents[2]


def tables() -> dict[str, pa.Table]:
    base = pa.table({"id": list(range(400)), "name": [f"n{i % 37}" for i in range(400)], "price": [i / 7 for i in range(400)]})
    wrong = base.column("name").to_pylist()
    return {
        "base": base, "copy": base, "twice": base.slice(3, 30).take([*range(30), *range(30)]), "rows": base.slice(50, 120), "columns": base.select(["price", "name"]), "both": base.select(["id"]).slice(9, 90),
        "permuted": base.set_column(1, "name", pa.array(wrong[1:] + wrong[:1])), "empty": base.slice(0, 0),
        "outside": base.slice(0, 50).set_column(0, "id", pa.array([*range(49), 5000])),
    }


def written(run: Path) -> dict[str, bytes]:
    """The runs of hashes, the records of every part of scans and anti-joins."""
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*")
            if p.suffix == ".arrow" or p.parent.name in ("done", "joined")}


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["bag=true"], ["tolerance=0.05"]], ids=["set", "bag", "tolerance"])
def test_one_body_on_both_engines(tmp_path: Path, session: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("tamis.pipeline.lake.jobs.PART_ROWS", 500)  # many parts of a small lake
    monkeypatch.setattr("tamis.pipeline.lake.joins.RANGE_ROWS", 300)  # and several hash ranges of one question
    shutil.copytree(ROOT / "recipes" / "data" / "lake", tmp_path / "lake")
    for name, table in tables().items():
        pq.write_table(table, tmp_path / "lake" / f"{name}.parquet", row_group_size=100)
    found: dict[str, Graph] = {}
    for engine, word in (("local", "np=1"), ("spark", "engine=spark")):
        found[engine] = scan_lake(asked_of(str(tmp_path / "lake"), str(tmp_path / engine), [word, *words]), Silent())
    one, two = written(tmp_path / "local"), written(tmp_path / "spark")
    assert one == two and sum(name.endswith(".arrow") for name in one) > 3 and len(one) > 8
    assert (tmp_path / "local" / "edges.parquet").read_bytes() == (tmp_path / "spark" / "edges.parquet").read_bytes()
    spark = found["spark"]
    assert spark.fingerprint == found["local"].fingerprint and not spark.troubles
    pairs = {(spark.names[p], spark.names[c]) for p, c in zip(spark.parent, spark.child, strict=True)}
    short = {(p.removesuffix(".parquet"), c.removesuffix(".parquet")) for p, c in pairs if p.endswith(".parquet")}
    settings = {"bag": "bag=true" in words, "tolerance": 0.05 * ("tolerance=0.05" in words)}
    assert short == set(contained_tables(tables(), **settings)) and len(pairs) > len(short)
    assert len({name.rpartition("/")[2] for name in one if "/joined/" in name}) > 5  # targets
