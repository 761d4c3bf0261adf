"""The books of a pool: whose they are, what they say after any number of refreshes, what is no batch, and what a batch's recipe is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import plan, pool, recipe
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.pool import Pool

PROCESS = ["document_deduplicator"]


def words(home: Path, **keys: Any) -> dict[str, Any]:
    return {"dataset_path": str(home / "in"), "export_path": str(home / "pool"), "np": 1, "process": PROCESS} | keys


def written(home: Path, **keys: Any) -> Path:
    (home / "in").mkdir(exist_ok=True)
    (home / "r.yaml").write_text(json.dumps(words(home, **keys)))
    return home / "r.yaml"


def arrive(home: Path, name: str, texts: list[str]) -> None:
    (home / "in" / name).write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))


DAYS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(st.sampled_from("uvwxyz"), max_size=4), max_size=3), min_size=1, max_size=4)


@settings(max_examples=4)
@given(DAYS)
def test_every_text_stays_once_however_the_days_bring_it(tmp_path_factory: pytest.TempPathFactory, days: list[dict[str, list[str]]]) -> None:
    """Files of new names each day: what the pool keeps, day by day, is what a set would."""
    home = tmp_path_factory.mktemp("pool")
    path, seen, read, files = written(home), set[str](), 0, 0
    contents: set[str] = set()
    for number, day in enumerate(days):
        fresh: list[str] = []
        for name, texts in sorted(day.items()):
            arrive(home, f"{number}-{name}.jsonl", texts)
            if texts and str(texts) not in contents:
                contents.add(str(texts))
                fresh += texts
                files += 1
        if not any(day.values()) and number == 0 and not day:
            arrive(home, "first.jsonl", fresh := ["u"])
            contents.add("['u']")
            files += 1
        told = pool.refresh(path)
        kept = {t for t in fresh if t not in seen}
        assert sum(b["rows_out"] for b in told["batches"]) == len(kept) and sum(b["rows_in"] for b in told["batches"]) == len(fresh)
        seen |= kept
        read += len(fresh)
        assert (told["rows_in"], told["rows_out"]) == (read, len(seen)) and len(told["batches"]) == (1 if fresh else 0)
        assert pool.refresh(path)["batches"] == []


def test_an_empty_file_is_no_batch_until_it_is_filled(tmp_path: Path) -> None:
    path = written(tmp_path)
    arrive(tmp_path, "a.jsonl", ["u"])
    arrive(tmp_path, "b.jsonl", [])
    assert [b["files"] for b in pool.refresh(path)["batches"]] == [1]
    assert pool.begin(path) is None and not (tmp_path / "pool" / "pending.json").exists()
    arrive(tmp_path, "b.jsonl", ["v"])
    assert [b["rows_out"] for b in pool.refresh(path)["batches"]] == [1]


@pytest.mark.parametrize(("keys", "told"), [
    ({"export_path": "x.jsonl"}, "a pool needs a folder as export_path, and no work_dir"), ({"work_dir": "w"}, "a pool needs a folder"),
    ({"process": [{"document_minhash_deduplicator": {"against": "i"}}]}, r"step 1 \(document_minhash_deduplicator\): a pool keeps its own index"),
    ({"process": ["document_simhash_deduplicator"]}, "the recipe needs document_deduplicator or"), ({"process": ["nonsense"]}, "unknown operator"),
])
def test_what_makes_no_pool_is_told_and_nothing_is_written(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    path = written(tmp_path, **keys)
    arrive(tmp_path, "a.jsonl", ["u"])
    with pytest.raises(RecipeError, match=told):
        pool.refresh(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "r.yaml"]


def test_books_of_another_format_or_none_are_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path)
    arrive(tmp_path, "a.jsonl", ["u"])
    pool.refresh(path)
    books = tmp_path / "pool" / "pool.json"
    whole = books.read_text()
    for text, told in ((json.dumps(json.loads(whole) | {"format": 9}), r"pool\.json is of format 9, this tamis writes 1"), ("{", "damaged"), ("[]", "damaged")):
        books.write_text(text)
        with pytest.raises(StaleError, match=told):
            pool.refresh(path)
        assert books.read_text() == text
    books.write_text(whole)
    assert pool.refresh(path)["batches"] == []


def test_a_batch_s_recipe_stands_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder: its paths are whole, its files are named, its steps know the pool's index."""
    path = written(tmp_path, dataset_path="in", export_path="pool", guards={"max_drop": 1.0})
    arrive(tmp_path, "b.jsonl", ["v"])
    arrive(tmp_path, "a.jsonl", ["u"])
    monkeypatch.chdir(tmp_path)
    first = pool.begin("r.yaml", seed=5)
    assert first is not None and first == Path("pool/batches/0001/batch.yaml")
    monkeypatch.chdir("/")
    asked = recipe.load(tmp_path / first)
    assert (asked.only_files, asked.seed, asked.dataset_path, asked.guards) == (("a.jsonl", "b.jsonl"), 5, (str(tmp_path / "in"),), {"max_drop": 1.0})
    assert asked.process[0].extra["remember"] == str(tmp_path / "pool" / "index") and not asked.process[0].extra["against"]
    assert [s.source for s in plan.make(asked).sources] == ["a.jsonl", "b.jsonl"]
    monkeypatch.chdir(tmp_path)
    told = pool.refresh(path)
    assert told["batches"][0]["files"] == 2 and Pool.of(recipe.load(path)).told()["files"]["a.jsonl"]["batch"] == "0001"
    arrive(tmp_path, "c.jsonl", ["w"])
    second = pool.begin(path)
    assert second is not None
    known = recipe.load(second).process[0].extra
    assert (known["against"], known["remember"]) == (str(tmp_path / "pool" / "index"), True)


def test_totals_are_sums() -> None:
    batches = [{"rows_in": 5, "rows_out": 3}, {"rows_in": 2, "rows_out": 0}]
    assert pool.totals({"files": {"a": 1, "b": 2}, "batches": batches}) == {"files": 2, "rows_in": 7, "rows_out": 3}
    assert pool.totals({"files": {}, "batches": []}) == {"files": 0, "rows_in": 0, "rows_out": 0}
