"""Pools at their edges: days without rows, many parts, stage by stage; the folder of a pool, its settings, its words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lifelong_days import day, files_of, newest, words

from tamis.pipeline import plan, recipe
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.execute import Silent, execute
from tamis.pipeline.ledger import ID, SOURCE
from tamis.pipeline.lifelong import asked, entering, store, story
from tamis.pipeline.lifelong.asked import PoolAsked
from tamis.pipeline.run import run
from tamis.pipeline.stages import pooled
from tamis.selectors.parts.identity import Rules


def out(folder: Path, name: str) -> dict[str, Any]:
    return {"export_path": str(folder / f"out-{name}")}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_days_come_the_books_are_those_of_counting(tmp_path: Path, seed: int) -> None:
    """A pool of random days, each compared with sets of ids kept by hand."""
    rng, held, came = np.random.default_rng(seed), set[int](), dict[int, int]()
    for number in range(1, 5):
        cap = int(rng.integers(5, 60))
        topics = {int(t): int(n) for t, n in zip(rng.permutation(6)[:3], rng.integers(0, 30, 3), strict=True)}
        data = day(tmp_path, f"day-{number}", topics, seed * 10 + number)
        if not sum(topics.values()):
            continue
        told = run(words(tmp_path, data, cap=cap, **out(tmp_path, str(number))))
        mine, folder = told["pool"], tmp_path / f"out-{number}"
        lines = [r for p in told["ledger"] for r in pq.read_table(folder / p["path"]).to_pylist()]
        gone = {r[ID] for r in lines}
        kept = {r[ID] for p in told["kept"] for r in pq.read_table(folder / p["path"]).to_pylist()}
        new = (kept | gone) - held
        came |= dict.fromkeys(new, mine["version"])
        assert len(new) == sum(topics.values()) == mine["new rows"] and held <= kept | gone and not kept & gone
        assert len(kept) == min(cap, len(held) + len(new)) == mine["rows"]
        assert (mine["old that stay"], mine["old that left"]) == (len(held & kept), len(held & gone))
        assert Counter(r["reason"] for r in lines if r[ID] in held) == mine["left by"]
        held = kept
        numbers = newest(tmp_path).table("numbers.parquet").to_pylist()
        assert {r[ID]: r["since"] for r in numbers} == {i: came[i] for i in held}
        clusters = newest(tmp_path).table("clusters.parquet")
        assert sum(clusters.column("rows").to_pylist()) == len(held)
        assert len(set(clusters.column("name").to_pylist())) == len(clusters) == mine["clusters"]


def test_a_day_of_which_nothing_stays_and_a_pool_that_holds_nothing(tmp_path: Path) -> None:
    nothing = {"text_length_filter": {"min_len": 10_000}}
    empty = words(tmp_path, day(tmp_path, "empty", {0: 4}, 1), **out(tmp_path, "a"))
    empty["process"][0] = nothing
    told = run(empty)["pool"]
    assert (told["version"], told["rows"], told["new rows"], told["clusters"]) == (1, 0, 0, 0)
    told = run(words(tmp_path, day(tmp_path, "monday", {0: 9, 1: 6}, 2), cap=10, **out(tmp_path, "b")))["pool"]
    assert (told["version"], told["rows"], told["rows before"]) == (2, 10, 0)
    again = words(tmp_path, day(tmp_path, "none", {3: 5}, 3), cap=10, **out(tmp_path, "c"))
    again["process"][0] = nothing
    before = newest(tmp_path)
    told = run(again)["pool"]
    assert (told["rows"], told["old that left"], told["content_hash"]) == (10, 0, before.told["content_hash"])
    assert newest(tmp_path).table("vectors.parquet").equals(before.table("vectors.parquet"))


def test_many_files_and_a_run_stage_by_stage_make_the_same_pool(tmp_path: Path) -> None:
    """As a scheduler does it: each stage by a call of its own, the pool made with the last."""
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "days").mkdir(parents=True)
        run(words(folder, day(folder, "first", {0: 20, 1: 20}, 1), cap=30, **out(folder, "first")))
        for number in range(3):
            day(folder / "days", f"part-{number}", {number: 10, 5: 2}, number)
        (folder / "days" / "empty.jsonl").write_text("")
        asked_for = words(folder, str(folder / "days"), cap=30, **out(folder, "days"))
        if name == "one":
            assert run(asked_for)["pool"]["sources"] == {"first.jsonl": 1, "part-0.jsonl": 2, "part-1.jsonl": 2, "part-2.jsonl": 2}
            continue
        planned = plan.make(recipe.load(asked_for))
        assert [s.kind for s in planned.stages] == ["rows", "embed", "pool", "select", "export"]
        for stage in planned.stages:
            execute(planned, Silent(), upto=stage.index)
            assert newest(folder).number == 1, "only a whole run changes the pool"
        execute(planned, Silent())
    assert files_of(tmp_path / "one" / "pool") == files_of(tmp_path / "two" / "pool")
    page = (tmp_path / "one" / "out-days" / "report.html").read_text("utf-8")
    assert "30 rows kept" in page


def test_a_pool_by_scores_of_the_data_reads_those_of_its_rows_from_the_pool(tmp_path: Path) -> None:
    step = {"adapt_selector": {"select_num": 25, "k": 3, "score_keys": ["ppl", "text_len"]}}
    run(words(tmp_path, day(tmp_path, "one", {0: 20, 1: 20}, 1), step=step, **out(tmp_path, "one")))
    before = {r["id"]: r["ppl"] for r in newest(tmp_path).table("rows.parquet").to_pylist()}
    assert newest(tmp_path).told["numbers"]["ppl"] == {"column": "ppl"}
    data = day(tmp_path, "two", {2: 20}, 2)
    with pytest.raises(RecipeError, match=r"'ppl'.*neither a numeric column"):
        named = Path(day(tmp_path, "bad", {2: 3}, 4))
        named.write_text(named.read_text().replace('"ppl"', '"other"'))
        plan.make(recipe.load(words(tmp_path, str(named), step=step, **out(tmp_path, "bad"))))
    told = run(words(tmp_path, data, step=step, **out(tmp_path, "two")))
    rows = {r["id"]: r["ppl"] for r in newest(tmp_path).table("rows.parquet").to_pylist()}
    assert len(rows) == 25 and all(rows[i] == before[i] for i in set(rows) & set(before)) and set(rows) & set(before)
    assert told["pool"]["rows scored again"] == 0, "a column of the data has not been computed by anybody here"


def test_the_sample_that_is_scored_again_is_another_each_time_and_as_large_as_asked(tmp_path: Path) -> None:
    run(words(tmp_path, day(tmp_path, "one", {0: 60, 1: 60}, 1), cap=100, **out(tmp_path, "one")))
    drawn = []
    for share, name in ((0.1, "two"), (0.1, "three"), (0.0, "four"), (0.001, "five")):
        data = day(tmp_path, name, {2: 5}, len(name))
        pool = {"path": str(tmp_path / "pool"), "drift": share}
        planned = plan.make(recipe.load(words(tmp_path, data, cap=100, **out(tmp_path, name)) | {"pool": pool}))
        pin = entering.pin_of(planned)
        assert pin is not None and pin.base is not None
        table = pin.base.table("numbers.parquet")
        drawn.append(set(table.column(ID).take(pooled._sample(pin, table, 3)).to_pylist()))
        if name == "two":
            execute(planned, Silent())
    assert [len(d) for d in drawn] == [10, 10, 0, 3] and drawn[0] != drawn[1]


def test_settings_are_written_down_as_they_were_asked() -> None:
    assert PoolAsked("p").words() == "p" and PoolAsked("p").rules == Rules()
    told = PoolAsked("p", drift=0.5, merge=0.0)
    assert told.words() == {"path": "p", "drift": 0.5, "merge": 0.0} and asked.parse(told.words()) == (told, [])
    assert asked.parse(None) == (None, []) and asked.parse({"path": "p", "split_size": 3})[0] == PoolAsked("p", split_size=3.0)
    assert "versions" not in told.decides() and told.decides() != PoolAsked("p").decides()
    _, wrong = asked.parse({"path": " ", "drift": -1.0, "split_width": 0.5, "merge": 1.0})
    assert len(wrong) == 4
    assert recipe.words(recipe.load({"dataset_path": "x", "pool": {"path": "p", "versions": 2}}))["pool"] == {"path": "p", "versions": 2}


def made(pool: Path, number: int, keep: int = 9) -> store.Version:
    return store.write(pool, number, {"rows.parquet": lambda p: p.write_bytes(b"rows %d" % number)}, {"rows": number}, keep)


def test_versions_are_written_whole_and_the_oldest_go(tmp_path: Path) -> None:
    assert store.current(tmp_path) is None
    with store.writing(tmp_path):
        first = made(tmp_path, 1)
    assert store.current(tmp_path) == first and first.state == store.state_of(first.told)
    (tmp_path / "versions" / "0002").mkdir()  # of one who died before it was made the newest
    (tmp_path / "versions" / ".0002.0123abcd.tmp").mkdir()
    (tmp_path / "versions" / "mine").mkdir()
    with store.writing(tmp_path):
        for number in (2, 3, 4):
            made(tmp_path, number, keep=2)
    assert sorted(p.name for p in (tmp_path / "versions").iterdir()) == ["0003", "0004", "mine"], "nothing goes that is not a version"
    assert store.version(tmp_path, 2) is None and store.version(tmp_path, 3).told["rows"] == 3  # type: ignore[union-attr]


def test_every_kind_of_damage_is_told_with_its_place(tmp_path: Path) -> None:
    with store.writing(tmp_path):
        held = made(tmp_path, 1)
    pointer, book, rows = tmp_path / "current.json", held.folder / "manifest.json", held.folder / "rows.parquet"
    for path, text, said in (
        (pointer, '{"format": 9, "version": 1}', "of format 9, this tamis knows 1"), (pointer, "{", "current.json is damaged"),
        (pointer, '{"format": 1, "version": 7}', "names version 7, which is gone"),
        (book, book.read_text().replace('"rows": 1', '"rows": 2'), "manifest.json is not what was written"),
        (rows, "ro", "rows.parquet is gone or damaged"),
    ):
        good = path.read_bytes()
        path.write_text(text)
        with pytest.raises(StaleError, match=said):
            store.current(tmp_path)
        path.write_bytes(good)
    rows.write_bytes(b"rows 9")
    with pytest.raises(StaleError, match="is not what was written"):
        held.table("rows.parquet")
    rows.unlink()
    with pytest.raises(StaleError, match="is gone"):
        held.table("rows.parquet")


def test_where_a_row_came_from_is_told_only_where_it_came_from_the_pool() -> None:
    manifest = {"pool": {"version": 3, "step": 4, "path": "p", "sources": {"old.jsonl": 1, "new.jsonl": 3}}}
    assert story.joined(manifest, "old.jsonl") == (4, "from p, in which it has been since version 0001")
    assert story.joined(manifest, "new.jsonl") is None and story.joined(manifest, "x") is None and story.joined({}, "old.jsonl") is None


def test_the_summary_tells_what_left_what_split_and_what_drifted() -> None:
    told = {"path": "p", "version": 2, "rows": 60, "rows before": 60, "old that stay": 50, "old that left": 10, "left by": {"not_selected": 10},
            "new rows": 30, "new that stay": 10, "vectors computed": 30, "clusters": 5, "events": [{"event": "split"}, {"event": "split"}],
            "drift": {"ppl": {"rows": 4, "slope": 2.0, "intercept": 1.0, "before": 0.5, "after": 0.1, "corrected": True},
                      "el2n": {"rows": 4, "slope": 1.0, "intercept": 0.0, "before": 0.1, "after": 0.2, "corrected": False}}}
    shown = entering.text(json.loads(json.dumps(told)))
    for part in ("version 0002: 60 rows", "50 stay, 10 left (10 not selected)", "of 30 new 10 stay", "5 clusters: 2 split",
                 "the others: 2 x +1, then off by 0.1", "the others: left as they are"):
        assert part in shown
    assert SOURCE not in shown
