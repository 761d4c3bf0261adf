"""The contract: local with one worker and with four, Spark with 1, 3 and 17 partitions: same ids, same ledger, same content hash."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import run
from tamis.pipeline.verify import check

pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEMO = yaml.safe_load((ROOT / "recipes" / "demo.yaml").read_text("utf-8"))["process"]


def of_demo(step: Any) -> Any:
    """The demo's own steps, but fewer rows chosen from fewer, and their beginnings embedded."""
    (name, told), = step.items() if isinstance(step, dict) else ((step, {}),)
    told = {"text_embedding_mapper": {"max_tokens": 8}, "kmeans_diversity_selector": {"k": 8, "select_num": 40}}.get(name, {}) | {
        k: v for k, v in told.items() if k not in ("k", "select_num")}
    return {name: told}


SUITES: dict[str, list[Any]] = {
    "demo": [of_demo(s) for s in DEMO],
    "duplicates": [
        {"document_url_deduplicator": {}}, {"document_line_deduplicator": {"frequency_threshold": 20, "keep_first": True}},
        {"document_simhash_deduplicator": {"hamming_distance": 6, "num_blocks": 8}},
        {"document_minhash_deduplicator": {"verify": False, "window_size": 3}},
        {"exact_substring_deduplicator": {"min_tokens": 12}}, {"document_minhash_deduplicator": {"keep": "longest"}},
    ],
    "cleaning": [
        {"clean_html_mapper": {}}, {"expand_macro_mapper": {}}, {"remove_comments_mapper": {}}, {"remove_bibliography_mapper": {}},
        {"clean_copyright_mapper": {}}, {"punctuation_normalization_mapper": {}}, {"remove_long_words_mapper": {"max_len": 30}},
        {"remove_words_with_incorrect_substrings_mapper": {"substrings": ["http", "www"]}}, {"text_length_filter": {"max_len": 4000}},
        {"text_chunk_mapper": {"max_len": 400}}, {"words_num_filter": {"min_num": 3}}, {"frequency_specified_field_selector":
         {"field_key": "url", "top_ratio": 0.9}}, {"random_selector": {"select_ratio": 0.7}},
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """140 documents in two files and some copies, with boilerplate, two broken lines and a null text."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(5)
    rows = [json.loads(line) for line in demo_corpus.read_text("utf-8").splitlines()]
    draw.shuffle(rows)
    for i in range(2):
        told = []
        for k, row in enumerate([*rows[i * 70 : i * 70 + 70], *rows[:10]]):
            told.append({"text": f"Menu | Home | About\n{row['text'][:4000]}\nAll rights reserved", "url": f"https://A.org/{k % 100}/?utm_source={k}"})
        lines = [json.dumps(r) for r in told]
        lines[7:7] = ['{"text": "no end', '{"text": null}'] if i else []
        (folder / f"{i}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SMALLEST", 14_000)  # so that there are more parts than partitions


def outcome(data: Path, out: Path, suite: str, **keys: Any) -> Any:
    """All that a run answers but times and places."""
    manifest = run({"dataset_path": str(data), "export_path": str(out), "process": SUITES[suite], "seed": 3,
                    "on_error": {"set_aside": 5}, **keys})
    ledger = sorted(pq.read_table(out / "ledger").to_pylist(), key=lambda r: (r[ID], r["step"]))
    kept = sorted(r[ID] for r in pq.read_table(out / "kept").to_pylist())
    digests = [f["digest"] for f in (*manifest["shards"], *manifest["ledger"], *manifest["kept"])]
    return str((manifest["steps"], manifest["content_hash"], digests, kept, ledger))  # as text: NaN equals itself


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("suite", SUITES)
def test_local_with_one_worker_and_with_four(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], suite: str
) -> None:
    monkeypatch.setattr("tamis.pipeline.engines.local.cores", lambda: 4)
    known[suite] = outcome(data, tmp_path / "one", suite, np=1)
    assert len(list((tmp_path / "one" / "work").glob("01-rows-*/done/*"))) > 17
    assert suite != "cleaning" or outcome(data, tmp_path / "four", suite, np=4) == known[suite]


@pytest.mark.parametrize("suite, partitions", [("demo", 1), ("demo", 3), ("demo", 17), ("duplicates", 1), ("duplicates", 17), ("cleaning", 3)])
def test_spark(data: Path, tmp_path: Path, session: Any, known: dict[str, Any], suite: str, partitions: int) -> None:
    if suite not in known:
        known[suite] = outcome(data, tmp_path / "one", suite, np=1)
    assert outcome(data, tmp_path / "out", suite, engine="spark", spark_partitions=partitions) == known[suite]
    assert all(f.level != "fail" for f in check(tmp_path / "out"))


def test_the_lake_recipe(tmp_path: Path, session: Any) -> None:
    asked = yaml.safe_load((ROOT / "recipes" / "lake.yaml").read_text("utf-8")) | {"dataset_path": str(ROOT / "recipes" / "data" / "lake")}
    found = []
    for engine in ("local", "spark"):
        told = run(asked | {"export_path": str(tmp_path / engine), "engine": engine})
        found.append({k: told[k] for k in ("lake",) if k in told})
    assert found[0] and str(found[0]).replace("local", "spark") == str(found[1]).replace("local", "spark")
