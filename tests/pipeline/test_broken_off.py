"""A run broken off between any two of its writes, again and again, comes to the end that an undisturbed one comes to."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from static_model import make

pytest.importorskip("faiss")
pytest.importorskip("tokenizers")
from tamis.pipeline import execute
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.run import run
from tamis.pipeline.verify import check

WORDS = ["river", "stone", "bridge", "market", "letter", "window", "garden", "winter", "copper", "basket", "signal", "harvest"]


class Broken(BaseException):
    """What no `except` of ours catches."""


class Elsewhere(LocalEngine):
    """As if the workers were on other machines: tables go from part to part, and each shard is written by a task of its own."""

    remote = True


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows with a menu line, copies, near copies, short ones, a null and one that is only menu."""
    chance, made = random.Random(seed), []
    for i in range(count):
        text = " ".join(chance.choices(WORDS, k=chance.randint(12, 30)))
        text = {0: "too short", 1: made[i // 2]["text"] if i else text, 2: f"{made[i // 2]['text']} {chance.choice(WORDS)}" if i else text}.get(
            i % 9, text)
        made.append({"n": i, "kind": i % 4, "text": text if text is None or text.startswith("Menu") else f"Menu | Home\n{text}"})
    made[5]["text"], made[7]["text"] = "\n".join(["Menu | Home"] * 3), None
    return made


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "data").mkdir()
    for i in range(3):
        lines = [json.dumps(r) for r in rows(30, i)]
        lines[4:4] = ["{this is no JSON"] if i == 1 else []
        (folder / "data" / f"{i}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    process = [
        "whitespace_normalization_mapper", {"text_length_filter": {"min_len": 25}},
        {"document_line_deduplicator": {"frequency_threshold": 20}},
        {"document_deduplicator": {"keep": "longest"}}, {"document_minhash_deduplicator": {"jaccard_threshold": 0.6, "window_size": 2}},
        {"text_embedding_mapper": {"model": str(make(folder / "model", WORDS))}},
        {"kmeans_diversity_selector": {"k": 4, "select_num": 30, "quality_key": "text_len"}},
        {"words_num_filter": {"min_num": 13}}, {"key_value_grouper": {"group_by_keys": ["kind"]}}, "naive_reverse_grouper",
    ]
    return {"dataset_path": str(folder / "data"), "np": 1, "batch_rows": 16, "on_error": {"set_aside": 3}, "export_shard_size": 1500,
            "seed": 7, "process": process}


def all_of_it(out: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """All that a user can see of a run, but how long it took."""
    told = {k: manifest[k] for k in ("content_hash", "rows_in", "rows_out", "steps", "shards", "stages")}
    tables = {kind: pq.read_table(out / kind).to_pylist() for kind in ("kept", "ledger")}
    shards = {s["path"]: (out / s["path"]).read_bytes() for s in manifest["shards"]}
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    return {"told": told, "shards": shards, "names": names, **tables}


@pytest.fixture(scope="module")
def undisturbed(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return all_of_it(out, run(asked | {"export_path": str(out)}))


def test_every_kind_of_stage_sends_something_away(undisturbed: dict[str, Any]) -> None:
    reasons = {(r["step"], r["reason"]) for r in undisturbed["ledger"]}
    assert reasons == {(0, "error"), (0, "null_text"), (2, "below_min"), (3, "emptied"), (4, "duplicate"), (5, "duplicate"),
                       (7, "not_selected"), (8, "below_min"), (9, "grouped")}
    assert len(undisturbed["shards"]) > 1


class Breaking:
    """Counts files that get their name, and raises once so many have: before the last of them has it, or right after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.before, real = 0, False, Path.replace

        def counted(path: Path, target: Path) -> Path:
            self.left -= 1
            if self.left < 0 and self.before:
                raise Broken(str(target))
            answer = real(path, target)
            if self.left < 0:
                raise Broken(str(target))
            return answer

        monkeypatch.setattr(Path, "replace", counted)


@pytest.mark.parametrize(("engine", "before"), [(LocalEngine, False), (Elsewhere, True)], ids=["here", "elsewhere"])
def test_broken_off_after_more_and_more_writes(
    asked: dict[str, Any], undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: type[LocalEngine], before: bool
) -> None:
    """Each attempt goes on from what the last one left, and does no finished stage again."""
    out, finished, attempts = tmp_path / "out", dict[str, int](), 0
    monkeypatch.setattr(execute, "engine_for", lambda asked: engine(1))
    breaking = Breaking(monkeypatch)
    while True:
        attempts += 1
        breaking.left, breaking.before = 2 + attempts // 2, before
        try:
            manifest = run(asked | {"export_path": str(out)})
        except Broken as e:
            there = out / "manifest.json"
            assert not there.exists() or str(there) == str(e), "a manifest is written last"
        done = {p.parent.name: p.stat().st_mtime_ns for p in (out / "work").glob("*/done.json")}
        assert {k: done.get(k) for k in finished} == finished, "a finished stage was done again"
        finished = done
        if breaking.left >= 0:
            break
    assert attempts > 8
    monkeypatch.undo()
    found = all_of_it(out, manifest)
    for what in ("told", "shards", "kept", "ledger"):
        assert found[what] == undisturbed[what], what
    assert not [n for n in found["names"] if n.endswith(".tmp")]
    if engine is LocalEngine:
        assert found["names"] == undisturbed["names"], "nothing else lies about"
    assert {f.level for f in check(out)} == {"ok"}
