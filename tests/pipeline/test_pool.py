"""A pool for life: what is new is taken once, against all that was taken; a crash at any moment costs nothing."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tamis.pipeline import pool
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.execute import Silent
from tamis.pipeline.formats import finding
from tamis.pipeline.run import run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"""
dataset_path: {tmp_path}/crawl
export_path: {tmp_path}/pool
np: 1
process:
  - text_length_filter: {{min_len: 4}}
  - document_deduplicator
""")
    arrive(tmp_path, "a.jsonl", "alpha", "beta", "no", "alpha")
    return path


def arrive(folder: Path, name: str, *texts: str) -> None:
    path = folder / "crawl" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))


def rows(folder: Path) -> list[str]:
    """The texts of the pool, batch by batch."""
    files = sorted((folder / "pool" / "batches").glob("*/data/*.parquet"))
    return [t for f in files for t in pq.read_table(f, partitioning=None).column("text").to_pylist()]


def test_each_refresh_takes_what_is_new_and_nothing_twice(recipe: Path, tmp_path: Path) -> None:
    assert [b["rows_out"] for b in pool.refresh(recipe)["batches"]] == [2]
    assert pool.refresh(recipe)["batches"] == []
    arrive(tmp_path, "sub/b.jsonl", "beta", "gamma")
    arrive(tmp_path, "c.jsonl", "gamma", "delta")
    told = pool.refresh(recipe)
    assert [(b["name"], b["files"], b["rows_in"], b["rows_out"]) for b in told["batches"]] == [("0002", 2, 4, 2)]
    assert (told["files"], told["rows_in"], told["rows_out"]) == (3, 8, 4)
    assert rows(tmp_path) == ["alpha", "beta", "gamma", "delta"], "kept first: c.jsonl comes before sub/b.jsonl"


def test_days_one_by_one_or_all_at_once_the_same_rows_stay(recipe: Path, tmp_path: Path, demo_corpus: Path) -> None:
    lines = demo_corpus.read_text("utf-8").splitlines(keepends=True)[:300]
    (tmp_path / "crawl" / "a.jsonl").unlink()
    for day in range(3):
        (tmp_path / "crawl" / f"{day}.jsonl").write_text("".join(lines[day * 100 : day * 100 + 100]), "utf-8")
        pool.refresh(recipe)
    whole = run(recipe, export_path=str(tmp_path / "whole"))
    kept = pq.read_table([tmp_path / "whole" / s["path"] for s in whole["shards"]], partitioning=None).column("text").to_pylist()
    assert rows(tmp_path) == kept


def test_only_files_that_look_different_are_read(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.refresh(recipe)
    read = []
    monkeypatch.setattr(pool, "digest_of", lambda url: read.append(Path(url).name) or finding.digest_of(url))
    arrive(tmp_path, "b.jsonl", "gamma")
    pool.refresh(recipe)
    assert read == ["b.jsonl"]
    os.utime(tmp_path / "crawl" / "a.jsonl")
    assert pool.refresh(recipe)["batches"] == [] and read == ["b.jsonl", "a.jsonl"], "touched: looked at, and known"
    assert pool.refresh(recipe)["batches"] == [] and len(read) == 2


def test_a_moved_copy_is_known_and_a_changed_file_is_new(recipe: Path, tmp_path: Path) -> None:
    pool.refresh(recipe)
    shutil.copy(tmp_path / "crawl" / "a.jsonl", tmp_path / "crawl" / "copy.jsonl")
    assert pool.refresh(recipe)["batches"] == []
    arrive(tmp_path, "a.jsonl", "alpha", "beta", "no", "alpha", "epsilon")
    assert [b["rows_out"] for b in pool.refresh(recipe)["batches"]] == [1], "its old rows leave for themselves"
    assert rows(tmp_path) == ["alpha", "beta", "epsilon"]


class Stops(Silent):
    """A run that dies at the end of a stage."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def end(self, stage: Any, record: Any, seconds: float, reused: bool) -> None:
        if stage.kind == self.kind:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["rows", "dedup", "export"])
def test_what_was_begun_is_finished_first_as_it_was_begun(recipe: Path, tmp_path: Path, kind: str) -> None:
    pool.refresh(recipe)
    arrive(tmp_path, "b.jsonl", "beta", "gamma")
    with pytest.raises(KeyboardInterrupt):
        pool.refresh(recipe, Stops(kind))
    arrive(tmp_path, "c.jsonl", "gamma", "delta")
    assert [(b["name"], b["rows_out"]) for b in pool.refresh(recipe)["batches"]] == [("0002", 1), ("0003", 1)]
    assert rows(tmp_path) == ["alpha", "beta", "gamma", "delta"]


def test_a_batch_done_and_not_entered_is_entered_once(recipe: Path, tmp_path: Path) -> None:
    batch = pool.begin(recipe)
    assert batch is not None and pool.begin(recipe) == batch
    with pytest.raises(StaleError, match="not finished"):
        pool.taken(batch)
    run(batch)
    assert pool.taken(batch) == pool.taken(batch)
    assert len(json.loads((tmp_path / "pool" / "pool.json").read_text())["batches"]) == 1 and pool.begin(recipe) is None


def test_a_crash_between_the_two_books_is_no_second_batch(recipe: Path, tmp_path: Path) -> None:
    batch = pool.begin(recipe)
    assert batch is not None
    pending = (tmp_path / "pool" / "pending.json").read_text()
    run(batch)
    line = pool.taken(batch)
    (tmp_path / "pool" / "pending.json").write_text(pending)  # as if killed before it was removed
    assert pool.taken(batch) == line and pool.refresh(recipe)["batches"] == []
    arrive(tmp_path, "b.jsonl", "gamma")
    (tmp_path / "pool" / "pending.json").write_text(pending)
    assert [b["name"] for b in pool.refresh(recipe)["batches"]] == ["0002"]


def test_two_new_files_of_one_content_are_one(recipe: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "crawl" / "a.jsonl", tmp_path / "crawl" / "b.jsonl")
    assert [b["files"] for b in pool.refresh(recipe)["batches"]] == [1]
    assert json.loads((tmp_path / "pool" / "pool.json").read_text())["files"]["b.jsonl"]["batch"] == "0001"


def test_a_file_that_goes_while_its_batch_is_begun(recipe: Path, tmp_path: Path) -> None:
    arrive(tmp_path, "b.jsonl", "gamma")
    with pytest.raises(KeyboardInterrupt):
        pool.refresh(recipe, Stops("rows"))
    (tmp_path / "crawl" / "b.jsonl").unlink()
    assert [b["rows_out"] for b in pool.refresh(recipe)["batches"]] == [2], "no index knew of it: begun anew"
    arrive(tmp_path, "c.jsonl", "delta")
    batch = pool.begin(recipe)
    assert batch is not None
    run(batch)
    (tmp_path / "crawl" / "c.jsonl").unlink()
    with pytest.raises(StaleError, match="c.jsonl is gone or has changed since: put it back"):
        pool.refresh(recipe)
    arrive(tmp_path, "c.jsonl", "delta")
    assert [b["name"] for b in pool.refresh(recipe)["batches"]] == ["0002"]


@pytest.mark.parametrize(("process", "told"), [
    ("[{text_length_filter: {min_len: 4}}]", "the recipe needs document_deduplicator or"),
    ("[{document_deduplicator: {remember: elsewhere}}]", "a pool keeps its own index"),
])
def test_a_recipe_that_makes_no_pool(recipe: Path, process: str, told: str) -> None:
    text = recipe.read_text()
    recipe.write_text(text[: text.index("process:")] + f"process: {process}\n")
    with pytest.raises(RecipeError, match=told):
        pool.refresh(recipe)


def test_a_folder_of_somebody_else_is_no_pool(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "thesis.txt").touch()
    with pytest.raises(RecipeError, match="no refresh has written"):
        pool.refresh(recipe)


def test_two_steps_with_an_index_have_one_each(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + "  - document_minhash_deduplicator\n")
    pool.refresh(recipe)
    assert sorted(p.name for p in (tmp_path / "pool").glob("index*")) == ["index-2", "index-3"]
    arrive(tmp_path, "b.jsonl", "beta", "gamma")
    assert [b["rows_out"] for b in pool.refresh(recipe)["batches"]] == [1]


def test_the_command(recipe: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["refresh", str(recipe)], env={"COLUMNS": "200"})
    assert told.exit_code == 0 and "batch 0001: 1 file, 4 -> 2 rows" in told.output
    assert "Nothing new. " in CliRunner().invoke(app, ["refresh", str(recipe)], env={"COLUMNS": "200"}).output


def test_only_files_names_what_is_there(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"only_files: nine.jsonl: no such file"):
        run(recipe, only_files=["nine.jsonl"], export_path=str(tmp_path / "x"))
