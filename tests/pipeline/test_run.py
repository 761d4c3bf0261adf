"""`run` and `apply`: what a recipe may be given as, what the manifest says, what is taken up and what is done anew."""

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import recipe
from tamis.pipeline.errors import OperatorError, ReadError, RecipeError, TamisError
from tamis.pipeline.ledger import ID, POSITION
from tamis.pipeline.ledger import SCHEMA as LEDGER
from tamis.pipeline.run import apply, run

TEXTS = ["one", "two words", "two words", "and three words", "a rather longer text"]
PROCESS: list[Any] = [{"text_length_filter": {"min_len": 5}}, "document_deduplicator", {"words_num_filter": {"min_num": 2}}]


@pytest.fixture
def words(tmp_path) -> dict[str, Any]:
    (tmp_path / "data").mkdir()
    for name, texts in (("a", TEXTS[:2]), ("b", TEXTS[2:])):
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return {"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / "out"), "np": 1, "seed": 3, "process": PROCESS,
            "project_name": "texts"}


def rows(manifest: dict[str, Any]) -> list[str]:
    folder = Path(manifest["recipe"]["export_path"])
    return [t for s in manifest["shards"] for t in pq.read_table(folder / s["path"]).column("text").to_pylist()]


def reused(manifest: dict[str, Any]) -> list[bool]:
    return [t["reused"] for t in manifest["timing"]]


# ---- recipes

def test_a_mapping_a_file_and_its_path_are_the_same_recipe(words, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump(words))
    told = [run(words), run(file), run(str(file))]
    assert reused(told[1]) == reused(told[2]) == [True] * 4
    assert rows(told[0]) == ["two words", "and three words", "a rather longer text"]
    assert len({json.dumps({k: v for k, v in m.items() if k != "timing"}, sort_keys=True) for m in told}) == 1


def test_overrides_replace_keys_and_the_given_mapping_stays_as_it_is(words, tmp_path):
    before = json.dumps(words)
    told = run(words, export_path=str(tmp_path / "other"), seed=9, process=[], sets=["project_name=mine"])
    assert (told["seed"], told["project_name"], len(rows(told))) == (9, "mine", 5)
    assert json.dumps(words) == before and not (tmp_path / "out").exists()
    assert run(words, sets=["process.1.min_len=16"])["rows_out"] == 1
    with pytest.raises(RecipeError, match="unknown key 'sede'"):
        run(words, sede=3)


def test_a_mistake_is_found_before_anything_is_written(words, tmp_path):
    with pytest.raises(RecipeError):
        run(words, process=["nonsense"])
    assert not (tmp_path / "out").exists()


# ---- the manifest

def test_the_manifest_says_what_was_asked_of_what_with_what_and_what_came_of_it(words, tmp_path):
    told = run(words)
    assert told == json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert told["recipe"]["process"][0] == {"text_length_filter": {
        "min_len": 5, "min_closed_interval": True, "max_closed_interval": True, "reversed_range": False}}
    assert told["recipe"]["process"][1]["document_deduplicator"]["keep"] == "first", "settings that were not given are there too"
    assert told["seed"] == told["recipe"]["seed"] == 3
    assert [(i["source"], i["bytes"]) for i in told["inputs"]] == [
        (f"{n}.jsonl", (tmp_path / "data" / f"{n}.jsonl").stat().st_size) for n in "ab"]
    assert [i["digest"] for i in told["inputs"]] == [
        f"xxh3:{xxhash.xxh3_128_hexdigest((tmp_path / 'data' / f'{n}.jsonl').read_bytes())}" for n in "ab"]
    assert told["tamis"] == importlib.metadata.version("tamis") == told["versions"]["tamis"]
    assert told["versions"]["pyarrow"] == pa.__version__ and told["versions"]["python"].startswith("3.")
    assert (told["rows_in"], told["rows_out"], told["rows_left"]) == (5, 3, 2)
    assert [(s["op"], s["rows_in"], s["rows_out"], s["left"]) for s in told["steps"]] == [
        ("read", 5, 5, {}), ("text_length_filter", 5, 4, {"below_min": 1}), ("document_deduplicator", 4, 3, {"duplicate": 1}),
        ("words_num_filter", 3, 3, {})]
    for file in (*told["shards"], *told["ledger"], *told["kept"]):
        content = (tmp_path / "out" / file["path"]).read_bytes()
        assert (file["bytes"], file["digest"]) == (len(content), f"xxh3:{xxhash.xxh3_128_hexdigest(content)}")
    assert sum(f["rows"] for f in told["ledger"]) == 2 and sum(f["rows"] for f in told["kept"]) == 3
    assert [s["kind"] for s in told["stages"]] == ["rows", "dedup", "rows", "export"]


def test_the_recipe_that_is_left_runs_again_to_the_same_content(words, tmp_path):
    first = run(words)
    again = run(tmp_path / "out" / "recipe.yaml", export_path=str(tmp_path / "again"))
    assert again["content_hash"] == first["content_hash"] and again["stages"] == first["stages"]
    assert again["recipe"] | {"export_path": ""} == first["recipe"] | {"export_path": ""}
    assert recipe.words(recipe.load(tmp_path / "out" / "recipe.yaml")) == first["recipe"]


def test_the_manifest_is_json_for_any_reader(words, tmp_path):
    run(words, process=[*PROCESS, {"random_selector": {"select_ratio": 1.0}}])

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    for file in (tmp_path / "out").rglob("*.json"):
        json.loads(file.read_text("utf-8"), parse_constant=refuse)


# ---- what is done again

def written(out: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in (out / "work").rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_second_run_writes_nothing_anew(words, tmp_path):
    run(words)
    before = written(tmp_path / "out")
    data = {p: p.stat().st_mtime_ns for kind in ("data", "kept", "ledger") for p in (tmp_path / "out" / kind).iterdir()}
    assert reused(run(words)) == [True] * 4
    assert written(tmp_path / "out") == before and len(before) > 10
    assert {p: p.stat().st_mtime_ns for p in data} == data


@pytest.mark.parametrize(("change", "expected"), [
    ({"process": [*PROCESS[:2], {"words_num_filter": {"min_num": 3}}]}, [True, True, False, False]),
    ({"process": [PROCESS[0], {"document_deduplicator": {"keep": "longest"}}, PROCESS[2]]}, [True, False, False, False]),
    ({"process": PROCESS[:2]}, [True, True, False]),
    ({"process": [*PROCESS, {"random_selector": {"select_num": 1}}]}, [True, True, True, False, False]),
    ({"keep_stats_in_res_ds": True}, [True, True, True, False]), ({"np": 2, "batch_rows": 1}, [True] * 4), ({"seed": 4}, [False] * 4),
], ids=str)
def test_a_change_is_done_from_where_it_begins(words, tmp_path, change, expected):
    run(words)
    told = run(words | change)
    assert reused(told) == expected
    fresh = run(words | change, export_path=str(tmp_path / "fresh"))
    assert told["content_hash"] == fresh["content_hash"] and rows(told) == rows(fresh)
    left = {p.name for p in (tmp_path / "out" / "work").iterdir() if p.is_dir()}
    assert len(left) == len(told["stages"]), "stages that no one asks for are gone"


def test_a_changed_input_is_read_again_and_a_touched_one_is_not(words, tmp_path):
    run(words)
    file = tmp_path / "data" / "b.jsonl"
    os.utime(file, (1, 1))
    assert reused(run(words)) == [True] * 4
    file.write_text(file.read_text().replace("and three", "but three"))
    told = run(words)
    assert reused(told) == [False] * 4 and "but three words" in rows(told)


@pytest.mark.parametrize("harm", ["unlink", "truncate"])
def test_an_export_that_is_gone_is_made_again_alone(words, tmp_path, harm):
    first = run(words)
    shard = tmp_path / "out" / first["shards"][0]["path"]
    shard.unlink() if harm == "unlink" else shard.write_bytes(b"")
    told = run(words)
    assert reused(told) == [True, True, True, False] and told["shards"] == first["shards"] and rows(told) == rows(first)


def test_a_run_that_fails_keeps_what_is_done(words, tmp_path):
    """A selection that cannot be made: the stages before it stand, and no manifest speaks of what is not there."""
    (tmp_path / "data" / "b.jsonl").write_text('{"text": "some words", "q": 1}\n')
    bad = [*PROCESS[:2], {"random_selector": {"select_num": 1, "quality_key": "q"}}]
    with pytest.raises(TamisError, match="'q' has no value in 1 of 2 rows"):
        run(words, process=bad)
    assert not (tmp_path / "out" / "manifest.json").exists()
    bad[2] = {"random_selector": {"select_num": 1}}
    assert reused(run(words, process=bad)) == [True, True, False, False]


def test_the_workspace_may_lie_elsewhere(words, tmp_path):
    run(words, work_dir=str(tmp_path / "w"))
    assert not (tmp_path / "out" / "work").exists() and list((tmp_path / "w").glob("01-rows-*"))
    assert reused(run(words, work_dir=str(tmp_path / "w"))) == [True] * 4


class Watcher:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, stage, parts):
        self.told.append(("begin", stage.index, parts))

    def advance(self, counts):
        self.told.append(("advance",))

    def end(self, stage, record, seconds, reused):
        assert seconds >= 0
        self.told.append(("end", stage.index, reused))


def test_whoever_watches_is_told_of_each_stage_in_order(words):
    watcher = Watcher()
    run(words, watcher)
    assert [t for t in watcher.told if t[0] != "advance"] == [
        t for i in range(1, 5) for t in (("begin", i, watcher.told[0][2]), ("end", i, False))]
    assert watcher.told[1] == ("advance",)
    again = Watcher()
    run(words, again)
    assert [t for t in again.told if t[0] != "begin"] == [("end", i, True) for i in range(1, 5)]


# ---- rows in memory

ROWS = [{"text": t, "n": i} for i, t in enumerate(TEXTS)]


@pytest.mark.parametrize("given", [ROWS, tuple(ROWS), pa.Table.from_pylist(ROWS), pa.RecordBatch.from_pylist(ROWS),
                                   pa.Table.from_pylist([{}, *ROWS], pa.schema([("text", pa.large_string()), ("n", pa.int64())])).slice(1)], ids=type)
def test_apply_takes_tables_and_dicts_and_answers_three_tables(given):
    made = apply(PROCESS, given)
    assert made.table.to_pylist() == [ROWS[1], ROWS[3], ROWS[4]] and made.table.schema.names == ["text", "n"]
    assert made.ledger.schema == LEDGER
    assert [(r[POSITION], r["step"], r["reason"], r["value"]) for r in made.ledger.to_pylist()] == [(0, 1, "below_min", 3.0), (2, 2, "duplicate", 1.0)]
    assert made.stats.to_pylist() == [
        {"row": 0, "kept": False, "text_len": 3, "num_words": None}, {"row": 1, "kept": True, "text_len": 9, "num_words": 2},
        {"row": 2, "kept": False, "text_len": 9, "num_words": None}, {"row": 3, "kept": True, "text_len": 15, "num_words": 3},
        {"row": 4, "kept": True, "text_len": 20, "num_words": 4}]
    assert made.manifest["rows_out"] == 3 and "3 of 5" in repr(made)


@settings(max_examples=10)
@given(st.lists(st.none() | st.text("ab c!", max_size=12), max_size=30), st.integers(1, 7))
def test_every_row_has_a_line_of_numbers_and_one_fate(texts, batch_rows):
    made = apply(PROCESS, pa.table({"text": pa.array(texts, pa.string())}), batch_rows=batch_rows)
    numbers = made.stats.to_pylist()
    assert [r["row"] for r in numbers] == list(range(len(texts)))
    assert [r["text_len"] for r in numbers] == [None if t is None else len(t) for t in texts]
    gone = made.ledger.column(POSITION).to_pylist()
    assert sorted(gone) == [r["row"] for r in numbers if not r["kept"]] and len(set(made.ledger.column(ID).to_pylist())) == len(gone)
    assert made.table.column("text").to_pylist() == [texts[r["row"]] for r in numbers if r["kept"]]


@pytest.mark.parametrize(("process", "given"), [
    (PROCESS, []), ([], []), (PROCESS, pa.table({"text": pa.array([], pa.string())})), ([*PROCESS, {"random_selector": {"select_num": 3}}], []),
    (["document_minhash_deduplicator"], [])])
def test_no_rows_are_rows_too(process, given):
    made = apply(process, given)
    assert (len(made.table), len(made.ledger), len(made.stats)) == (0, 0, 0) and made.table.schema.names == ["text"]
    assert {"row", "kept"} <= set(made.stats.schema.names)


def test_without_steps_all_stay():
    assert apply([], ROWS).table.to_pylist() == ROWS


def test_columns_that_only_some_rows_have():
    given = [{"text": "a"}, {"text": "b", "meta": {"x": [1]}}, {"meta": None, "text": "c"}]
    assert apply([], given).table.to_pylist() == [{"text": r["text"], "meta": r.get("meta")} for r in given]


def test_columns_called_as_numbers_are_the_users_own():
    given = [{"text": "long enough", "text_len": 7, "row": "x", "kept": None}]
    made = apply(["text_length_filter"], given)
    assert made.table.to_pylist() == given and made.stats.to_pylist() == [{"row": 0, "kept": True, "text_len": 11}]


@pytest.mark.parametrize(("given", "error", "told"), [
    ([{"text": "a", "__id__": 1}], RecipeError, "has a column '__id__', a name that tamis keeps for itself"),
    ([{"text": "a", "__source__": "x"}], RecipeError, "has a column '__source__'"),
    ([{"txet": "a"}], RecipeError, "'text'"), ([{"text": 3}], RecipeError, "'text', which text_keys names, is a number, not text"),
    (["a"], ReadError, "row 0 is no mapping of column names to values: 'a'"), ([{"text": "a"}, {}], ReadError, "row 1 is no mapping"),
    ([{"text": "a", "n": 1}, {"text": "b", "n": "x"}], ReadError, "column 'n' cannot be one Arrow column"),
    ([{"text": "\ud800"}], ReadError, "column 'text' cannot be"),
])
def test_rows_that_cannot_be_are_refused_by_name(given, error, told):
    with pytest.raises(error, match=told):
        apply([], given)


@pytest.mark.parametrize(("process", "given", "told"), [
    ([{"python_lambda_mapper": {"lambda_str": "lambda d: {'text': 1 / len(d['text'])}"}}], ["a", "b", ""], r"\(python_lambda_mapper\), row 2: .*"),
    ([{"python_lambda_mapper": {"lambda_str": "lambda d: {'text': str(1 / len(d['text']))}"}}], ["a", "", "c", ""], "(?s)more than 1 row .*row 1, .*row 3, "),
    ([{"text_length_filter": {"text_key": "body"}}], ["a"], ".*no column 'body' in the data. It has: text"),
    (["text_length_filter"], [1], "the rows: column 'text'.* is a number, not text"),
])
def test_errors_of_apply_name_the_row_that_was_given(process, given, told):
    """... and never the file that stands between."""
    aside = {"on_error": {"set_aside": 1}} if "more than" in told else {}
    with pytest.raises(TamisError, match=told) as e:
        apply(process, [{"text": t} for t in given], allow_code=True, **aside)
    assert "rows.parquet" not in str(e.value)
    with pytest.raises(RecipeError, match="^the rows have columns body; text_keys asks for 'text'$"):
        apply([], [{"body": "x"}])


@pytest.mark.parametrize(("process", "keys", "told"), [
    ("text_length_filter", {}, "process is a list of steps, not str"), ({"text_length_filter": {}}, {}, "process is a list of steps, not dict"),
    ([], {"export_path": "x"}, "apply gives export_path itself"), ([], {"engine": "ray"}, "engine must be one of local, spark"),
    ([], {"np": "two"}, "np must be a whole number"), ([], {"sede": 1}, "Did you mean 'seed'"),
    ([{"text_length_filter": {"min_len": float("nan")}}], {}, "min_len must be a whole number, not nan"),
    ([{"random_selector": {"select_tokens": float("inf")}}], {}, "select_tokens must be a number, not inf"),
])
def test_what_cannot_be_asked_of_apply(process, keys, told):
    with pytest.raises(RecipeError, match=told):
        apply(process, ROWS, **keys)


def test_engine_settings_and_seed_of_apply():
    process = [*PROCESS, {"random_selector": {"select_num": 2}}]
    first = apply(process, ROWS, seed=1)
    same = apply(process, ROWS, seed=1, np=2, batch_rows=1)
    assert same.table == first.table and same.ledger == first.ledger and same.stats == first.stats
    picks = {tuple(apply([{"random_selector": {"select_num": 2}}], ROWS, seed=s).table.column("n").to_pylist()) for s in range(5)}
    assert len(picks) > 1


def test_a_row_that_an_operator_refuses_is_named_or_set_aside():
    process = [{"words_num_filter": {"text_key": "n"}}]
    with pytest.raises((OperatorError, RecipeError), match=r"step 1 \(words_num_filter\)"):
        apply(process, ROWS)
    made = apply(["text_length_filter"], [{"text": None}, {"text": "long enough"}], on_error={"set_aside": 1})
    assert made.ledger.column("reason").to_pylist() == ["null_text"], "a null is no error"


def test_apply_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    apply(PROCESS, ROWS)
    assert list(tmp_path.iterdir()) == []
