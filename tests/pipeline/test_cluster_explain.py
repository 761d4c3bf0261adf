"""Each cluster of a selection says what it is about: its medoid and its words, in a file and in the report."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from static_model import make

pytest.importorskip("tokenizers")
pytest.importorskip("faiss")
from tamis.pipeline.run import run

TOPICS = {"kitchen": ["butter", "oven", "flour", "salt"], "court": ["judge", "appeal", "statute", "verdict"],
          "match": ["goal", "referee", "striker", "league"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("explained"), np.random.default_rng(0)
    rows = [{"id": i, "text": " ".join([*rng.choice(words, 6), "and then", name])} for i in range(60) for name, words in TOPICS.items()]
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    model = make(folder / "model", [*TOPICS, *(w for words in TOPICS.values() for w in words), "and", "then"], dimension=24)
    run({"dataset_path": str(folder / "rows.jsonl"), "export_path": str(folder / "out"), "np": 1, "process": [
        {"text_embedding_mapper": {"model": str(model)}}, {"kmeans_diversity_selector": {"k": 3, "select_num": 30}}]})
    return folder / "out", {r["text"] for r in rows}


def test_each_cluster_has_the_words_of_its_topic(done):
    out, every = done
    (file,) = out.glob("work/*-select-*/clusters.parquet")
    table = pq.read_table(file).to_pylist()
    assert [c["rows"] for c in table] == [60, 60, 60] and sum(c["picked"] for c in table) == 30
    for cluster in table:
        (topic,) = [name for name in TOPICS if cluster["text"].endswith(name)]
        assert set(cluster["terms"][:5]) == {topic, *TOPICS[topic]} and cluster["text"] in every
        assert cluster["z"] == sorted(cluster["z"], reverse=True)
    assert len({c["medoid"] for c in table}) == 3


def test_the_report_tells_them(done):
    page = (done[0] / "report.html").read_text()
    for words in TOPICS.values():
        assert all(word in page for word in words)
    assert page.count("cluster 0: ") >= 2  # beside its excerpt, and in the legend of the map


def test_the_medoid_is_the_nearest_to_the_centre(done):
    (folder,) = done[0].glob("work/*-select-*")
    rows = pq.read_table(folder / "selection.parquet").to_pylist()
    for cluster in pq.read_table(folder / "clusters.parquet").to_pylist():
        own = [r for r in rows if r["cluster"] == cluster["cluster"]]
        assert cluster["medoid"] == min(own, key=lambda r: (r["distance"], r["__id__"]))["__id__"]
