"""One word changes the engine; nothing else changes."""

from pathlib import Path

import pytest

from tamis.pipeline.errors import OperatorError, ReadError
from tamis.pipeline.run import run

pytest.importorskip("pyspark")
PROCESS = [
    {"whitespace_normalization_mapper": {}}, {"alphanumeric_filter": {"min_ratio": 0.6}}, {"document_deduplicator": {}},
    {"document_minhash_deduplicator": {}}, {"random_selector": {"select_num": 100}},
]


@pytest.mark.slow
def test_the_same_answers_on_spark(demo_corpus: Path, tmp_path: Path) -> None:
    words = {"dataset_path": str(demo_corpus), "process": PROCESS, "seed": 1}
    local = run({**words, "export_path": str(tmp_path / "a"), "np": 1})
    spark = run({**words, "export_path": str(tmp_path / "b"), "engine": "spark", "spark_master": "local[2]"})
    assert spark["content_hash"] == local["content_hash"]
    assert [s["digest"] for s in spark["shards"]] == [s["digest"] for s in local["shards"]]


@pytest.mark.slow
def test_an_error_on_an_executor_arrives_located(tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text('{"text": "good"}\n{"text": "bad\n')
    with pytest.raises((ReadError, OperatorError), match=r"bad\.jsonl, line 2"):
        run({"dataset_path": str(data), "export_path": str(tmp_path / "out"), "process": [], "engine": "spark", "spark_master": "local[1]"})
