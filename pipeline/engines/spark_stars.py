"""Connected components of edges that no memory holds: alternating large-star and small-star over DataFrames.

Kiveris et al., Connected Components in MapReduce and Beyond (SoCC 2014): large-star joins each row's larger neighbours to
its smallest one, small-star each row and its smaller neighbours to the smallest; after O(log^2 n) rounds each component is
a star around its smallest row. A round is a group by with partial sums and a join, both by row: linear in the edges,
however many of them one row has. Each round is written out, so that a lost executor costs a round and no more.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROUNDS = 200  # more than log^2 of any number of rows that can be


def stars(session: "SparkSession", edges: "DataFrame", folder: Path) -> list[Path]:
    """Parquet files of (row, root) for all rows of `edges` (a, b), under `folder`."""
    from pyspark.sql import functions as f

    folder.mkdir(parents=True, exist_ok=True)
    larger, smaller = f.greatest("a", "b").alias("a"), f.least("a", "b").alias("b")
    now = _kept(session, edges.where("a <> b").select(larger, smaller).distinct(), folder / "round-000")
    told = _sums(now)
    for number in range(1, ROUNDS):
        then = _small(_large(now))
        now, before = _kept(session, then, folder / f"round-{number:03d}"), folder / f"round-{number - 1:03d}"
        shutil.rmtree(before, ignore_errors=True)
        sums = _sums(now)
        if sums == told:
            break
        told = sums
    out = folder / "roots"
    rooted = now.select(f.col("a").alias("row"), f.col("b").alias("root"))
    roots = now.select(f.col("b").alias("row"), f.col("b").alias("root")).distinct()
    rooted.union(roots).write.mode("overwrite").option("compression", "zstd").parquet(_url(out))
    return sorted(out.glob("part-*.parquet"))


def _kept(session: "SparkSession", frame: "DataFrame", path: Path) -> "DataFrame":
    """The frame, written down and read again: what comes after depends on these files and not on all rounds before."""
    frame.write.mode("overwrite").option("compression", "zstd").parquet(_url(path))
    return session.read.schema("a long, b long").parquet(_url(path))


def _url(path: Path) -> str:
    return f"file://{path.resolve()}"  # as it stands: Hadoop undoes no percent signs


def _large(edges: "DataFrame") -> "DataFrame":
    """Each row's larger neighbours joined to the smallest of the row and its neighbours. Edges have a > b, here and after."""
    from pyspark.sql import functions as f

    # only a row with a smaller neighbour has another smallest than itself: the others' edges stay as they are
    least = edges.groupBy(f.col("a").alias("u")).agg(f.min("b").alias("m"))
    joined = edges.join(least, edges["b"] == least["u"], "left")
    return joined.select("a", f.coalesce("m", "b").alias("b")).distinct()


def _small(edges: "DataFrame") -> "DataFrame":
    """Each row and its smaller neighbours joined to the smallest of them."""
    from pyspark.sql import functions as f

    least = edges.groupBy(f.col("a").alias("u")).agg(f.min("b").alias("m"))
    joined = edges.join(least, edges["a"] == least["u"]).where("b <> m")
    smaller = joined.select(f.col("b").alias("a"), f.col("m").alias("b"))
    return smaller.union(least.select(f.col("u").alias("a"), f.col("m").alias("b"))).distinct()


def _sums(edges: "DataFrame") -> tuple[Any, ...]:
    """By which two rounds are seen to be the same: the number of edges and two sums over them."""
    from pyspark.sql import functions as f

    mixed = f.expr("cast(xxhash64(a, b) as decimal(38, 0))")
    return tuple(edges.agg(f.count("*"), f.sum(mixed)).first())
