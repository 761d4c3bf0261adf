"""Semantic deduplication and pruning in a recipe: what the ledger, `why`, `dups` and `verify` tell; resume; workers and batches."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("faiss")
from tamis.pipeline import dups, why
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import run
from tamis.pipeline.stages import select
from tamis.pipeline.stages.outcome import CHAINED
from tamis.pipeline.verify import check

EACH, FILES = 40, 3
SEMANTIC = {"semantic_deduplicator": {"eps": 0.05, "k": 4, "quality_key": "q"}}
PRUNING = {"cluster_pruning_selector": {"select_num": 60, "k": 4, "quality_key": "q"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 rows of their own; 30 are copies of the row that lies 60 before them; a chain of three; the copies are worse."""
    folder, rng = tmp_path_factory.mktemp("semantic"), np.random.default_rng(0)
    points = rng.normal(size=(FILES * EACH, 12))
    points[90:] = points[30:60] + 0.02 * rng.normal(size=(30, 12))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    side = rng.normal(size=12)
    side -= (side @ points[0]) * points[0]
    side /= np.linalg.norm(side)
    for i, angle in enumerate((0.0, 0.28, 0.56)):  # cosines 0.961 from one to the next, 0.847 from end to end
        points[i] = np.cos(angle) * points[0] + np.sin(angle) * side
    rows = [{"text": f"row number {i} of the pool", "v": points[i].tolist(), "q": 200 - i, "w": i % 7} for i in range(len(points))]
    for i in range(FILES):
        pq.write_table(pa.Table.from_pylist(rows[i * EACH : (i + 1) * EACH]), folder / f"{i}.parquet", row_group_size=9)
    return folder


def asked(data: Path, out: Path, step: Any, **keys: Any) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(out), "np": 1, "seed": 5, "process": [{"text_embedding_mapper": {"vector_key": "v"}}, step], **keys}


def place(row: dict[str, Any]) -> int:
    return int(row[SOURCE][0]) * EACH + row[POSITION]


def books(out: Path) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """The ledger's lines, in the order of the data, and of each id its row."""
    gone, kept = (pq.read_table(out / kind).to_pylist() for kind in ("ledger", "kept"))
    return sorted(gone, key=place), {r[ID]: place(r) for r in gone + kept}


@pytest.fixture(scope="module")
def done(data: Path) -> Path:
    run(asked(data, data.with_name("done"), SEMANTIC))
    return data.with_name("done")


def test_the_ledger_names_the_row_that_stays_and_how_alike_the_two_are(done: Path) -> None:
    gone, row = books(done)
    assert [place(r) for r in gone] == [1, 2, *range(90, 120)]
    assert [row[r["kept_id"]] for r in gone] == [0, 0, *range(30, 60)]
    assert {(r["reason"], r["stat"], r["bound"], r["op"]) for r in gone} == {("duplicate", "similarity", "cosine > 0.95", "semantic_deduplicator")}
    assert [r["note"] for r in gone[:2]] == [None, CHAINED] and not any(r["note"] for r in gone[2:])
    assert gone[0]["value"] == pytest.approx(np.cos(0.28), abs=1e-3) and gone[1]["value"] == pytest.approx(np.cos(0.56), abs=1e-3)
    assert all(r["value"] > 0.99 for r in gone[2:])
    manifest = json.loads((done / "manifest.json").read_text())
    assert manifest["steps"][-1]["left"] == {"duplicate": 32} and manifest["steps"][-1]["facts"]["duplicates"] == 32
    assert {f.level for f in check(done)} == {"ok"}
    assert "cosine" in (done / "report.html").read_text()


def test_why_and_dups_tell_it(done: Path) -> None:
    left = why.text(why.story(done, "2.parquet#20"))
    assert "left      duplicate of 0.parquet:39, similarity 1.000" in left and "(cosine > 0.95)" in left
    stays = why.story(done, "0.parquet#1")
    assert stays.events[-1].verdict == "chosen" and "2 rows left for its sake" in stays.events[-1].told
    assert [r.where for r in stays.events[-1].relatives] == ["0.parquet:1", "0.parquet:2"]
    assert "left for its sake" not in why.text(why.story(done, "0.parquet#9"))
    found = dups.clusters(done, limit=40)
    assert Counter(c.size for c in found) == {2: 30, 3: 1} and {c.op for c in found} == {"semantic_deduplicator"}
    assert found[0].members[0].note == CHAINED


def test_pruning_names_the_pick_most_like_each_row_that_leaves(data: Path, tmp_path: Path) -> None:
    told = run(asked(data, tmp_path / "out", PRUNING))
    gone, _ = books(tmp_path / "out")
    assert told["rows_out"] == 60 == 120 - len(gone) and told["steps"][-1]["facts"]["left"] == 0
    copies = [r for r in gone if place(r) >= 90]
    assert len(copies) == 30, "copies leave before anything else does"
    reasons = Counter(r["reason"] for r in gone)
    assert reasons["duplicate"] >= 20 and reasons["not_selected"] >= 28
    for r in gone:
        assert r["bound"] == ("cosine > 0.95" if r["reason"] == "duplicate" else "budget 60")
        assert (r["kept_id"] is None) == (r["value"] is None) and (r["kept_id"] is None or r["stat"] == "similarity")
    away = next(r for r in gone if r["reason"] == "not_selected" and r["kept_id"] is not None)
    story = why.text(why.story(tmp_path / "out", f"{away[ID]}"))
    assert "not selected: cluster" in story and f"similarity {away['value']:.3f} (budget 60)" in story and "most like" in story
    assert {f.level for f in check(tmp_path / "out")} == {"ok"}


@pytest.mark.parametrize("step", [SEMANTIC, PRUNING, {"semantic_deduplicator": {"eps": None, "select_num": 50}},
                                  {"ccs_selector": {"quality_key": "q", "select_num": 50}},
                                  {"adapt_selector": {"score_keys": ["q", "w"], "select_num": 50}}], ids=lambda s: next(iter(s)))
def test_neither_batches_nor_parts_nor_workers_change_a_choice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Any,
) -> None:
    from tamis.pipeline.formats import splits

    first = run(asked(data, tmp_path / "a", step))
    monkeypatch.setattr(splits, "SMALLEST", 1)
    second = run(asked(data, tmp_path / "b", step, batch_rows=5, np=2))
    assert len(list((tmp_path / "b" / "work").glob("01-*/done/*"))) > FILES, "the files were cut"
    assert first["content_hash"] == second["content_hash"] and books(tmp_path / "a") == books(tmp_path / "b")


def test_a_run_that_broke_off_goes_on_and_ends_the_same(
    data: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken off when the choice is made and the ledger is not: the choice is not made again."""
    class BrokenOffError(Exception):
        pass

    def breaks(self: Any, part: int) -> Any:
        if part == 1:
            raise BrokenOffError
        return whole(self, part)

    whole, calls = select.LedgerTask.__call__, []
    with monkeypatch.context() as patched:
        patched.setattr(select.LedgerTask, "__call__", breaks)
        with pytest.raises(BrokenOffError):
            run(asked(data, tmp_path / "out", SEMANTIC))
    choose = select._choose
    monkeypatch.setattr(select, "_choose", lambda *given: calls.append(given) or choose(*given))
    told = run(asked(data, tmp_path / "out", SEMANTIC))
    assert not calls and told["content_hash"] == json.loads((done / "manifest.json").read_text())["content_hash"]
    assert books(tmp_path / "out") == books(done)
    shutil.rmtree(next((tmp_path / "out" / "work").glob("*-select-*")))
    assert run(asked(data, tmp_path / "out", SEMANTIC))["content_hash"] == told["content_hash"] and len(calls) == 1


@pytest.mark.parametrize(("step", "words"), [
    ({"semantic_deduplicator": {"eps": None}}, "how much shall be selected"), ({"cluster_pruning_selector": {}}, "how much shall be selected"),
    ({"ccs_selector": {"select_num": 3}}, "give quality_key"),
    ({"adapt_selector": {"select_num": 3, "score_keys": ["q", "ppl"]}}, "score_keys 'ppl' is neither a numeric column"), ({"semantic_deduplicator": {"linked": "chains"}}, "one of components, better"),
])
def test_what_cannot_be_done_is_refused_before_anything_is_read(data: Path, tmp_path: Path, step: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        run(asked(data, tmp_path / "out", step))


def test_without_vectors_there_is_nothing_to_compare(data: Path, tmp_path: Path) -> None:
    told = asked(data, tmp_path / "out", SEMANTIC)
    with pytest.raises(RecipeError, match="put a text_embedding_mapper step before it"):
        run({**told, "process": told["process"][1:]})
