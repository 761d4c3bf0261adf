"""The three laws over the other kinds of deduplication: SimHash, addresses, lines, spans."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_laws import killed_in, start

from tamis.pipeline import plan, recipe
from tamis.pipeline.execute import Silent, execute
from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import run
from tamis.pipeline.stages import candidates, trim
from tamis.pipeline.verify import check
from tamis.pipeline.why import story, text

PROCESS: list[dict[str, Any]] = [
    {"whitespace_normalization_mapper": {}},
    {"document_url_deduplicator": {}},
    {"document_line_deduplicator": {"frequency_threshold": 20, "keep_first": True}},
    {"document_simhash_deduplicator": {"hamming_distance": 6, "num_blocks": 8}},
    {"exact_substring_deduplicator": {"min_tokens": 12}},
    {"text_length_filter": {"min_len": 20}},
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """240 documents in three files with addresses, boilerplate and one span planted into some, some nothing but boilerplate."""
    folder, draw = tmp_path_factory.mktemp("kinds"), random.Random(5)
    rows = [json.loads(line) for line in demo_corpus.read_text("utf-8").splitlines()]
    draw.shuffle(rows)
    span = " ".join(f"planted{i}" for i in range(20))
    for i in range(3):
        told = []
        for k, row in enumerate(rows[i * 80 : i * 80 + 80]):
            body = row["text"] if k % 10 else ""
            if k % 10 == 5:
                body = rows[i * 80 + k - 1]["text"] + " and so on"
            body = f"Menu | Home | About\n{body}{' ' + span if k % 7 == 1 else ''}\nAll rights reserved"
            told.append({"text": body, "url": f"https://A.org/{(i * 80 + k) % 200}/?utm_source={k}"})
        (folder / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in told), "utf-8")
    return folder


def words(data: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(out), "np": 1, "process": PROCESS, **more}


def outcome(out: Path) -> tuple[Any, ...]:
    ledger = sorted(pq.read_table(out / "ledger").to_pylist(), key=lambda r: (r[ID], r["step"]))
    stats = [sorted(map(str, (r for f in sorted(folder.glob("stats/*")) for r in pq.read_table(f).to_pylist())))
             for folder in sorted((out / "work").glob("*-trim-*"))]
    return ledger, stats, json.loads((out / "manifest.json").read_text())["content_hash"]


@pytest.fixture(scope="module")
def undisturbed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(words(small, out))
    return out


def test_conservation_and_every_kind_takes_something(undisturbed: Path) -> None:
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    steps = {s["op"]: s for s in manifest["steps"]}
    assert manifest["rows_in"] == manifest["rows_out"] + manifest["rows_left"] == 240
    assert steps["document_url_deduplicator"]["left"] == {"duplicate": 40}
    assert steps["document_line_deduplicator"]["left"]["emptied"] > 5
    assert steps["document_line_deduplicator"]["facts"]["frequent"] >= 2
    assert steps["exact_substring_deduplicator"]["facts"]["removed_spans"] > 10
    assert steps["document_simhash_deduplicator"]["left"]["duplicate"] > 0
    assert all(f.level == "ok" for f in check(undisturbed))


def test_first_copies_stay_and_the_story_tells_what_went(undisturbed: Path) -> None:
    left = "\n".join(r["text"] for f in sorted((undisturbed / "data").iterdir()) for r in pq.read_table(f).to_pylist())
    assert left.count("Menu | Home | About") == 1 and left.count("planted10") == 1
    gone = next(r for r in pq.read_table(undisturbed / "ledger").to_pylist() if r["reason"] == "emptied" and "line" in r["op"])
    assert gone["note"].endswith("nothing is left") and gone["excerpt"].startswith("Menu") and gone["value"] > 20
    kept = pq.read_table(undisturbed / "kept").to_pylist()[5]
    told = text(story(undisturbed, f"{kept['__source__']}:{kept['__position__']}"))
    assert "trimmed" in told and "removed_lines 2" in told
    assert "nothing left" in text(story(undisturbed, f"{gone['__source__']}:{gone['__position__']}"))


@pytest.mark.parametrize("changed", [{"np": 2}, {"batch_rows": 1}, {"batch_rows": 7, "np": 2}], ids=str)
def test_invariance_of_workers_and_batches(small: Path, undisturbed: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    run(words(small, tmp_path / "out", **changed))
    assert outcome(tmp_path / "out") == outcome(undisturbed)


def test_invariance_of_splits_pieces_ranges_and_slices(
    small: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "SMALLEST", 4096)
    monkeypatch.setattr(trim, "UNITS", 500)
    monkeypatch.setattr(trim, "TEXT", 3000)
    monkeypatch.setattr(candidates, "MEMORY", 64 * 300)
    run(words(small, tmp_path / "out"))
    folder = next((tmp_path / "out" / "work").glob("*-trim-*"))
    assert len(list(folder.glob("frequent/*"))) > 3 and len(list(folder.glob("ledger/*"))) > 10
    assert outcome(tmp_path / "out") == outcome(undisturbed)


class KilledError(Exception):
    """Stands for kill -9: nothing after it is done."""


@pytest.mark.parametrize("calls", [1, 2, 4, 6])
def test_resume_wherever_the_trimming_breaks_off(
    small: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    made: list[int] = []
    for task in (trim.CountTask, trim.MergeTask, trim.TrimTask):
        def broken(self: Any, number: int, whole: Any = task.__call__) -> Any:
            made.append(number)
            if len(made) > calls:
                raise KilledError
            return whole(self, number)

        monkeypatch.setattr(task, "__call__", broken)
    planned = plan.make(recipe.load(words(small, tmp_path / "out")))
    with pytest.raises(KilledError):
        execute(planned, Silent())
    monkeypatch.undo()
    run(words(small, tmp_path / "out"))
    assert outcome(tmp_path / "out") == outcome(undisturbed)
    assert not list((tmp_path / "out" / "work").glob("*-trim-*/counts/*"))


@pytest.mark.slow
def test_the_same_on_spark(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    run(words(small, tmp_path / "out", engine="spark", spark_master="local[2]"))
    assert outcome(tmp_path / "out") == outcome(undisturbed)


@pytest.mark.slow
def test_resume_after_kill_9_while_lines_and_spans_are_counted_merged_and_cut(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    """One run is killed three times, by the group, while it trims; what comes out is what the undisturbed run made."""
    out, file = tmp_path / "out", tmp_path / "recipe.yaml"
    file.write_text(json.dumps(words(small, out, np=2)))
    for made in ("03-trim-*/stats/*", "05-trim-*/counts/*", "05-trim-*/frequent/*"):
        killed_in(file, out / "work", made)
        stage = next((out / "work").glob(made.split("/", 1)[0]))
        assert not (stage / "done.json").exists(), "it was not killed in the stage"
    assert start(file).wait(timeout=120) == 0
    assert outcome(out) == outcome(undisturbed) and all(f.level == "ok" for f in check(out))
    assert not list((out / "work").rglob("*.tmp")) and not list((out / "work").glob("*/counts"))


ORDERED: list[dict[str, Any]] = [
    {"document_deduplicator": {"lowercase": True}}, {"document_url_deduplicator": {}}, {"document_simhash_deduplicator": {}},
    {"document_minhash_deduplicator": {"window_size": 3, "jaccard_threshold": 0.6}},
    {"document_minhash_deduplicator": {"tokenization": "datatrove", "verify": False}},
    {"document_line_deduplicator": {"frequency_threshold": 20}},
    {"exact_substring_deduplicator": {"min_tokens": 12, "keep_first": False}},
]


@pytest.mark.parametrize("step", ORDERED, ids=lambda step: "-".join([*step, *map(str, next(iter(step.values())).values())]))
def test_the_order_of_the_rows_changes_no_cluster_and_no_cut(small: Path, tmp_path: Path, step: dict[str, Any]) -> None:
    """Only which row of a cluster is the first, and so stays; of what is trimmed everywhere, not even that."""
    rows = [json.loads(line) for file in sorted(small.glob("*.jsonl")) for line in file.open()]
    found = []
    for seed in (0, 1):
        told = [{**row, "n": n} for n, row in enumerate(rows)]
        random.Random(seed).shuffle(told)
        out, data = tmp_path / f"out{seed}", tmp_path / f"{seed}.jsonl"
        data.write_text("".join(json.dumps(r) + "\n" for r in (told if seed else sorted(told, key=lambda r: r["n"]))), "utf-8")
        run({"dataset_path": str(data), "export_path": str(out), "np": 1 + seed % 2, "process": [step]})
        left = {r["n"]: r["text"] for f in (out / "data").iterdir() for r in pq.read_table(f).to_pylist()}
        clusters = next(iter(out.glob("work/02-dedup-*/clusters.parquet")), None)
        if clusters is None:
            found.append(left)
            continue
        number = {r[ID]: r["n"] for f in out.glob("work/01-rows-*/rows/*") for r in pq.read_table(f, columns=[ID, "n"]).to_pylist()}
        together: dict[int, set[int]] = {}
        for r in pq.read_table(clusters).to_pylist():
            together.setdefault(r["cluster"], set()).add(number[r[ID]])
        assert len(rows) - len(left) == sum(len(c) - 1 for c in together.values()) > 0
        found.append(sorted(map(sorted, together.values())))
    assert found[0] == found[1]
