"""Rows grouped and taken apart in a run over several parts: against a plain dictionary, with a line for every row that left."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.errors import RecipeError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import apply, run
from tamis.pipeline.verify import check
from tamis.pipeline.why import story, text


def grouped(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, list[Any]]]:
    """By a dictionary: the rows of each group as lists, groups in the order of their first rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(repr([row[k] for k in keys]), []).append(row)
    return [{name: [m[name] for m in members] for name in rows[0]} for members in found.values()]


VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "", "None"]))


@settings(max_examples=5)
@given(st.lists(st.tuples(VALUES, st.one_of(st.none(), st.integers(0, 2))), min_size=1, max_size=14), st.sampled_from([["k"], ["n"], ["n", "k"]]))
def test_groups_are_those_of_a_dictionary_and_apart_they_are_the_rows_again(pairs: list[Any], keys: list[str]) -> None:
    rows = [{"text": f"row {i}", "k": k, "n": n} for i, (k, n) in enumerate(pairs)]
    schema = pa.schema({"text": pa.string(), "k": pa.string(), "n": pa.int64()})
    made = apply([{"key_value_grouper": {"group_by_keys": keys}}], pa.Table.from_pylist(rows, schema))
    wanted = grouped(rows, keys)
    assert made.table.to_pylist() == wanted
    assert len(made.ledger) == len(rows) - len(wanted) and set(made.ledger.column("reason").to_pylist()) <= {"grouped"}
    back = apply([{"key_value_grouper": {"group_by_keys": keys}}, "naive_reverse_grouper"], pa.Table.from_pylist(rows, schema))
    assert back.table.to_pylist() == [{name: group[name][i] for name in group} for group in wanted for i in range(len(group["text"]))]
    assert back.manifest["rows_in"] + back.manifest.get("rows_born", 0) == back.manifest["rows_out"] + back.manifest["rows_left"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three files, the last of another column more; every group has rows in several of them."""
    (tmp_path / "data").mkdir()
    for f in range(3):
        rows = [{"text": f"file {f} row {i}" + "x" * i, "lang": ["de", "fr", "en"][(f + i) % 3], **({"extra": i} if f == 2 else {})} for i in range(6)]
        (tmp_path / "data" / f"{f}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path / "data"


def go(data: Path, out: Path, *process: Any, **keys: Any) -> dict[str, Any]:
    return run({"dataset_path": str(data), "export_path": str(out), "np": 1, "export_type": "parquet", "process": list(process), **keys})


def exported(out: Path, made: dict[str, Any]) -> list[dict[str, Any]]:
    return [r for s in made["shards"] for r in pq.read_table(out / s["path"]).to_pylist()]


BY_LANG = {"key_value_grouper": {"group_by_keys": ["lang"]}}


def test_a_group_lies_where_its_first_row_lay_and_the_others_leave_for_it(data: Path, tmp_path: Path) -> None:
    made = go(data, tmp_path / "out", {"text_length_filter": {"min_len": 13}}, BY_LANG)
    rows = [json.loads(line) for f in range(3) for line in (data / f"{f}.jsonl").read_text().splitlines()]
    stay = [r | {"extra": r.get("extra")} for r in rows if len(r["text"]) >= 13]
    assert exported(tmp_path / "out", made) == grouped([{k: r[k] for k in ("text", "lang", "extra")} for r in stay], ["lang"])
    kept, left = (pq.read_table(tmp_path / "out" / kind).to_pylist() for kind in ("kept", "ledger"))
    place = {r[ID]: (r[SOURCE], r[POSITION]) for r in [*kept, *left]}
    lines = [r for r in left if r["reason"] == "grouped"]
    assert {r["step"] for r in lines} == {2} and len(lines) == len(stay) - 3
    for line in lines:
        first = place[line["kept_id"]]
        assert line["kept_id"] in {r[ID] for r in kept} and first < place[line[ID]]
        own, other = (json.loads((data / s).read_bytes()[p:].split(b"\n", 1)[0])["lang"] for s, p in (place[line[ID]], first))
        assert own == other and line["excerpt"].startswith("file ")
    assert made["steps"][2]["left"] == {"grouped": len(stay) - 3} and {f.level for f in check(tmp_path / "out")} == {"ok"}
    told = text(story(tmp_path / "out", f"{lines[0][SOURCE]}:{lines[0][POSITION]}"))
    assert "key_value_grouper" in told and "left" in told


def test_batches_workers_and_cuts_change_no_group(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.pipeline.formats import splits

    first = go(data, tmp_path / "a", BY_LANG, "naive_reverse_grouper", {"text_length_filter": {"min_len": 13}})
    monkeypatch.setattr(splits, "SMALLEST", 64)
    second = go(data, tmp_path / "b", BY_LANG, "naive_reverse_grouper", {"text_length_filter": {"min_len": 13}}, batch_rows=2)
    assert first["content_hash"] == second["content_hash"] and exported(tmp_path / "a", first) == exported(tmp_path / "b", second)
    ledgers = [sorted(pq.read_table(tmp_path / x / "ledger").to_pylist(), key=lambda r: (r["step"], r[ID])) for x in "ab"]
    assert ledgers[0] == ledgers[1]


def test_rows_taken_apart_have_ids_of_their_own_and_are_counted_as_born(data: Path, tmp_path: Path) -> None:
    made = go(data, tmp_path / "out", "naive_grouper", "naive_reverse_grouper")
    kept = pq.read_table(tmp_path / "out" / "kept").column(ID).to_pylist()
    assert len(set(kept)) == 18 and made["steps"][1]["rows_out"] == 1 and made["steps"][2]["rows_out"] == 18
    assert made["rows_born"] == 17 and made["rows_left"] == 17
    first = json.loads((data / "0.jsonl").read_text().splitlines()[0])
    assert exported(tmp_path / "out", made)[0] == first | {"extra": None}, "what had no such column has null there"


def test_numbers_of_filters_go_into_the_group_and_can_group(data: Path, tmp_path: Path) -> None:
    made = go(data, tmp_path / "out", {"text_length_filter": {}}, {"key_value_grouper": {"group_by_keys": ["__dj__stats__.text_len"]}})
    lengths = [{len(t) for t in r["text"]} for r in exported(tmp_path / "out", made)]
    assert all(len(one) == 1 for one in lengths) and len(lengths) == 6


@pytest.mark.parametrize("step", [{"random_selector": {"select_num": 1}}, {"topk_specified_field_selector": {"field_key": "lang", "topk": 1}}])
def test_groups_are_rows_to_choose_from_and_are_quoted_by_their_first(step: dict[str, Any]) -> None:
    rows = [{"text": t, "lang": lang} for t, lang in zip(["aa", "bb", "cc", "dd"], ["x", "y", "x", "z"], strict=True)]
    made = apply([{"text_length_filter": {"min_len": 1}}, {"key_value_grouper": {"group_by_keys": ["lang"]}}, step], rows)
    left = {r["excerpt"]: r["reason"] for r in made.ledger.to_pylist()}
    (kept,) = made.table.column("text").to_pylist()
    assert len(made.ledger) == 3 and left.pop("cc") == "grouped" and set(left.values()) == {"not_selected"}
    assert set(left) == {"aa", "bb", "dd"} - {kept[0]}


@pytest.mark.parametrize(("step", "what"), [
    ({"quality_selector": {"select_num": 1, "quality_key": "n"}}, "quality_key 'n'"),
    ({"text_embedding_mapper": {"vector_key": "v"}}, "vector_key 'v'"),
    ({"text_length_filter": {}}, "column 'text'"), ("fix_unicode_mapper", "column 'text'"), ("document_deduplicator", "column 'text'"),
    ({"words_num_filter": {"text_key": "n"}}, "column 'n'"),
    ({"random_selector": {"select_tokens": 9, "cost_key": "n"}}, "cost_key 'n'"),
    ({"ccs_selector": {"select_num": 1, "quality_key": "n"}}, "quality_key 'n'"),
])
def test_what_groups_have_lists_of_is_no_text_no_number_and_no_vector_and_the_plan_says_so(step: Any, what: str) -> None:
    rows = pa.Table.from_pylist([{"text": t, "n": 1, "v": [1.0, 2.0]} for t in ("a", "b")])
    for grouper in ("naive_grouper", {"key_value_grouper": {"group_by_keys": ["n"]}}):
        name = grouper if isinstance(grouper, str) else next(iter(grouper))
        with pytest.raises(RecipeError) as told:
            apply([grouper, step], rows)
        (said,) = str(told.value).splitlines()
        assert f"step 2 ({next(iter(step)) if isinstance(step, dict) else step}): {what} holds lists after step 1 ({name})" in said
        assert "naive_reverse_grouper between them" in said


def test_after_groups_are_taken_apart_text_is_text_again() -> None:
    rows = [{"text": t, "n": len(t), "v": [1.0, 2.0]} for t in ("a", "bb", "cc")]
    made = apply(["naive_grouper", "naive_reverse_grouper", {"text_length_filter": {"min_len": 2}}], rows)
    assert made.table.column("text").to_pylist() == ["bb", "cc"]
    twice = ["naive_grouper", "naive_grouper", "naive_reverse_grouper", {"text_length_filter": {}}]
    with pytest.raises(RecipeError, match=r"step 4 \(text_length_filter\): column 'text' holds lists after step 3 \(naive_reverse"):
        apply(twice, rows)


def test_without_a_key_the_text_itself_groups() -> None:
    rows = [{"text": t, "n": i} for i, t in enumerate(["a", "b", "a", None, "b"])]
    made = apply(["key_value_grouper"], rows)
    assert made.table.column("n").to_pylist() == [[0, 2], [1, 4]], "null left at reading"
    other = apply([{"key_value_grouper": {"text_key": "n"}}], rows[:3])
    assert other.table.column("text").to_pylist() == [["a"], ["b"], ["a"]]


def test_the_meta_of_groups_is_written_aside_where_it_is_asked_for(tmp_path: Path) -> None:
    rows = [{"text": t, "k": t in "ac", "__dj__batch_meta__": {"who": who}} for t, who in zip("abc", ("é", None, "x"), strict=True)]
    place = tmp_path / "deep" / "meta.jsonl"
    by_key = {"key_value_grouper": {"group_by_keys": ["k"]}}
    made = apply([by_key, {"naive_reverse_grouper": {"batch_meta_export_path": str(place)}}], rows)
    assert [r["text"] for r in made.table.to_pylist()] == ["a", "c", "b"] and made.table.column_names == ["text", "k"]
    assert [json.loads(line) for line in place.read_text("utf-8").splitlines()] == [[{"who": "é"}, {"who": "x"}], [{"who": None}]]
    place.unlink()
    assert apply([by_key, "naive_reverse_grouper"], rows).table.column_names == ["text", "k"] and not place.exists()


def test_rows_that_are_no_groups_are_told_with_the_step() -> None:
    told = r"step 2 \(naive_reverse_grouper\): column 'text' is string, not a list: only grouped rows can be taken apart"
    with pytest.raises(RecipeError, match=told):
        apply([{"text_length_filter": {}}, "naive_reverse_grouper"], [{"text": "a"}])


@pytest.mark.parametrize("process", [["naive_grouper"], ["key_value_grouper", "naive_reverse_grouper"], [{"text_length_filter": {"min_len": 9}}, "naive_grouper"]])
def test_of_nothing_there_are_no_groups(process: list[Any]) -> None:
    for texts in ([], ["a"] * (len(process[0]) == 1 and isinstance(process[0], dict))):
        made = apply(process, pa.table({"text": pa.array(texts, pa.string())}))
        assert len(made.table) == 0 and len(made.ledger) == len(texts)
