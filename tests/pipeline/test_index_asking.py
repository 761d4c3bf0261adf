"""How a recipe and the command line name an index: what is refused and in which words, what a run again does, what is told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from index_corpora import EXACT, MINHASH, SIMILAR, corpus, dedup, write
from typer.testing import CliRunner

from tamis.pipeline import plan, recipe
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.run import run
from tamis.pipeline.verify import check
from tamis.pipeline.why import story, text


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with day0.jsonl, day1.jsonl, and `index`, which knows the first."""
    texts = corpus(7, 80)
    dedup(write(tmp_path / "day0.jsonl", texts[:50]), tmp_path / "out0", remember=str(tmp_path / "index"), **SIMILAR)
    write(tmp_path / "day1.jsonl", texts[50:], 50)
    return tmp_path


def asked(folder: Path, data: str = "day1.jsonl", out: str = "out", op: str = MINHASH, **settings: Any) -> dict[str, Any]:
    return {"dataset_path": str(folder / data), "export_path": str(folder / out), "np": 1, "export_type": "parquet",
            "process": [{op: SIMILAR | settings if op == MINHASH else settings}]}


def refused(folder: Path, match: str, data: str = "day1.jsonl", **how: Any) -> None:
    with pytest.raises(RecipeError, match=match) as error:
        plan.make(recipe.load(asked(folder, data, **how)))
    assert "recipe, step 1 (" in str(error.value), "located"


def test_settings_other_than_the_indexs_are_named(made: Path) -> None:
    index = str(made / "index")
    refused(made, "jaccard_threshold is 0.7 in the index, 0.8 in the step", against=index, jaccard_threshold=0.8)
    refused(made, "lowercase is True in the index, False in the step; window_size is 5 in the index, 4 in the step",
            against=index, lowercase=False, window_size=4)
    refused(made, "the index is of document_minhash_deduplicator, the step is document_deduplicator", op=EXACT, against=index)


def test_another_version_of_the_operator_is_refused(made: Path) -> None:
    path = made / "index" / "manifest.json"
    told = json.loads(path.read_text())
    now, told["made"]["version"] = told["made"]["version"], 0
    path.write_text(json.dumps(told))
    refused(made, f"version is 0 in the index, {now} in the step", against=str(made / "index"))


def test_against_nothing_is_an_error_that_says_how_to_begin(made: Path) -> None:
    refused(made, "there is no index. Begin one with tamis dedup-index build", against=str(made / "typo"), remember=True)
    assert not (made / "typo").exists()


def test_rows_are_not_remembered_without_being_compared(made: Path) -> None:
    refused(made, "exists already: add against", remember=str(made / "index"))
    refused(made, "remember: true needs against", remember=True)
    refused(made, "are two indexes", against=str(made / "index"), remember=str(made / "other"))


def test_the_same_file_by_another_recipe_would_be_its_own_duplicate(made: Path) -> None:
    words = asked(made, "day0.jsonl", against=str(made / "index"), remember=True)
    words["process"].insert(0, {"text_length_filter": {"min_len": 5}})
    with pytest.raises(RecipeError, match=r"step 2 .* holds rows of day0.jsonl already"):
        plan.make(recipe.load(words))


def test_a_file_under_another_name_is_another_crawl_of_the_same(made: Path) -> None:
    (made / "renamed.jsonl").write_bytes((made / "day0.jsonl").read_bytes())
    told = run(asked(made, "renamed.jsonl", against=str(made / "index"), remember=True))
    kept = pq.read_table(made / "out" / told["shards"][0]["path"]).column("text").to_pylist()
    assert not "".join(kept).strip(), "of a text without a word nothing is known"
    assert told["remembered"][0]["documents"] == told["rows_in"] == 50 and told["remembered"][0]["kept"] == len(kept)


def test_an_empty_file_is_no_input(made: Path) -> None:
    for day in ("a", "b"):
        (made / day).mkdir()
        (made / day / "nothing.jsonl").touch()
        write(made / day / f"{day}.jsonl", corpus(ord(day), 10))
        run(asked(made, day, f"out-{day}", against=str(made / "index"), remember=True))
    assert layout.read(made / "index").documents == 70


@pytest.mark.parametrize(("path", "match"), [
    ("day1.jsonl", "is a file"), ("out", "writes its own files"), ("out/work/index", "writes its own files"),
    ("out/data", "writes its own files"), ("", "writes its own files"), ("s3://bucket/index", "folder of this machine"),
])
def test_an_index_lies_in_a_folder_of_its_own(made: Path, path: str, match: str) -> None:
    refused(made, match, remember=path if "://" in path else str(made / path))


def test_an_index_inside_the_data_would_be_read_as_data(made: Path) -> None:
    write(made / "crawl" / "a.jsonl", ["one"])
    refused(made, "the index would be read as data", data="crawl", remember=str(made / "crawl" / "index"))
    (made / "mine").mkdir()
    (made / "mine" / "photo.jpg").touch()
    refused(made, "holds something else", remember=str(made / "mine"))


def test_two_steps_do_not_share_an_index(made: Path) -> None:
    words = asked(made, against=str(made / "index"))
    words["process"] *= 2
    with pytest.raises(RecipeError, match="another step uses index"):
        plan.make(recipe.load(words))


def test_a_run_again_takes_up_all_and_adds_nothing(made: Path) -> None:
    how = {"against": str(made / "index"), "remember": True}
    first = run(asked(made, **how))
    known = (made / "index" / "manifest.json").read_bytes()
    again = run(asked(made, **how))
    assert all(t["reused"] for t in again["timing"]) and again["content_hash"] == first["content_hash"]
    assert again["remembered"] == first["remembered"]
    elsewhere = run(asked(made, out="elsewhere", **how))  # nothing done there yet, and its rows are in the index by now
    assert elsewhere["content_hash"] == first["content_hash"] and elsewhere["stages"] == first["stages"]
    assert (made / "index" / "manifest.json").read_bytes() == known


def test_an_earlier_batch_is_run_again_as_it_was_after_compaction(made: Path) -> None:
    """day1 again, when day2 is known as well and all is one segment: it sees the index as it was."""
    how = {"against": str(made / "index"), "remember": True}
    first = run(asked(made, **how))
    write(made / "day2.jsonl", corpus(8, 40))
    run(asked(made, "day2.jsonl", "out2", **how))
    upkeep.compact(made / "index")
    again = run(asked(made, out="later", **how))
    assert again["content_hash"] == first["content_hash"]
    assert layout.read(made / "index").documents == 50 + 30 + 40


def test_a_lost_index_is_built_again_by_its_finished_run(made: Path) -> None:
    (made / "index").rename(made / "lost")
    told = run(asked(made, "day0.jsonl", "out0", remember=str(made / "index")))
    assert all(t["reused"] for t in told["timing"])
    assert layout.read(made / "index").state() == layout.read(made / "lost").state()
    assert [s.files for s in layout.read(made / "index").segments] == [s.files for s in layout.read(made / "lost").segments]


def test_what_comes_after_the_index_changes_no_earlier_stage(made: Path) -> None:
    without = plan.make(recipe.load(asked(made)))
    moved = made / "moved"
    (made / "index").rename(moved)
    against = plan.make(recipe.load(asked(made, against=str(moved))))
    assert without.stages[0].fingerprint == against.stages[0].fingerprint
    assert without.stages[1].fingerprint != against.stages[1].fingerprint
    moved.rename(made / "again")
    assert plan.make(recipe.load(asked(made, against=str(made / "again")))).stages[1].fingerprint == against.stages[1].fingerprint
    remembered = plan.make(recipe.load(asked(made, remember=str(made / "new"))))
    assert remembered.stages[1].fingerprint == without.stages[1].fingerprint


def test_the_books_balance_and_why_names_the_document(made: Path) -> None:
    how = {"against": str(made / "index"), "remember": True}
    manifest = run(asked(made, **how))
    step = manifest["steps"][1]
    assert step["left"]["indexed"] == step["facts"]["indexed"] > 0 and step["left"]["duplicate"] > 0
    assert [f for f in check(made / "out") if f.level != "ok"] == []
    shown = CliRunner().invoke(app, ["dups", str(made / "out")]).output
    assert f"{step['left']['indexed']:,} rows left as duplicates of some that the index remembers" in shown and "stays: " in shown
    line = next(r for r in pq.read_table(made / "out" / "ledger").to_pylist() if r["reason"] == "indexed")
    told = text(story(made / "out", f"{line['__source__']}:{line['__position__']}"))
    assert "already in the index" in told and "day0.jsonl:" in told and "in index index" in told
    assert "already in the index" in (made / "out" / "report.html").read_text("utf-8")
    assert not list((made / "out" / "work").glob("*-runs-*")), "what led to it is cleared away"


def test_merging_is_refused_where_it_makes_no_sense(made: Path) -> None:
    dedup(made / "day1.jsonl", made / "x", remember=str(made / "other"), jaccard_threshold=0.8)
    with pytest.raises(StaleError, match=r"jaccard_threshold is 0.7 in .*index, 0.8 in .*other"):
        upkeep.merge(made / "index", [made / "other"])
    with pytest.raises(RecipeError, match="not merged with itself"):
        upkeep.merge(made / "index", [made / "index"])
    with pytest.raises(RecipeError, match="no index is there"):
        upkeep.merge(made / "index", [made / "nowhere"])
    dedup(made / "day0.jsonl", made / "y", remember=str(made / "twin"), **SIMILAR)
    with pytest.raises(RecipeError, match="both hold rows of day0.jsonl"):
        upkeep.merge(made / "index", [made / "twin"])
    assert layout.read(made / "index").documents == 50


def called(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["dedup-index", *map(str, words)], catch_exceptions=False)


def test_the_commands(made: Path) -> None:
    index = made / "cli"
    built = json.loads(called("build", index, made / "day0.jsonl", "--set", "jaccard_threshold=0.7", "--json").stdout)
    assert built["documents"] == 50 and built["left"]["duplicate"] == 50 - built["kept"]
    words = made / "day1.yaml"
    words.write_text(json.dumps(asked(made, out="yaml") | {"process": [{"text_length_filter": {"min_len": 1}}, {MINHASH: SIMILAR}]}))
    extended = json.loads(called("extend", index, words, "--json").stdout)
    assert extended["left"]["indexed"] > 0 and not extended["known"]
    assert extended | {"known": True} == json.loads(called("extend", index, words, "--json").stdout)
    assert f"{extended['documents']} documents known already" in " ".join(called("extend", index, words).stdout.split())
    assert "2 segment(s)" in called("show", index).stdout
    assert json.loads(called("compact", index, "--json").stdout)["segments"] == 1
    write(made / "day2.jsonl", corpus(8, 30))
    called("build", made / "cli2", made / "day2.jsonl")
    merged = json.loads(called("merge", index, made / "cli2", "--json").stdout)
    assert merged["documents"] == 50 + extended["documents"] + 30 and merged["batches"][2]["batch"] is None
    assert called("show", index, "--check").exit_code == 0
    assert sorted(p.name for p in made.glob("cli*")) == ["cli", "cli2"], "nothing of the building is left"
    segment = layout.folder_of(index, layout.read(index).segments[0])
    (segment / "keys.u64").write_bytes(b"12345678")
    (segment / "kept.u64").unlink()
    shown = called("show", index, "--check")
    assert shown.exit_code == 1 and "keys.u64 is not what was written" in shown.stdout and "kept.u64 is gone" in shown.stdout


def test_what_lies_where_rows_are_worked_on_is_not_removed(made: Path) -> None:
    precious = made / "new.building" / "precious.txt"
    for path in (precious, made / "new.building" / "work" / "precious.txt"):
        path.parent.mkdir(parents=True)
        path.write_text("years of work")
        with pytest.raises(RecipeError, match=r"new\.building, where .* no run has written that"):
            called("build", made / "new", made / "day0.jsonl")
        assert path.read_text() == "years of work" and not (made / "new").exists()
        shutil.rmtree(made / "new.building")
    precious.parent.write_text("a file")
    with pytest.raises(RecipeError, match=r"new\.building, where .* is a file"):
        called("build", made / "new", made / "day0.jsonl")
    with pytest.raises(RecipeError, match="a folder of its own"):
        called("build", "/", made / "day0.jsonl")


def test_an_index_in_the_folder_one_stands_in(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (made / "here").mkdir()
    monkeypatch.chdir(made / "here")
    assert "50 documents added" in " ".join(called("build", ".", made / "day0.jsonl").stdout.split())
    assert (made / "here" / "manifest.json").is_file() and not (made / "here.building").exists()


def test_a_recipe_with_several_steps_says_which(made: Path) -> None:
    words = made / "two.yaml"
    words.write_text(json.dumps(asked(made) | {"process": [{EXACT: {}}, {MINHASH: SIMILAR}]}))
    with pytest.raises(RecipeError, match=r"1 \(document_deduplicator\), 2 \(document_minhash_deduplicator\). Say it by --step N"):
        called("build", made / "new", words)
    assert json.loads(called("build", made / "new", words, "--step", "1", "--json").stdout)["documents"] == 30
    assert layout.read(made / "new").made.operator == EXACT
