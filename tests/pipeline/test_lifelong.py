"""A pool for life: new rows join the pool's, clusters keep their names, the cap holds to the row, and no crash harms it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifelong_days import EMBED, day, files_of, newest, words
from typer.testing import CliRunner

from tamis.pipeline import compare, plan, pool, recipe, verify, why
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, StaleError, TamisError
from tamis.pipeline.lifelong import store
from tamis.pipeline.lifelong.pinning import _apart
from tamis.pipeline.run import run


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A pool of three days, and the manifest of each run."""
    folder = tmp_path_factory.mktemp("week")
    days = [day(folder, "monday", {0: 50, 1: 30, 2: 20}, 1), day(folder, "tuesday", {1: 30, 3: 40}, 2),
            day(folder, "friday", {4: 5, 0: 40}, 3)]
    return folder, [run(words(folder, d, export_path=str(folder / f"out-{i}"))) for i, d in enumerate(days, 1)]


def test_each_run_takes_its_rows_in_and_the_cap_holds_to_the_row(week: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, told = week
    assert [(t["pool"]["version"], t["pool"]["rows"], t["pool"]["new rows"]) for t in told] == [(1, 60, 100), (2, 60, 70), (3, 60, 45)]
    for before, after in zip([None, *told], told, strict=False):
        mine = after["pool"]
        assert mine["rows before"] == (before["pool"]["rows"] if before else 0)
        assert mine["rows before"] == mine["old that stay"] + mine["old that left"] and sum(mine["left by"].values()) == mine["old that left"]
        assert mine["rows"] == mine["old that stay"] + mine["new that stay"] == after["rows_out"]
        assert after["rows_in"] == mine["new rows"] and after["rows_born"] == mine["rows before"]
        assert mine["vectors computed"] == 0, "the rows bring their own"
        assert after["content_hash"] == mine["content_hash"], "what is exported is what the pool holds"
    assert newest(folder).table("rows.parquet").num_rows == 60
    assert {r["topic"] for r in newest(folder).table("rows.parquet").to_pylist()} == {0, 1, 2, 3, 4}, "five rows of topic 4 are kept"
    for i in (1, 2, 3):
        assert [f for f in verify.check(folder / f"out-{i}") if f.level != "ok"] == []


def test_verify_counts_duplicates_apart_from_rows_that_were_not_chosen(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    rows = [{"text": f"row {i}", "vector": draw.normal(size=8).tolist()} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*rows, {**rows[0], "text": "row 0 once more"}]))
    run({"dataset_path": str(tmp_path / "rows.jsonl"), "export_path": str(tmp_path / "out"), "process": [
        {"text_embedding_mapper": {"vector_key": "vector"}}, {"cluster_pruning_selector": {"select_num": 20, "k": 2}}]})
    named = [line["reason"] for line in pq.read_table(tmp_path / "out" / "ledger").to_pylist() if line["kept_id"] is not None]
    assert named.count("duplicate") == 1 and set(named) == {"duplicate", "not_selected"}
    (said,) = (f.text for f in verify.check(tmp_path / "out") if "duplicates left" in f.text)
    assert said == f"Each of the 1 duplicates left for a row that was still there, and {len(named) - 1} more lines name such a row."


def test_of_vectors_made_by_other_settings_of_one_model_the_settings_are_told() -> None:
    one = {"op": "text_embedding_mapper", "version": 1, "models": [{"sha256": "ab" * 32}], "settings": {"max_tokens": 64, "long": "truncate"}}
    other = one | {"settings": {"max_tokens": 128, "long": "truncate"}, "text_key": "output"}
    held, here = _apart(one, other)
    assert held.endswith("with max_tokens: 64, text_key: None") and here.endswith("with max_tokens: 128, text_key: output")
    assert _apart(one, {"column": "v"}) == ("text_embedding_mapper (version 1, model abababababababab)", "column 'v'")


def test_vectors_and_columns_of_the_pool_are_what_came(week: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = week
    rows = newest(folder).table("rows.parquet")
    vectors = newest(folder).table("vectors.parquet")
    assert rows.column("__id__").equals(vectors.column("__id__")) and rows.column("__id__").equals(
        newest(folder).table("numbers.parquet").column("__id__"))
    given = np.array(rows.column("vector").to_pylist())
    held = np.array(vectors.column("vector").to_pylist(), np.float64)
    assert np.abs(held - given / np.linalg.norm(given, axis=1, keepdims=True)).max() < 1e-3
    lengths = newest(folder).table("numbers.parquet").column("text_len").to_pylist()
    assert lengths == [len(t) for t in rows.column("text").to_pylist()]


def test_a_new_pool_keeps_what_the_selector_alone_would(tmp_path: Path) -> None:
    asked = words(tmp_path, day(tmp_path, "monday", {0: 50, 1: 30}, 1))
    taken = run(asked)
    alone = run({k: v for k, v in asked.items() if k != "pool"} | {"export_path": str(tmp_path / "alone")})
    assert taken["content_hash"] == alone["content_hash"]


def test_clusters_keep_their_names_and_new_ones_get_new_names(week: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, told = week

    def topic_of(version: int) -> dict[int, int]:
        found = store.version(folder / "pool", version)
        assert found is not None
        table = found.table("clusters.parquet")
        centres = np.array(table.column("centroid").to_pylist())
        return dict(zip(table.column("name").to_pylist(), np.argmax(centres[:, :6], axis=1).tolist(), strict=True))

    first, second, third = (topic_of(v) for v in (1, 2, 3))
    assert all(second[name] == topic for name, topic in first.items() if name in second)
    assert all(third[name] == topic for name, topic in second.items() if name in third)
    assert set(first) == {0, 1, 2, 3} and 3 not in first.values() and 3 in second.values()
    split = [e["new"] for e in told[1]["pool"]["events"] if e["event"] == "split"]
    assert split and min(split) >= 4 and set(split) <= set(second), "names go on from the last"
    facts = told[1]["steps"][-1]["facts"]
    assert facts["known"] == 4 and sorted(facts["clusters"]) == sorted(second)


def test_the_ledger_says_why_a_row_left_the_pool_and_why_reads_it(week: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, told = week
    left = store.version(folder / "pool", 2).table("left.parquet").to_pylist()  # type: ignore[union-attr]
    assert len(left) == told[1]["pool"]["old that left"] and {r["since"] for r in left} == {1}
    ledger = {r["__id__"]: r for p in told[1]["ledger"] for r in pq.read_table(folder / "out-2" / p["path"]).to_pylist()}
    assert all({k: v for k, v in r.items() if k != "since"} == ledger[r["__id__"]] for r in left)
    row = left[0]
    story = why.story(folder / "out-2", f"{row['__source__']}:{row['__position__']}")
    assert [e.op for e in story.events] == ["pool", "cluster_pruning_selector"] and story.left_at == 3
    assert story.events[0].told == f"from {folder / 'pool'}, in which it has been since version 0001"
    name = row["excerpt"].split()[2]
    by_key = why.story(folder / "out-2", f"monday-{row['excerpt'].split()[5]}-{name}")
    assert by_key.id == row["__id__"], "by the user's own id, though the run has not read that file"
    mine = why.story(folder / "out-2", "tuesday-3-0")
    assert mine.events[0].op == "read"


def test_the_pool_itself_tells_of_rows_that_are_there_or_have_left(week: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = week
    there = newest(folder).table("rows.parquet").to_pylist()[0]
    shown = CliRunner().invoke(app, ["why", str(folder / "pool"), there["id"]]).output
    assert "It is in the pool, version 0003" in shown and "text_len" in shown
    gone = store.version(folder / "pool", 2).table("left.parquet").to_pylist()[0]  # type: ignore[union-attr]
    shown = CliRunner().invoke(app, ["why", str(folder / "pool"), f"{gone['__source__']}:{gone['__position__']}"]).output
    assert "It came with version 0001 (monday.jsonl)." in shown and "It left with version 0002, at step 3" in shown
    with pytest.raises(TamisError, match="nor has one left since version 0001"):
        why.pools.tell(folder / "pool", "nobody")


def test_the_same_data_again_changes_nothing(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(week[0], tmp_path / "week"))
    before = files_of(folder / "pool")
    asked = words(folder, str(folder / "friday.jsonl"), export_path=str(folder / "out-3"))
    assert plan.make(recipe.load(asked)).stages[2].pool.taken == 3  # type: ignore[union-attr]
    again = run(asked)
    assert files_of(folder / "pool") == before and again["content_hash"] == week[1][2]["content_hash"]
    shutil.rmtree(folder / "out-3")
    again = run(asked)  # from the version before, which is kept
    assert files_of(folder / "pool") == before and again["content_hash"] == week[1][2]["content_hash"]
    earlier = run(words(folder, str(folder / "monday.jsonl"), export_path=str(folder / "again")))
    assert files_of(folder / "pool") == before and earlier["content_hash"] == week[1][0]["content_hash"]


def test_rows_that_were_taken_are_not_taken_by_another_recipe(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = week[0]
    with pytest.raises(RecipeError, match=r"has taken friday\.jsonl already \(version 0003\), by other steps or settings"):
        plan.make(recipe.load(words(folder, str(folder / "friday.jsonl"), cap=30)))
    shutil.copy(folder / "friday.jsonl", tmp_path / "copy.jsonl")
    with pytest.raises(RecipeError, match=r"has taken copy\.jsonl already, as friday\.jsonl"):
        plan.make(recipe.load(words(folder, str(tmp_path / "copy.jsonl"), export_path=str(tmp_path / "out"))))
    other = day(tmp_path, "friday", {2: 4}, 9)
    with pytest.raises(RecipeError, match=r"has taken another file called friday\.jsonl \(version 0003\)"):
        plan.make(recipe.load(words(folder, other, export_path=str(tmp_path / "out"))))


def test_workers_change_no_byte(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    for name in ("monday", "tuesday", "friday"):
        shutil.copy(week[0] / f"{name}.jsonl", tmp_path)
        run(words(tmp_path, str(tmp_path / f"{name}.jsonl"), np=4, export_path=str(tmp_path / name), batch_rows=7))
    assert files_of(tmp_path / "pool") == files_of(week[0] / "pool")


def test_old_versions_are_kept_until_trimmed(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(week[0], tmp_path / "week"))
    asked = words(folder, day(folder, "late", {5: 30}, 4)) | {"pool": {"path": str(folder / "pool"), "versions": 2}}
    assert run(asked)["pool"]["version"] == 4
    assert sorted(p.name for p in (folder / "pool" / "versions").iterdir()) == ["0003", "0004"]
    shutil.rmtree(folder / "out-2")
    with pytest.raises(StaleError, match="took these rows as version 0002"):
        run(words(folder, str(folder / "tuesday.jsonl"), export_path=str(folder / "out-2")))


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"pool": 7}, "pool is the folder of a pool, or a mapping with path"),
    ({"pool": {"path": "x", "drfit": 1}}, "pool: unknown setting 'drfit'. Did you mean 'drift'"),
    ({"pool": {"path": "x", "drift": 2.0}}, "drift is a share, 0 to 1, it is 2"),
    ({"pool": {"path": "x", "versions": 0}}, "versions must be 1 or more"),
    ({"pool": {"path": "x", "split_size": 1.0}}, "split_size must be above 1"),
    ({"pool": "s3://bucket/pool"}, "must be a folder of this machine"),
    ({"pool": "{week}/no/where/pool"}, "there is no folder"),
    ({"pool": "{week}/out/pool"}, "lie in one another"),
    ({"pool": "{week}"}, "lie in one another"),
    ({"pool": "{week}/monday.jsonl"}, "is a file, not a folder"),
    ({"pool": {"path": "{week}/pol", "begin": False}}, "there is none (begin: false). Did you mean 'pool'?"),
    ({"step": {"random_selector": {"select_num": 5}}}, "end process with cluster_pruning_selector or adapt_selector"),
    ({"step": {"cluster_pruning_selector": {"select_ratio": 0.5}}}, "a cap that does not grow"),
    ({"step": {"cluster_pruning_selector": {"select_num": 5, "clustering": "bounded"}}}, "leave out clustering"),
    ({"step": {"cluster_pruning_selector": {"select_num": 5, "quality_key": "ppl"}}}, "'ppl', which the rows of pool"),
    ({"step": {"adapt_selector": {"select_num": 5, "score_keys": ["topic"]}}}, "'topic', which the rows of pool"),
    ({"embed": {"text_embedding_mapper": {"vector_key": "other"}}}, "holds vectors of column 'vector', this recipe has them by column"),
]


@pytest.mark.parametrize(("more", "said"), MISTAKES, ids=[said[:40] for _, said in MISTAKES])
def test_mistakes_are_found_before_data_is_read(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path, more: dict[str, Any], said: str) -> None:
    data = Path(day(tmp_path, "new", {0: 3}, 5))
    data.write_text("".join(json.dumps(json.loads(line) | {"other": [1.0, 2.0]}) + "\n" for line in data.read_text().splitlines()))
    filled = json.loads(json.dumps(more).replace("{week}", str(week[0])))
    embed = filled.pop("embed", EMBED)
    asked = words(week[0], str(data), **filled)
    asked["process"][1] = embed
    with pytest.raises(RecipeError) as caught:
        plan.make(recipe.load(asked))
    assert said in str(caught.value)
    assert not (week[0] / "pol").exists()


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"dataset_path: {day(tmp_path, 'a', {0: 3}, 1)}\npool: {{path: p, drift: 3}}\nprocess: []\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:2: pool: drift is a share"):
        recipe.load(path)


def test_dimensions_that_differ_are_refused(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    data = day(tmp_path, "narrow", {0: 3}, 5, wide=11)
    with pytest.raises(TamisError, match="12 dimensions, the run's rows 11"):
        run(words(week[0], data, export_path=str(tmp_path / "out")))
    assert newest(week[0]).number == 3
    table = pa.table({"text": ["a longer text"], "vector": pa.array([[1.0] * 11], pa.list_(pa.float32(), 11))})
    pq.write_table(table, tmp_path / "narrow.parquet")
    with pytest.raises(RecipeError, match="12 dimensions, column 'vector' has 11"):
        plan.make(recipe.load(words(week[0], str(tmp_path / "narrow.parquet"), export_path=str(tmp_path / "out"))))


def test_a_damaged_pool_is_refused_with_the_way_out(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(week[0], tmp_path / "week"))
    asked = words(folder, day(folder, "late", {5: 3}, 4))
    rows = folder / "pool" / "versions" / "0003" / "rows.parquet"
    data = bytearray(rows.read_bytes())
    data[100] ^= 1
    rows.write_bytes(bytes(data))
    with pytest.raises(StaleError, match=r"rows\.parquet is not what was written"):
        run(asked)
    rows.write_bytes(b"x")
    with pytest.raises(RecipeError, match=r"rows\.parquet is gone or damaged"):
        plan.make(recipe.load(asked))
    (folder / "pool" / "current.json").write_text('{"format": 1, "version": 2}')  # the way out
    assert run(asked)["pool"]["version"] == 3


def test_a_lost_pointer_costs_no_version(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    asked = words(tmp_path, day(tmp_path, "a", {0: 9, 1: 3}, 1), cap=5)
    told, pointer = run(asked), tmp_path / "pool" / "current.json"
    pointer.rename(pointer.with_name(".current.json.0123abcd.tmp"))  # as a kill at the last moment leaves it
    other = words(tmp_path, day(tmp_path, "b", {0: 9}, 2), cap=5)
    with pytest.raises(RecipeError, match=r"a first version is there, and no current\.json"):
        plan.make(recipe.load(other))
    assert run(asked)["pool"] == told["pool"] and not list((tmp_path / "pool").glob(".current*"))
    run(other)
    pointer.unlink()
    with pytest.raises(RecipeError, match=r"current\.json is gone; write .* N the newest"):
        plan.make(recipe.load(other))
    with pytest.raises(RecipeError, match="leave out `pool`"):
        compare.compare([asked], tmp_path / "compared")


def test_plan_and_run_tell_of_the_pool(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(recipe.dump(recipe.load(words(tmp_path, day(tmp_path, "a", {0: 9, 1: 3}, 1), cap=5))))
    shown = CliRunner().invoke(app, ["plan", str(path)]).output.replace("\n", "")
    assert f"pool: {tmp_path / 'pool'}, begun by this run" in shown.replace("  ", " ")
    shown = CliRunner().invoke(app, ["run", str(path)]).output
    assert "version 0001: 5 rows" in shown and "kept 5 of 12 rows" in shown
    assert "where this is version 0001 already" in CliRunner().invoke(app, ["plan", str(path)]).output.replace("\n", "")
    with pytest.raises(RecipeError, match="a refresh keeps all that stays"):
        pool.refresh(path)


def test_two_writers_exclude_each_other(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    asked = words(week[0], day(tmp_path, "late", {5: 3}, 4), export_path=str(tmp_path / "out"))
    with store.writing(week[0] / "pool"), pytest.raises(StaleError, match=rf"pool .* is being written to by process {os.getpid()} on "):
        run(asked)
    assert newest(week[0]).number == 3


def test_a_plan_that_another_run_has_overtaken_is_refused(week: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(week[0], tmp_path / "week"))
    planned = plan.make(recipe.load(words(folder, day(folder, "late", {5: 3}, 4), export_path=str(folder / "late"))))
    run(words(folder, day(folder, "sooner", {5: 4}, 6)))
    with pytest.raises(StaleError, match="has taken rows in since the run was planned"):
        pool.run.__globals__["execute"](planned, pool.Silent())


KILL = """
import json, os, signal, sys
import faiss
from pathlib import Path
from tamis.pipeline.lifelong import store
from tamis.pipeline.lifelong.pinning import _apart
from tamis.pipeline.run import run
count = [0, 0]
def counted(function):
    def wrapped(*a, **k):
        count[0] += 1
        if count[0] == count[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*a, **k)
    return wrapped
Path.rename, Path.replace, os.fsync = counted(Path.rename), counted(Path.replace), counted(os.fsync)
store.shutil.rmtree = counted(store.shutil.rmtree)
for line in sys.stdin:  # forked before anything has begun a thread
    asked, count[1] = json.loads(line)
    child = os.fork()
    if not child:
        run(asked)
        print(json.dumps(count[0]), flush=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        print(json.dumps(-os.WTERMSIG(status)), flush=True)
"""


def test_killed_anywhere_the_old_version_is_whole_and_the_next_run_ends_it(
    week: tuple[Path, list[dict[str, Any]]], tmp_path: Path,
) -> None:
    """kill -9 before one of the run's writes (replace, rename, fsync, remove), most of them the last, which make the version."""
    late, ignore = day(tmp_path, "late", {5: 20, 1: 20}, 4), shutil.ignore_patterns("out-*")

    def asked(folder: Path) -> dict[str, Any]:
        return words(folder, late, export_path=str(folder / "late")) | {"pool": {"path": str(folder / "pool"), "versions": 2}}

    with subprocess.Popen([sys.executable, "-c", KILL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None

        def attempt(folder: Path, at: int) -> int:
            print(json.dumps([asked(folder), at]), file=process.stdin, flush=True)
            return int(process.stdout.readline())  # type: ignore[union-attr]

        whole = Path(shutil.copytree(week[0], tmp_path / "whole", ignore=ignore))
        writes, seen = attempt(whole, 0), set()
        wanted, old = files_of(whole / "pool"), files_of(week[0] / "pool")
        for at in (writes // 2, *(writes - n for n in (14, 11, 10, 8, 7, 6, 2))):
            folder = Path(shutil.copytree(week[0], tmp_path / f"killed-{at}", ignore=ignore))
            assert attempt(folder, at) == -signal.SIGKILL
            there = store.current(folder / "pool")
            assert there is not None
            seen.add(there.number)
            held, prefix = wanted if there.number == 4 else old, f"versions/{there.number:04d}/"
            assert {k: v for k, v in files_of(folder / "pool").items() if k.startswith(prefix)} == {
                k: v for k, v in held.items() if k.startswith(prefix)}
            run(asked(folder))
            assert {k: v for k, v in files_of(folder / "pool").items() if k in wanted} == wanted
            assert not [k for k in files_of(folder / "pool") if ".tmp" in k]
            shutil.rmtree(folder)
        process.stdin.close()
    assert seen == {3, 4}, "before the new version is made the newest, and after"


def test_scores_of_a_sample_are_taken_anew_and_the_others_follow(tmp_path: Path) -> None:
    """Another list of words the second time, so the share of such words is another: the pool's rows follow the sample's line."""
    def asked(name: str, seed: int, drift: float, listed: list[str]) -> dict[str, Any]:
        (tmp_path / "lists" / name).mkdir(parents=True)
        (tmp_path / "lists" / name / "stopwords.json").write_text(json.dumps({"en": listed}))
        step = {"adapt_selector": {"select_num": 80, "k": 3, "score_keys": ["stopwords_ratio"]}}
        told = words(tmp_path, day(tmp_path, name, {0: 60, 1: 60}, seed), step=step, export_path=str(tmp_path / name))
        told["process"][0] = {"stopwords_filter": {"lang": "en", "min_ratio": 0.0, "stopwords_dir": str(tmp_path / "lists" / name)}}
        return told | {"pool": {"path": str(tmp_path / "pool"), "drift": drift}}

    assert run(asked("one", 1, 0.1, ["and"]))["pool"]["drift"] == {}
    same = run(asked("two", 2, 0.1, ["and"]))["pool"]
    assert same["drift"] == {} and same["rows scored again"] == 0, "the same filter with the same words cannot have drifted"
    before = {r["__id__"]: r["stopwords_ratio"] for r in newest(tmp_path).table("numbers.parquet").to_pylist()}
    with pytest.raises(RecipeError, match="was made by stopwords_filter .* here by another model or settings: give pool"):
        plan.make(recipe.load(asked("none", 3, 0.0, ["and", "more"])))
    moved = run(asked("three", 3, 0.1, ["and", "more"]))["pool"]
    told = moved["drift"]["stopwords_ratio"]
    assert moved["rows scored again"] == told["rows"] == 8 and told["corrected"] and told["after"] < 1e-9 < told["before"]
    assert told["slope"] == pytest.approx(2.0), "every `and` is followed by a `more`"
    after = {r["__id__"]: r["stopwords_ratio"] for r in newest(tmp_path).table("numbers.parquet").to_pylist()}
    both = set(before) & set(after)
    assert len(both) > 20 and all(after[i] == pytest.approx(2 * before[i]) for i in both)


def test_two_selectors_the_first_keeps_the_pool_the_second_chooses_of_it(tmp_path: Path) -> None:
    asked = words(tmp_path, day(tmp_path, "monday", {0: 50, 1: 30}, 1), cap=40)
    asked["process"].append({"adapt_selector": {"select_num": 15, "k": 2, "score_keys": ["ppl"]}})
    told = run(asked)
    assert told["rows_out"] == 15 and told["pool"]["rows"] == 40 and told["pool"]["content_hash"] != told["content_hash"]
    asked["dataset_path"] = day(tmp_path, "tuesday", {2: 50}, 2)
    told = run(asked)
    assert told["rows_out"] == 15 and told["pool"]["rows"] == 40 and told["pool"]["rows before"] == 40


def test_a_pool_in_tokens_stays_below_its_cap(tmp_path: Path) -> None:
    step = {"cluster_pruning_selector": {"select_tokens": 900.0, "cost_key": "text_len", "k": 3}}
    for name, seed in (("one", 1), ("two", 2)):
        told = run(words(tmp_path, day(tmp_path, name, {0: 20, 1: 20}, seed), step=step, export_path=str(tmp_path / name)))
        held = newest(tmp_path).table("numbers.parquet")
        assert 800 < sum(held.column("text_len").to_pylist()) <= 900 and len(held) == told["pool"]["rows"]
