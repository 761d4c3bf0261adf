"""Data-Juicer's top-level keys and habits, each seen in what comes of a run."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from tamis.operators.kernels.codepoints import spread
from tamis.operators.kernels.special_characters import SPECIAL
from tamis.pipeline import assets, recipe, verify, why
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, TamisError
from tamis.pipeline.run import apply, run


def rows_of(name: str, count: int) -> list[dict[str, Any]]:
    return [{"text": f"{name} {i} see http://a.de/x", "title": "t" * i, "meta": {"t": f"same {i // 2}"}} for i in range(count)]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return written(tmp_path / "a.jsonl", rows_of("a", 50)), written(tmp_path / "b.jsonl", rows_of("b", 8))


def exported(made: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for s in made["shards"] for line in (out / s["path"]).read_text().splitlines()]


@pytest.mark.parametrize("words", [
    lambda a, b: {"dataset_path": f"0.3 {a} 0.7 {b}", "dataset": {"max_sample_num": 20}},
    lambda a, b: {"dataset": {"max_sample_num": 20, "configs": [
        {"type": "local", "path": str(a), "weight": 3}, {"type": "local", "path": str(b), "weight": 7}]}},
])
def test_a_mixture_by_weights(words: Any, pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = run({**words(*pair), "export_path": str(tmp_path / "out"), "export_type": "json", "np": 1})
    texts = [r["text"] for r in exported(made, tmp_path / "out")]
    assert sum(t.startswith("a ") for t in texts) == 6 and sum(t.startswith("b ") for t in texts) == 8  # of 14, all that b has
    assert made["rows_out"] + made["rows_left"] == made["rows_in"] == 58
    again = run({**words(*pair), "export_path": str(tmp_path / "again"), "export_type": "json", "np": 2})
    assert again["content_hash"] == made["content_hash"]


def test_validators_look_at_the_first_rows(pair: tuple[Path, Path], tmp_path: Path) -> None:
    words: dict[str, Any] = {"dataset_path": str(pair[0]), "export_path": str(tmp_path / "out"), "np": 1}
    good = [{"type": "required_fields", "required_fields": ["text", "meta"], "field_types": {"text": "str", "meta": "dict"}}]
    assert run({**words, "validators": good})["rows_out"] == 50
    bad = [{"type": "required_fields", "required_fields": ["nosuch"]}, {"type": "swift_messages"}, {"type": "dj_conversation"},
           {"type": "required_fields", "required_fields": [], "field_types": {"text": "int"}}]
    with pytest.raises(RecipeError) as told:
        run({**words, "validators": bad, "export_path": str(tmp_path / "no")})
    assert [line.split(": ")[1].split(", ")[1] for line in str(told.value).splitlines()] == [v["type"] for v in bad]
    assert not (tmp_path / "no" / "data").exists()
    with pytest.raises(RecipeError, match="its type is one of"):
        recipe.load({**words, "validators": [{"type": "nothing"}]})


def test_conversations_are_checked_turn_by_turn(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    data = written(tmp_path / "m.jsonl", [{"text": "x", "messages": talk}])
    words = {"dataset_path": str(data), "np": 1}
    run({**words, "export_path": str(tmp_path / "o1"), "validators": [{"type": "swift_messages", "min_turns": 2}]})
    with pytest.raises(RecipeError, match="2 turns, not 3 to 100"):
        run({**words, "export_path": str(tmp_path / "o2"), "validators": [{"type": "swift_messages", "min_turns": 3}]})


def test_trace_files_bear_data_juicers_names(pair: tuple[Path, Path], tmp_path: Path) -> None:
    process = [
        {"clean_links_mapper": None}, {"text_length_filter": {"text_key": "title", "min_len": 0, "max_len": 5}},
        {"document_deduplicator": {"text_key": "meta.t"}},
    ]
    asked = {"open_tracer": True, "trace_num": 2, "trace_keys": ["title"]}
    words = {"dataset_path": str(pair[0]), "process": process, "np": 1}
    run({**words, **asked, "export_path": str(tmp_path / "out")})
    found = {p.name: [json.loads(line) for line in p.read_text().splitlines()] for p in (tmp_path / "out/trace").iterdir()}
    assert found == {
        "sample_trace-clean_links_mapper.jsonl": [
            {"title": "t" * i, "original_text": f"a {i} see http://a.de/x", "processed_text": f"a {i} see "} for i in (0, 1)],
        "sample_trace-text_length_filter.jsonl": [
            {"text": f"a {i} see ", "title": "t" * i, "meta": {"t": f"same {i // 2}"}} for i in (6, 7)],
        "duplicate-document_deduplicator.jsonl": [
            {f"dup{k + 1}": {"text": f"a {2 * i + k} see ", "title": "t" * (2 * i + k), "meta": {"t": f"same {i}"}} for k in (0, 1)}
            for i in (0, 1)],
    }
    run({**words, **asked, "op_list_to_trace": ["text_length_filter"], "export_path": str(tmp_path / "one")})
    assert [p.name for p in (tmp_path / "one/trace").iterdir()] == ["sample_trace-text_length_filter.jsonl"]
    run({**words, "export_path": str(tmp_path / "none")})
    assert not (tmp_path / "none/trace").exists()


@pytest.mark.parametrize("process", [
    [{"document_deduplicator": {"text_key": "meta.t"}}], [{"document_minhash_deduplicator": {"text_key": "meta.t", "window_size": 1}}],
    [{"document_simhash_deduplicator": {"text_key": "meta.t", "window_size": 1, "hamming_distance": 0, "num_blocks": 1}}],
])
def test_a_field_of_a_struct_is_the_text_of_any_deduplicator(process: Any) -> None:
    made = apply(process, rows_of("a", 10))
    assert [r["text"].split()[1] for r in made.table.to_pylist()] == ["0", "2", "4", "6", "8"]
    assert made.ledger.column("excerpt").to_pylist() == [f"same {i}" for i in range(5)]


def test_lines_are_cut_out_of_a_field_of_a_struct() -> None:
    rows = [{"text": "x", "meta": {"t": f"own line {i}\nthe same line for all", "n": i}} for i in range(4)]
    made = apply([{"document_line_deduplicator": {"text_key": "meta.t", "frequency_threshold": 2}}], rows)
    assert made.table.to_pylist() == [{"text": "x", "meta": {"t": f"own line {i}", "n": i}} for i in range(4)]


def test_a_setting_by_the_operators_name_reaches_all_its_steps() -> None:
    words = {"dataset_path": "x", "process": [{"text_length_filter": {"max_len": 9}}, "words_num_filter", "text_length_filter"]}
    asked = recipe.load(words, sets=["text_length_filter.min_len=2", "words_num_filter.max_num=1e5", "process.3.max_len=null"])
    kept = [(s.keep.min, s.keep.max) for s in asked.process if s.keep]
    assert kept == [(2, 9), (10, 100_000), (2, None)]


def test_old_defects_are_reproduced_where_asked_and_noted_where_not() -> None:
    rows = [{"text": "a" * 15, "title": "b" * 50}, {"text": "a" * 30, "title": "b"}]
    process = [{"text_length_filter": {"max_len": 99}}, {"text_length_filter": {"text_key": "title", "min_len": 0, "max_len": 20}}]
    right, old = apply(process, rows), apply(process, rows, compat="data-juicer")
    assert right.table.column("title").to_pylist() == ["b"] and "Data-Juicer would take step 1's number" in right.manifest["notes"][-1]
    assert old.table.column("title").to_pylist() == ["b" * 50] and "text_len.step2" not in old.stats.column_names
    process = [{"alphanumeric_filter": {"max_ratio": 0.9}}, {"alphanumeric_filter": {"min_ratio": 0.0}}]
    words = {"dataset_path": "x", "process": process}
    right_steps, old_steps = recipe.load(words), recipe.load({**words, "compat": "data-juicer"})
    assert [s.keep.max for s in right_steps.process if s.keep] == [0.9, None] and "carry over max_ratio: 0.9" in right_steps.notes[0]
    assert [s.keep.max for s in old_steps.process if s.keep] == [0.9, 0.9]


def test_short_texts_are_lumped_together_only_where_asked() -> None:
    rows = [{"text": t} for t in ("two words", "other words", "", "one two three four five six")]
    for name in ("document_minhash_deduplicator", "document_simhash_deduplicator", "ray_bts_minhash_deduplicator"):
        assert len(apply([name], rows).table) == 4
        assert apply([name], rows, compat="data-juicer").table.column("text").to_pylist() == ["two words", "one two three four five six"]


def test_the_smallest_uid_stays() -> None:
    rows = [{"text": "the same text for both of them here", "__dj__uid": uid, "n": i} for i, uid in enumerate([7, 3, 9])]
    assert apply(["document_minhash_deduplicator_with_uid"], rows).table.column("n").to_pylist() == [1]


OWN = """
import pyarrow as pa
import pyarrow.compute as pc
from tamis.operators.base import COUNT, Range, filter

@filter("shout_filter", unit=COUNT, keep=Range(max=3))
def shouts(text: pa.StringArray, *, mark: str = "!") -> pa.Int64Array:
    '''How often the text shouts.'''
    return pc.cast(pc.count_substring(text, mark), pa.int64())
"""


def test_own_operators_come_from_files_where_code_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    rows = [{"text": "a!!"}, {"text": "b!"}]
    process = [{"shout_filter": {"max_num": 1}}]
    assert apply(process, rows, custom_operator_paths=str(file), allow_code=True).table.column("text").to_pylist() == ["b!"]
    with pytest.raises(RecipeError, match="say allow_code: true"):
        apply(process, rows, custom_operator_paths=[str(file)])
    data = written(tmp_path / "d.jsonl", rows * 200)
    first = run({"dataset_path": str(data), "process": process, "custom_operator_paths": [str(file)], "allow_code": True,
                 "export_path": str(tmp_path / "out"), "np": 2})
    file.write_text(OWN.replace('"!"', '"b"'))
    again = run({"dataset_path": str(data), "process": process, "custom_operator_paths": [str(file)], "allow_code": True,
                 "export_path": str(tmp_path / "out"), "np": 1})
    assert (first["rows_out"], again["rows_out"]) == (200, 400), "what the file says is part of the fingerprint"
    file.write_text("1 / 0")
    with pytest.raises(RecipeError, match="cannot be loaded: ZeroDivisionError"):
        apply(process, rows, custom_operator_paths=str(file), allow_code=True)


def test_lenient_reading_is_honoured_and_said(tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"text": "good one"}\n{"text": bad\n')
    made = run({"dataset_path": str(data), "load_jsonl_lenient": True, "export_path": str(tmp_path / "out"), "np": 1})
    assert made["rows_out"] == made["rows_left"] == 1
    assert "ledger" in made["notes"][0] and not any("ignored" in n for n in made["notes"])


def test_assets_tell_what_is_missing_and_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_JUICER_CACHE_HOME", str(tmp_path))
    file = tmp_path / "r.yaml"
    file.write_text("dataset_path: x\nprocess:\n  - stopwords_filter: {tokenization: true}\n  - text_length_filter:\n")
    found = assets.needed(recipe.load(file))
    assert [(a.kind, a.missing) for a in found] == [("stopwords", False), ("word_pieces", True)]
    assert str(tmp_path / "models") in found[1].looked and "tokenization: spaces" in found[1].note
    told = CliRunner().invoke(app, ["assets", str(file)])
    assert told.exit_code == 1 and "1 of 2 at hand" in told.output
    (tmp_path / "models").mkdir()
    models = Path(__file__).parents[1] / "golden" / "models"
    (tmp_path / "models" / "en.sp.model").write_bytes((models / "en.sp.model").read_bytes())
    pytest.importorskip("sentencepiece")
    assert CliRunner().invoke(app, ["assets", str(file)]).exit_code == 0


def test_word_pieces_of_the_users_model_are_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    models = Path(__file__).parents[1] / "golden" / "models"
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(models))
    reader = sentencepiece.SentencePieceProcessor(model_file=str(models / "en.sp.model"))
    texts = ["A harbour was quiet before sunrise.", "", "12 ... a", "the the the the"]
    made = apply([{"words_num_filter": {"tokenization": True, "min_num": 0}}, {"word_repetition_filter": {
        "tokenization": True, "rep_len": 1, "max_ratio": 1.0}}], [{"text": t} for t in texts])
    marks = "".join(chr(i) for i in spread(SPECIAL).nonzero()[0])
    pieces = [[w for p in reader.encode_as_pieces(t) if (w := p.strip(marks))] for t in texts]
    assert made.stats.column("num_words").to_pylist() == [len(p) for p in pieces]
    low = [[w for p in reader.encode_as_pieces(t) if (w := p.lower().strip(marks))] for t in texts]
    assert made.stats.column("word_rep_ratio").to_pylist() == [
        sum(p.count(w) > 1 for w in p) / len(p) if p else 0.0 for p in low]


def test_groups_and_back() -> None:
    rows = [{"text": f"t{i}", "k": i % 3} for i in range(10)]
    made = apply([{"key_value_grouper": {"group_by_keys": ["k"]}}], rows)
    assert [r["k"] for r in made.table.to_pylist()] == [[0, 0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert made.ledger.column("reason").to_pylist() == ["grouped"] * 7 and set(made.ledger.column("kept_id").to_pylist()) != {None}
    back = apply([{"key_value_grouper": {"group_by_keys": ["k"]}}, "naive_reverse_grouper"], rows)
    assert sorted((r["text"], r["k"]) for r in back.table.to_pylist()) == [(r["text"], r["k"]) for r in rows]
    assert back.manifest["rows_in"] + back.manifest["rows_born"] == back.manifest["rows_out"] + back.manifest["rows_left"]
    by_number = apply(["text_length_filter", {"key_value_grouper": {"group_by_keys": ["__dj__stats__.text_len"]}}],
                      [{"text": "a" * n} for n in (10, 12, 10)])
    assert [len(r["text"]) for r in by_number.table.to_pylist()] == [2, 1]
    with pytest.raises(TamisError, match="only grouped rows can be taken apart"):
        apply(["naive_reverse_grouper"], rows)


def test_numbers_beside_rows() -> None:
    made = apply([{"text_length_filter": {"min_len": 2}}], pa.table({"text": ["a", "bb", "ccc"]}), keep_stats=True)
    assert made.table.to_pylist() == [{"text": "bb", "text_len": 2}, {"text": "ccc", "text_len": 3}]
    assert made.stats.to_pylist() == [{"row": i, "kept": i > 0, "text_len": i + 1} for i in range(3)]


def test_why_says_that_a_column_is_not_there(pair: tuple[Path, Path], tmp_path: Path) -> None:
    run({"dataset_path": str(pair[0]), "export_path": str(tmp_path / "out"), "np": 1})
    with pytest.raises(TamisError, match=r"no column 'titel' to find it by. Did you mean 'title'\? They have: text, title, meta"):
        why.story(tmp_path / "out", "7", key="titel")


@pytest.mark.parametrize(("process", "more"), [
    ([{"key_value_grouper": {"group_by_keys": ["title"]}}], {}), (["naive_grouper", "naive_reverse_grouper"], {}),
    ([{"random_selector": {"select_num": 20}}], {"compat": "data-juicer"}),
])
def test_rows_that_are_made_of_others_stand_up_to_verify(process: Any, more: Any, pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = run({"dataset_path": str(pair[1]), "export_path": str(tmp_path / "out"), "process": process, "np": 1, **more})
    assert made["rows_in"] + made["rows_born"] == made["rows_out"] + made["rows_left"]
    assert [f.text for f in verify.check(tmp_path / "out") if f.level != "ok"] == []
