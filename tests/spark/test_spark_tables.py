"""Tables of a catalog: a row is known by its id, however the table lies and whatever comes to it later."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.engines import spark_tables
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.formats import finding
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.recipe import load
from tamis.pipeline.run import run
from tamis.pipeline.why import story, text

pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow
ROWS = [{"page": 7 * i % 1000, "text": f"{'word ' * (i % 9 + 1)}{i % 90}", "more": {"n": i}} for i in range(300)]


def view(session: Any, folder: Path, rows: list[dict[str, Any]], parts: int, name: str = "pages") -> None:
    """A table of a catalog that is a view of Parquet files, lying in so many of them."""
    folder.mkdir()
    for i in range(parts):
        pq.write_table(pa.Table.from_pylist(rows[i::parts]), folder / f"{i}.parquet")
    session.read.parquet(str(folder)).createOrReplaceTempView(name)


def recipe(out: Path, table: str = "table:pages?id=page", **more: Any) -> dict[str, Any]:
    return {"dataset_path": table, "export_path": str(out), "engine": "spark", "spark_partitions": 2, "process": [
        {"text_length_filter": {"min_len": 20}}, {"document_deduplicator": {}}], **more}


def taken_by(out: Path, tables: list[str]) -> list[str]:
    return list(spark_tables.taken(load(recipe(out) | {"dataset_path": tables})).dataset_path)


def by_page(out: Path) -> dict[int, tuple[int, str, str]]:
    """Position -> id, source, what became of it, of all rows."""
    kept = {r[POSITION]: (r[ID], r[SOURCE], "kept") for r in pq.read_table(out / "kept").to_pylist()}
    return kept | {r[POSITION]: (r[ID], r[SOURCE], r["reason"]) for r in pq.read_table(out / "ledger").to_pylist()}


def test_neither_how_a_table_lies_nor_what_comes_to_it_changes_a_row(session: Any, tmp_path: Path) -> None:
    view(session, tmp_path / "a", ROWS, 1)
    first = run(recipe(tmp_path / "one"))
    known = by_page(tmp_path / "one")
    assert set(known) == {r["page"] for r in ROWS} and first["steps"][0]["rows_in"] == 300
    view(session, tmp_path / "b", ROWS[::-1], 5)
    other = run(recipe(tmp_path / "two"))
    assert other["content_hash"] == first["content_hash"] and by_page(tmp_path / "two") == known
    assert [f["digest"] for f in other["ledger"]] == [f["digest"] for f in first["ledger"]]
    again = run(recipe(tmp_path / "two"))
    assert all(stage["reused"] for stage in again["timing"])
    view(session, tmp_path / "c", [{"page": 5000 + i, "text": f"a text that is new and long enough {i}", "more": {"n": 0}} for i in range(40)] + ROWS, 3)
    run(recipe(tmp_path / "two"))
    grown = by_page(tmp_path / "two")
    assert {k: v[:2] for k, v in grown.items() if k < 5000} == {k: v[:2] for k, v in known.items()} and len(grown) == 340
    assert len(list((tmp_path / "two" / "tables").iterdir())) == 1, "the copy of the table as it was is gone"
    page = next(k for k, v in known.items() if v[2] == "below_min")
    told = story(tmp_path / "one", f"{known[page][1]}:{page}")
    assert "20 ≤ v" in text(told) and text(story(tmp_path / "one", str(page), key="page")) == text(told)


def test_ids_that_are_texts(session: Any, tmp_path: Path) -> None:
    rows = [{"page": f"https://a.org/{i}", "text": r["text"]} for i, r in enumerate(ROWS)]
    view(session, tmp_path / "a", rows, 2)
    run(recipe(tmp_path / "one"))
    view(session, tmp_path / "b", rows[::-1], 3)
    run(recipe(tmp_path / "two"))
    assert by_page(tmp_path / "one") == by_page(tmp_path / "two") and len(by_page(tmp_path / "one")) == 300
    assert ROWS[8]["text"] in text(story(tmp_path / "one", "https://a.org/8", key="page"))


def test_what_columns_are_called_is_no_trouble(session: Any, tmp_path: Path) -> None:
    session.sql("select 7 as `my.id`, 'a text of some length to keep' as text, 2 as `a.b`, 3 as `c``d`, 4 as __bucket__, 5 as c0"
                ).createOrReplaceTempView("named")
    run(recipe(tmp_path / "out", "table:named?id=my.id"))
    assert set(by_page(tmp_path / "out")) == {7}
    (row,) = pq.ParquetFile(next((tmp_path / "out" / "tables").rglob("*.parquet"))).read().to_pylist()
    assert (row[POSITION], row["my.id"], row["a.b"], row["c`d"], row["__bucket__"], row["c0"]) == (7, 7, 2, 3, 4, 5)


def test_a_value_that_moves_and_a_list_that_is_cut_otherwise_are_changes(session: Any) -> None:
    told = [session.sql(f"select 1 id, {rest}") for rest in (
        "'v' a, cast(null as string) b", "cast(null as string) a, 'v' b", "array(array(1), array(2)) a", "array(array(1, 2)) a",
        "array(array(1, 2), cast(null as array<int>)) a", "struct(1 as x, cast(null as int) as y) a",
        "struct(cast(null as int) as x, 1 as y) a")]
    assert len({spark_tables._fingerprint(frame, "id", "") for frame in told}) == len(told)
    with pytest.raises(RecipeError, match="column 'm' is or holds a map"):
        spark_tables._fingerprint(session.sql("select 1 id, array(map('a', 1)) m"), "id", "")


def test_no_two_tables_have_one_name() -> None:
    names = ["lake.`/a/b`", "lake.`/a-b`", "lake.-a-b-", "lake.pages"]
    slugs = [spark_tables._slug(name) for name in [*names, "x" * 400]]
    assert len(set(slugs)) == 5 and slugs[3] == "lake.pages" and max(map(len, slugs)) < 100


def test_of_two_tables_neither_knows_what_the_other_holds(session: Any, tmp_path: Path) -> None:
    tables = ["table:pages?id=page", "table:others?id=page", "table:others?id=other"]
    found = []
    for count in (3, 4):  # one of them grows
        view(session, tmp_path / f"a{count}", ROWS[:count], 1)
        view(session, tmp_path / f"b{count}", [{**row, "other": -row["page"]} for row in ROWS[:3]], 1, "others")
        paths = taken_by(tmp_path / "out", tables)
        sources = finding.discover(paths, base=tmp_path)
        found.append([(s.source, pq.read_table(s.url).column(POSITION).to_pylist()) for s in sources])
    assert len(set(paths)) == 3 and found[0] == [f for f in found[1] if f[1] != [21]] and len(found[1]) == len(found[0]) + 1


@pytest.mark.parametrize(("change", "table", "words"), [
    ({"page": None}, "table:pages?id=page", "1 of 301 rows have no 'page'"),
    ({"page": 7}, "table:pages?id=page", "more than one row has the 'page' of row 7: name a column that tells rows apart"),
    ({}, "table:pages?id=pge", "no column 'pge'. Did you mean 'page'.*It has: page, text, more"),
    ({}, "table:pages?id=more", "column 'more' is struct.*an id is a whole number or a text"),
    ({}, "table:pagez?id=page", "table:pagez.*(TABLE_OR_VIEW_NOT_FOUND|cannot be found)"),
    ({}, "table:pages", r"a table is named as table:NAME\?id=COLUMN"),
])
def test_what_is_wrong_with_a_table_is_told_before_it_is_read_into_steps(
    session: Any, tmp_path: Path, change: dict[str, Any], table: str, words: str
) -> None:
    view(session, tmp_path / "a", [*ROWS, {"page": 999_999, "text": "one more row", "more": {"n": 1}} | change], 2)
    with pytest.raises(RecipeError, match=words):
        run(recipe(tmp_path / "out", table))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_local_engine_reads_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="tables of a catalog are read by Spark: set engine: spark"):
        run(recipe(tmp_path / "out") | {"engine": "local"})


def test_a_copy_that_was_broken_off_is_made_anew_and_an_empty_table_is_one(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view(session, tmp_path / "a", ROWS[:20], 2)
    told = run(recipe(tmp_path / "out"))
    (folder,) = (tmp_path / "out" / "tables").iterdir()
    (folder / "done.json").unlink()  # as a kill leaves it
    next(folder.rglob("part-*.parquet")).write_bytes(b"half")
    assert run(recipe(tmp_path / "out"))["content_hash"] == told["content_hash"]
    session.read.parquet(str(tmp_path / "a")).filter("page < 0").createOrReplaceTempView("pages")
    none = run(recipe(tmp_path / "none"))
    assert none["steps"][0]["rows_in"] == 0
    asked: list[str] = []
    monkeypatch.setattr(spark_tables, "_copy", lambda *told: asked.append("copied"))
    run(recipe(tmp_path / "none"))
    assert not asked, "a copy that is there is not made again"
