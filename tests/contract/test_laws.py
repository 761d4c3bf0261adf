"""The three laws, over the whole path and real text: conservation, invariance, resume."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import run
from tamis.pipeline.verify import check

PROCESS: list[dict[str, Any]] = [
    {"fix_unicode_mapper": {}},
    {"whitespace_normalization_mapper": {}},
    {"text_length_filter": {"min_len": 200}},
    {"alphanumeric_filter": {"min_ratio": 0.6}},
    {"character_repetition_filter": {"max_ratio": 0.3}},
    {"document_deduplicator": {"lowercase": True}},
    {"document_minhash_deduplicator": {}},
    {"words_num_filter": {"min_num": 5}},
    {"text_embedding_mapper": {"max_tokens": 16}},
    {"kmeans_diversity_selector": {"k": 8, "select_num": 60, "quality_key": "alnum_ratio"}},
]
NARROW = PROCESS[:8]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """300 documents in three files, shuffled, with broken lines and a null text."""
    folder = tmp_path_factory.mktemp("small")
    lines = demo_corpus.read_text("utf-8").splitlines()
    random.Random(3).shuffle(lines)
    for i in range(3):
        chunk = lines[i * 100 : (i + 1) * 100]
        if i == 1:
            chunk[10:10] = ['{"id": "broken", "text": "no end', '{"id": "nothing", "text": null}']
        (folder / f"{i}.jsonl").write_text("\n".join(chunk) + "\n", "utf-8")
    return folder


def words(data: Path, out: Path, process: list[dict[str, Any]] = NARROW, **more: Any) -> dict[str, Any]:
    return {"project_name": "laws", "dataset_path": str(data), "export_path": str(out), "on_error": {"set_aside": 5}, "np": 1,
            "seed": 3, "process": process, **more}


def ledger(out: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(out / "ledger").to_pylist()
    return sorted(rows, key=lambda r: (r[ID], r["step"]))


def test_conservation_at_every_step(small: Path, tmp_path: Path) -> None:
    manifest = run(words(small, tmp_path / "out"))
    assert manifest["rows_in"] == 302
    rows = manifest["rows_in"]
    for step in manifest["steps"]:
        assert step["rows_in"] == rows
        rows -= sum(step["left"].values())
        assert step["rows_out"] == rows
    assert rows == manifest["rows_out"]
    gone = [r[ID] for r in ledger(tmp_path / "out")]
    kept = pq.read_table(tmp_path / "out" / "kept").column(ID).to_pylist()
    assert len(set(gone) | set(kept)) == len(gone) + len(kept) == 302
    assert manifest["steps"][0]["left"] == {"error": 1, "null_text": 1}
    assert all(f.level == "ok" for f in check(tmp_path / "out"))


@pytest.mark.parametrize("changed", [{"np": 4}, {"batch_rows": 1}, {"batch_rows": 7, "np": 2}, {"batch_rows": 100_000}], ids=str)
def test_invariance_of_workers_and_batches(small: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    first = run(words(small, tmp_path / "a"))
    second = run(words(small, tmp_path / "b", **changed))
    assert second["content_hash"] == first["content_hash"]
    assert ledger(tmp_path / "b") == ledger(tmp_path / "a")
    assert [s["digest"] for s in second["shards"]] == [s["digest"] for s in first["shards"]]


def test_invariance_of_splits(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(words(small, tmp_path / "a"))
    monkeypatch.setattr(splits, "SMALLEST", 4096)
    second = run(words(small, tmp_path / "b"))
    folders = list((tmp_path / "b" / "work").glob("01-rows-*/ledger/*"))
    assert len(folders) > 10, "the files were not cut"
    assert second["content_hash"] == first["content_hash"]
    assert ledger(tmp_path / "b") == ledger(tmp_path / "a")


def test_the_order_of_files_changes_nothing_but_which_copy_is_first(small: Path, tmp_path: Path) -> None:
    process = [p for p in NARROW if "dedup" not in next(iter(p))]
    first = run(words(small, tmp_path / "a", process))
    turned = tmp_path / "turned"
    turned.mkdir()
    for i in range(3):  # the same rows under the same names, in the opposite order of lines
        lines = (small / f"{i}.jsonl").read_text("utf-8").splitlines()
        (turned / f"{i}.jsonl").write_text("\n".join(reversed(lines)) + "\n", "utf-8")
    second = run(words(turned, tmp_path / "b", process))
    texts = [sorted(r["text"] for r in pq.read_table(tmp_path / x / "data").to_pylist()) for x in "ab"]
    assert texts[0] == texts[1] and second["rows_out"] == first["rows_out"]


def test_moving_the_data_changes_nothing(small: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    for file in small.glob("*.jsonl"):
        (moved / file.name).write_bytes(file.read_bytes())
    first, second = run(words(small, tmp_path / "a")), run(words(moved, tmp_path / "b"))
    assert first["stages"] == second["stages"] and first["content_hash"] == second["content_hash"]


def start(recipe: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tamis", "run", str(recipe)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "120"},
    )


def killed_in(recipe: Path, work: Path, pattern: str) -> None:
    """Start a run and kill -9 it as soon as a file matching `pattern` is seen in the workspace."""
    process = start(recipe)
    deadline = time.monotonic() + 120
    while not any(work.glob(pattern)):
        assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
        assert time.monotonic() < deadline, f"{pattern} never came"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_resume_after_kill_9_in_every_stage(small: Path, tmp_path: Path) -> None:
    """One run is killed in each of its stages in turn; what comes out is what an undisturbed run makes."""
    undisturbed = run(words(small, tmp_path / "a", PROCESS))
    out = tmp_path / "b"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(words(small, out, PROCESS, np=2)))
    done_before: dict[str, int] = {}
    for stage in ("01-rows", "02-dedup", "03-dedup", "04-rows", "05-embed", "06-select", "07-export"):
        killed_in(recipe, out / "work", f"{stage}-*/**/*")
        finished = {p.parent.name: p.stat().st_mtime_ns for p in (out / "work").glob("*/done.json")}
        assert {k: finished.get(k) for k in done_before} == done_before, "a finished stage was done again"
        done_before = finished
        assert not (out / "manifest.json").exists()
    last = start(recipe)
    assert last.wait(timeout=120) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["content_hash"] == undisturbed["content_hash"]
    assert ledger(out) == ledger(tmp_path / "a")
    reused = [t["stage"] for t in manifest["timing"] if t["reused"]]
    assert set(reused) >= set(range(1, len(done_before) + 1))
    assert all(f.level == "ok" for f in check(out))
    assert not list((out / "work").rglob("*.tmp"))


def test_no_worker_outlives_a_killed_run(small: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(words(small, out, np=2)))
    process = start(recipe)
    deadline = time.monotonic() + 60
    while not any((out / "work").glob("01-rows-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # the parent alone
    process.wait()
    while time.monotonic() < deadline:
        left = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True).stdout.split()
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"workers {left} live on")


def test_a_second_run_repeats_nothing_and_a_changed_threshold_repeats_only_what_follows(small: Path, tmp_path: Path) -> None:
    first = run(words(small, tmp_path / "out"))
    second = run(words(small, tmp_path / "out"))
    assert all(t["reused"] for t in second["timing"]) and second["content_hash"] == first["content_hash"]
    changed = [*NARROW[:-1], {"words_num_filter": {"min_num": 50}}]
    third = run(words(small, tmp_path / "out", changed))
    assert [t["reused"] for t in third["timing"]] == [True, True, True, False, False]


def test_two_runs_cannot_share_a_workspace(small: Path, tmp_path: Path) -> None:
    from tamis.pipeline.errors import StaleError
    from tamis.pipeline.workspace import Workspace

    with Workspace(tmp_path / "out" / "work").lock(), pytest.raises(StaleError, match="another run is writing"):
        run(words(small, tmp_path / "out"))
